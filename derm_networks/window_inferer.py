"""MONAI's inferer for a large image that is read window by window, with the arithmetic of the service."""

from typing import Any

import numpy as np
import torch
from monai.inferers.inferer import Inferer
from monai.transforms.intensity.array import NormalizeIntensity
from torch import Tensor

from derm_networks.transforms import ResizeAntialiased
from derm_networks.windows import combined, filled_windows


class WindowInferer(Inferer):
    """Gives the logarithms of an image's class probabilities, whose softmax is these probabilities.

    Windows of `side` pixels that overlap by `overlap` are brought to `height` x `width`, normalised and read `batch` at a time; those
    of which more than `max_empty` is empty are left out; for each class the mean of the `share` highest counts. The keys of
    `inference` and `preprocessing` in the bundle's `configs/serving.json` have the same names and must have the same values.
    """

    def __init__(
        self,
        *,
        side: int,
        overlap: float,
        share: float,
        max_empty: float,
        batch: int,
        height: int,
        width: int,
        mean: list[float],
        std: list[float],
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.side, self.overlap, self.share, self.max_empty, self.batch = side, overlap, share, max_empty, batch
        self.resize = ResizeAntialiased(height, width)
        self.normalise = NormalizeIntensity(subtrahend=mean, divisor=std, channel_wise=True)
        self.temperature = temperature

    def __call__(self, inputs: Tensor, network: Any, *_: object, **__: object) -> Tensor:
        """(N, 1, H, W) of grey values 0..255 to (N, classes); raises ValueError where every window of an image is empty."""
        return torch.stack([self._one(image, network, inputs.device) for image in inputs])

    def _one(self, image: Tensor, network: Any, device: torch.device) -> Tensor:
        grey = image[0].detach().cpu().numpy().astype(np.uint8)
        places = filled_windows(grey, side=self.side, overlap=self.overlap, max_empty=self.max_empty)
        if not places:
            raise ValueError(f"every window of {self.side} pixels is empty to more than {self.max_empty:g}: the image shows nothing")
        found = []
        for first in range(0, len(places), self.batch):
            prepared = [self._prepared(place.of(grey)) for place in places[first : first + self.batch]]
            logits = network(torch.stack(prepared).to(device)).double()
            found.append((logits / self.temperature).softmax(dim=1).detach().cpu().numpy())
        shares = combined(np.concatenate(found), self.share)
        return torch.from_numpy(shares).log().float().to(device)

    def _prepared(self, window: Any) -> Tensor:
        scaled = torch.from_numpy(np.array(window[None], dtype=np.float32)) / 255
        return torch.as_tensor(self.normalise(self.resize(scaled)), dtype=torch.float32)

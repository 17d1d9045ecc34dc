"""What MONAI's trainer needs to see the random views that the training scripts see."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from derm_networks.augmentation import ViewSettings, random_views


class PrepareViews:
    """A `prepare_batch`: random views of `image` (N, 3, H, W) in 0..1, normalised; `label` is a mask or a class number."""

    def __init__(
        self,
        *,
        height: int,
        width: int,
        zoom: list[float],
        squash: float,
        shift: float,
        mean: list[float],
        std: list[float],
        seed: int,
    ) -> None:
        low, high = zoom
        self.settings = ViewSettings(height=height, width=width, zoom=(low, high), squash=squash, shift=shift)
        self.mean = torch.tensor(mean).view(1, -1, 1, 1)
        self.std = torch.tensor(std).view(1, -1, 1, 1)
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(
        self, batch: Mapping[str, Any], device: torch.device | str | None = None, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        """Return network input and target on `device`."""
        images, label = torch.as_tensor(batch["image"]), torch.as_tensor(batch["label"])
        masks = label if label.dim() == 4 else None
        views, changed = random_views(images, masks, self.settings, self.generator)
        target = label if changed is None else changed
        return ((views - self.mean) / self.std).to(device), target.to(device)

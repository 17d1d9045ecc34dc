"""The mean over an image and its three mirror images, where a bundle's validation showed that it helps."""

from collections.abc import Iterable
from typing import Any

import torch
from monai.inferers.inferer import Inferer
from torch import Tensor

MIRRORS: tuple[tuple[int, ...], ...] = ((), (3,), (2,), (2, 3))
"""The axes of (N, C, H, W) along which an image is turned over: not at all, left and right, up and down, both."""


def mean_of_mirrors(network: Any, x: Tensor) -> Tensor:
    """Return the mean of the network's outputs for (N, C, H, W) and its mirror images; maps are turned back before."""
    return mean_turned_back(torch.as_tensor(network(turned(x, axes))) for axes in MIRRORS)


def turned(tensor: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return the tensor (N, C, H, W) turned over along the axes; turned again it is itself."""
    return tensor.flip(axes) if axes else tensor


def mean_turned_back(outputs: Iterable[Tensor]) -> Tensor:
    """Return the mean of one output's tensors, one for each of `MIRRORS` in its order; maps (N, C, H, W) are turned back."""
    return torch.stack(
        [turned(one, axes) if one.ndim == 4 else one for one, axes in zip(outputs, MIRRORS, strict=True)]
    ).mean(dim=0)


class MirrorInferer(Inferer):
    """MONAI's inferer for a bundle whose `configs/serving.json` says `average` `flips`."""

    def __call__(self, inputs: Tensor, network: Any, *_: object, **__: object) -> Tensor:
        """(N, C, H, W) to the network's outputs, averaged."""
        return mean_of_mirrors(network, inputs)

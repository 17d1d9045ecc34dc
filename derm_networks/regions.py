"""Which regions of a mask count: those of about the size of the largest, since a network's specks are no lesions."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from monai.transforms.post.array import FillHoles, KeepLargestConnectedComponent
from monai.transforms.transform import MapTransform, Transform
from numpy.typing import NDArray
from skimage.measure import label
from torch import Tensor

Keep = Literal["largest", "large", "inside"]
"""Which regions of a map a bundle keeps: the largest, all `KeepLargeRegions`, or these without what the border cuts."""

SHARE = 0.2
"""Of the largest region's area, below which a region counts as a speck."""


class KeepLargeRegions(Transform):
    """Keep the regions of a binary mask (C, H, W) that have at least `share` of the area of their channel's largest.

    Pixels join by edges and corners. With `inside`, where the largest region of a channel lies whole in the image, those
    that reach the image's border go: a lens's dark edge, a ruler's end or a flare lies there. A largest region that reaches
    the border itself changes nothing, so a lesion that fills the image stays.
    """

    def __init__(self, share: float = SHARE, *, inside: bool = False) -> None:
        self.share = share
        self.inside = inside

    def __call__(self, mask: Any) -> Tensor:
        """Return the mask, float32 of 0 and 1."""
        planes = torch.as_tensor(mask).numpy() > 0
        return torch.from_numpy(np.stack([self._kept(plane) for plane in planes]).astype(np.float32))

    def _kept(self, plane: NDArray[np.bool_]) -> NDArray[np.bool_]:
        regions = label(plane, connectivity=2)  # type: ignore[no-untyped-call]
        areas = np.bincount(regions.ravel())
        areas[0] = 0  # the background
        large = (areas > 0) & (areas >= self.share * areas.max())
        if self.inside and areas.argmax() not in (cut := _at_border(regions)):
            large[cut] = False
        return np.asarray(large[regions], dtype=np.bool_)


def _at_border(plane: NDArray[Any]) -> NDArray[Any]:
    """Return the values that (H, W) has along its border."""
    return np.unique(np.concatenate([plane[0], plane[-1], plane[:, 0], plane[:, -1]]))


class KeepLargeRegionsd(MapTransform):
    """`KeepLargeRegions` on the values of a dictionary."""

    def __init__(self, keys: Sequence[str] | str, share: float = SHARE, *, inside: bool = False) -> None:
        super().__init__(keys)
        self.keep = KeepLargeRegions(share, inside=inside)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy in which the values of the keys hold large regions alone."""
        changed = dict(data)
        for key in self.key_iterator(changed):
            changed[key] = self.keep(changed[key])
        return changed


class DropSmallMaskd(MapTransform):
    """Empty the binary masks (C, H, W) of the keys that cover less than `min_area_fraction` of the image, as the service does.

    The key of that name in the bundle's `configs/serving.json` must have the same value. For masks whose holes are filled: comes last.
    """

    def __init__(self, keys: Sequence[str] | str, min_area_fraction: float) -> None:
        super().__init__(keys)
        self.least = min_area_fraction

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy in which the channels of the keys' masks that are too small are empty."""
        changed = dict(data)
        for key in self.key_iterator(changed):
            mask = torch.as_tensor(changed[key])
            share = (mask > 0).double().mean(dim=(1, 2), keepdim=True)
            changed[key] = torch.where(share >= self.least, mask, torch.zeros_like(mask))
        return changed


_KEPT: dict[Keep, Transform] = {
    "largest": KeepLargestConnectedComponent(applied_labels=[1], connectivity=2),
    "large": KeepLargeRegions(),
    "inside": KeepLargeRegions(inside=True),
}


# The background joins through edges where the region joins through corners too.
_FILL_HOLES = FillHoles(applied_labels=[1], connectivity=1)


def filled(mask: Tensor, keep: Keep) -> NDArray[np.bool_]:
    """Return the regions of a binary mask (C, H, W) that a bundle's `keep` names, their holes filled."""
    return np.asarray(_FILL_HOLES(_KEPT[keep](mask))) > 0

"""Which regions of a mask count: those of about the size of the largest, since a network's specks are no lesions."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms.transform import MapTransform, Transform
from skimage.measure import label
from torch import Tensor

SHARE = 0.2
"""Of the largest region's area, below which a region counts as a speck."""


class KeepLargeRegions(Transform):
    """Keep the regions of a binary mask (C, H, W) that have at least `share` of the area of their channel's largest.

    Pixels join by edges and corners.
    """

    def __init__(self, share: float = SHARE) -> None:
        self.share = share

    def __call__(self, mask: Any) -> Tensor:
        """Return the mask, float32 of 0 and 1."""
        planes = torch.as_tensor(mask).numpy() > 0
        return torch.from_numpy(np.stack([self._kept(plane) for plane in planes]).astype(np.float32))

    def _kept(self, plane: np.ndarray[Any, np.dtype[np.bool_]]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        regions = label(plane, connectivity=2)  # type: ignore[no-untyped-call]
        areas = np.bincount(regions.ravel())
        areas[0] = 0  # the background
        large = (areas > 0) & (areas >= self.share * areas.max())
        return np.asarray(large[regions], dtype=np.bool_)


class KeepLargeRegionsd(MapTransform):
    """`KeepLargeRegions` on the values of a dictionary."""

    def __init__(self, keys: Sequence[str] | str, share: float = SHARE) -> None:
        super().__init__(keys)
        self.keep = KeepLargeRegions(share)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy in which the values of the keys hold large regions alone."""
        changed = dict(data)
        for key in self.key_iterator(changed):
            changed[key] = self.keep(changed[key])
        return changed

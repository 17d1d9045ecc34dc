"""Transforms that training, MONAI's configurations and the service share, so that all of them see the same numbers."""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms.transform import MapTransform, Transform
from PIL import Image
from torch import Tensor
from torch.nn import functional


class ResizeAntialiased(Transform):
    """Resize (C, H, W) to a fixed height and width by torch's interpolate; the aspect ratio is not kept.

    With `antialias` the filter widens when the picture shrinks, so that the result does not depend on the resolution of
    the camera more than it must. MONAI's own Resize smooths by a Gaussian first, which gives other numbers.
    """

    def __init__(self, height: int, width: int, mode: str = "bilinear", *, antialias: bool = True) -> None:
        self.size = (height, width)
        self.mode = mode
        self.antialias = antialias

    def __call__(self, data: Any) -> Tensor:
        """Return a float32 tensor (C, height, width) for an array or tensor (C, H, W)."""
        array = data.numpy() if isinstance(data, Tensor) else np.asarray(data)
        image = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))[None]
        resized = functional.interpolate(
            image, size=self.size, mode=self.mode, align_corners=False, antialias=self.antialias
        )
        return resized[0]


class ResizeAntialiasedd(MapTransform):
    """`ResizeAntialiased` on the values of a dictionary."""

    def __init__(
        self, keys: Sequence[str] | str, height: int, width: int, mode: str = "bilinear", *, antialias: bool = True
    ) -> None:
        super().__init__(keys)
        self.resize = ResizeAntialiased(height, width, mode, antialias=antialias)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy in which the values of the keys are resized."""
        changed = dict(data)
        for key in self.key_iterator(changed):
            changed[key] = self.resize(changed[key])
        return changed


class ResizeLiked(MapTransform):
    """Bring the values of the keys to height and width of the value of `like`, as the service brings logits to the image.

    Bilinear, without antialiasing, before the activation.
    """

    def __init__(self, keys: Sequence[str] | str, like: str) -> None:
        super().__init__(keys)
        self.like = like

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy in which the values of the keys are (C, H, W) of the value of `like`."""
        changed = dict(data)
        height, width = changed[self.like].shape[-2:]
        for key in self.key_iterator(changed):
            resize = ResizeAntialiased(int(height), int(width), antialias=False)
            changed[key] = resize(changed[key])
        return changed


class SaveMaskd(MapTransform):
    """Write the values of the keys, masks (1, H, W), as PNG of 0 and 255 named after the picture that `source` was read from.

    MONAI's own writer turns axes by its own conventions; this one writes row by row.
    """

    def __init__(self, keys: Sequence[str] | str, source: str, output_dir: str) -> None:
        super().__init__(keys)
        self.source = source
        self.folder = Path(output_dir)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary unchanged."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = Path(str(data[self.source].meta["filename_or_obj"])).stem
        for key in self.key_iterator(dict(data)):
            mask = np.asarray(data[key])[0] > 0
            Image.fromarray(mask.astype(np.uint8) * 255).save(self.folder / f"{name}_{key}.png")
        return dict(data)

"""Pictures decoded once, resized to one size and kept as uint8 arrays, so that epochs on a CPU cost arithmetic only."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from derm_networks.manifest import Row, read_mask, read_rgb
from derm_networks.transforms import ResizeAntialiased


def cached_pictures(rows: list[Row], file: Path, height: int, width: int) -> Tensor:
    """Return the rows' images (N, 3, height, width) uint8, read from `file` if it is there, otherwise made and kept there."""
    resize = ResizeAntialiased(height, width)

    def one(row: Row) -> NDArray[np.uint8]:
        return resize(read_rgb(row.image).transpose(2, 0, 1)).round().clamp(0, 255).numpy().astype(np.uint8)

    return _cached(rows, file, (3, height, width), one)


def cached_masks(rows: list[Row], file: Path, height: int, width: int) -> Tensor:
    """Return the rows' masks (N, 1, height, width) uint8, 255 inside the lesion, grey along the resampled border."""
    resize = ResizeAntialiased(height, width)

    def one(row: Row) -> NDArray[np.uint8]:
        if row.mask is None:
            raise ValueError(f"{row.image} has no mask")
        return resize(255.0 * read_mask(row.mask)[None]).round().clamp(0, 255).numpy().astype(np.uint8)

    return _cached(rows, file, (1, height, width), one)


def _cached(
    rows: list[Row], file: Path, shape: tuple[int, int, int], one: Callable[[Row], NDArray[np.uint8]]
) -> Tensor:
    if not file.exists():
        array = np.empty((len(rows), *shape), dtype=np.uint8)
        for index, row in enumerate(rows):
            array[index] = one(row)
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, array)
    array = np.load(file)
    if array.shape != (len(rows), *shape):
        raise ValueError(f"{file} holds {array.shape}, the table asks for {(len(rows), *shape)}; delete the file")
    return torch.from_numpy(array)

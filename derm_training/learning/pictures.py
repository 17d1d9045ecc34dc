"""Pictures and masks decoded once, brought to one size and kept as bytes in a file, so that epochs cost arithmetic only."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from derm_networks.transforms import ResizeAntialiased
from derm_training.learning.kept_array import kept_array
from derm_training.learning.progress import console
from derm_training.tables.manifest import read_mask, read_rgb

Bytes = NDArray[np.uint8]

_READING = 2
"""Counts the rules by which a picture was read; what was kept by an earlier one is not the picture that the service gets."""


def kept_pictures(files: Sequence[Path], folder: Path, height: int, width: int) -> Bytes:
    """Return the pictures (N, 3, height, width), from `folder` if they were decoded before."""
    resize = ResizeAntialiased(height, width)

    def one(file: Path) -> Bytes:
        return resize(read_rgb(file).transpose(2, 0, 1)).round().clamp(0, 255).numpy().astype(np.uint8)

    return _kept(files, folder, (3, height, width), one)


def kept_masks(files: Sequence[Path | None], folder: Path, height: int, width: int) -> Bytes:
    """Return the masks (N, 1, height, width), 255 inside, grey along the resampled border; zeros where there is none."""
    resize = ResizeAntialiased(height, width)

    def one(file: Path) -> Bytes:
        return resize(255.0 * read_mask(file)[None]).round().clamp(0, 255).numpy().astype(np.uint8)

    return _kept(files, folder, (1, height, width), one)


def _kept(
    files: Sequence[Path | None], folder: Path, shape: tuple[int, int, int], one: Callable[[Path], Bytes]
) -> Bytes:
    """Return the arrays of a file named after all that decides them, which appears under its name only when it is whole."""
    seen = [[str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] if file else None for file in files]
    name = hashlib.sha256(json.dumps([_READING, seen, shape]).encode()).hexdigest()[:16]

    def fill(array: Bytes) -> None:
        for index, file in enumerate(track(files, "reading images", console=console(), transient=True)):
            if file is not None:
                array[index] = one(file)

    return kept_array(folder / f"{name}.npy", (len(files), *shape), np.uint8, fill)

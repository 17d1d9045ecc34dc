"""Masks of lesions and skin: what a file marks, and whether each fits its picture, told before anything is learned."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ImageOps

from derm_training.tables.image_files import opened, picture_size

_MARKED = 127
_TOLERANCE = 0.01  # of the proportions: sizes are rounded where a mask was made smaller than its picture


def read_mask(file: Path) -> NDArray[np.uint8]:
    """Return (height, width) uint8 of 0 and 1, upright; a file may mark the region with white, or with 1 where it has nothing brighter.

    Raises ValueError naming a file that cannot be read, or that marks with something else: it would be taken for empty.
    """
    with opened(file) as picture:
        grey = np.asarray(ImageOps.exif_transpose(picture).convert("L"))
    brightest = int(grey.max())
    if 1 < brightest <= _MARKED:
        raise ValueError(
            f"{file} marks nothing that is bright: its brightest value, as grey, is {brightest}; save the region as white (255) or 1 "
            "and all else as 0, one region a file"
        )
    return (grey > (0 if brightest == 1 else _MARKED)).astype(np.uint8)


def check_masks(table: Path, named: Iterable[tuple[Path, Path | None]]) -> None:
    """Raise ValueError naming the first mask of (picture, mask) that is not there, else the first that cannot lie on its picture."""
    pairs = [(picture, mask) for picture, mask in named if mask is not None]
    if missing := [pair for pair in pairs if not pair[1].is_file()]:
        picture, mask = missing[0]
        raise ValueError(
            f"{table} names {mask} as mask of {picture}, which does not exist ({len(missing)} of {len(pairs)} masks are missing); "
            "paths are relative to the table's folder"
        )
    for picture, mask in pairs:
        size, drawn = picture_size(picture), picture_size(mask)
        if not _same_proportions(size, drawn):
            raise ValueError(
                f"{table}: the mask {mask} is {drawn[0]} x {drawn[1]}, its picture {picture} is {size[0]} x {size[1]} when upright; "
                "draw the mask on the whole picture as a viewer shows it, or take it out of its line"
            )


def _same_proportions(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether the sizes are one, scaled by a common factor, up to a pixel or a hundredth."""
    left, right = one[0] * other[1], other[0] * one[1]
    return abs(left - right) <= max(_TOLERANCE * left, *one)

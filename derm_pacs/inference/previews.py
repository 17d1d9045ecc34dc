"""Small pictures of an image's frames, for results that a person looks at.

A preview's size follows from the frame's size alone, so that client and runner agree on it before anything is decoded.
Averaged over areas in 8 bits by Pillow (box filter), which needs beside the frame one copy of it with 4 bytes a pixel;
a frame is never enlarged.
"""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from derm_pacs.domain.findings import Preview
from derm_pacs.inference.pixels import Frame, Pixels, frames

LONGER_SIDE = 1024
"""Pixels of a preview's longer side at most."""


def preview_shape(rows: int, columns: int) -> tuple[int, int]:
    """Return (rows, columns) of the preview of a frame of this size."""
    longer = max(rows, columns)
    if longer <= LONGER_SIDE:
        return rows, columns
    return _scaled(rows, longer), _scaled(columns, longer)


def preview(pixels: Pixels) -> Preview:
    """Return the preview of (rows, columns, 3) RGB or (rows, columns) grey pixels; grey becomes RGB."""
    rows, columns = preview_shape(*pixels.shape[:2])
    if (rows, columns) != pixels.shape[:2]:
        picture = Image.fromarray(np.ascontiguousarray(pixels))
        pixels = np.asarray(picture.resize((columns, rows), Image.Resampling.BOX))
    return np.repeat(pixels[..., np.newaxis], 3, axis=2) if pixels.ndim == 2 else pixels


def previews(part10: bytes, *, max_pixels: int, max_frames: int) -> Iterator[tuple[int, Preview]]:
    """Give (frame, preview) of every frame that can be decoded, one after another; nothing raises."""
    for one in frames(part10, max_pixels=max_pixels, max_frames=max_frames):
        if isinstance(one, Frame):
            yield one.number, preview(one.pixels)


def _scaled(side: int, longer: int) -> int:
    return max(1, (2 * side * LONGER_SIDE + longer) // (2 * longer))  # rounded half up, in whole numbers

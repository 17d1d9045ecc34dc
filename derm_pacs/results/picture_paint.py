"""Panels of a picture as pixels: the frame, contours that show on any skin, and the map of where a network looked."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from derm_pacs.domain.findings import Heat, Preview
from derm_pacs.results.picture_card import Outline, Panel

ACCENT = (0, 214, 255)
"""Cyan: skin and pigment are never cyan, and no common colour blindness takes it for either."""
WHITE = (255, 255, 255)
FIELD = (52, 56, 62)
"""Where there is no image to show."""
HALO = (0, 0, 0)
MOST_ENLARGED = 4.0
"""More than fourfold shows squares, not skin."""

_FINE = 4
"""Lines are drawn so many times larger and averaged, for smooth edges."""
_LINE, _HALO_LINE = 2.25, 5.5
_HEAT_STOPS = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
_HEAT_COLOURS = np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], dtype=np.float64)
"""Brightness rises from end to end, so that the order shows without colours too."""
_HEAT_COVER = 0.8
"""How much of the image the strongest spot hides."""


def shown_size(panel: Panel, most_width: int, most_height: int) -> tuple[int, int]:
    """Return width and height at which a panel is shown in a box: whole, its shape kept, at least one pixel."""
    rows, columns = panel.size
    pixels = panel.preview.shape[1] if panel.preview is not None else columns
    scale = min(most_width / columns, most_height / rows, MOST_ENLARGED * pixels / columns)
    return max(1, round(columns * scale)), max(1, round(rows * scale))


def paint(panel: Panel, size: tuple[int, int]) -> Image.Image:
    """Return a panel as an RGB image of `size` (width, height)."""
    image = _frame(panel.preview, size)
    if panel.heat is not None:
        image = _heated(image, panel.heat)
    for outline in sorted(panel.outlines, key=lambda one: one.is_lesion):
        _draw(image, outline)
    return image


def heat_colour(share: float) -> tuple[int, int, int]:
    """Return the colour of a strength 0..1."""
    red, green, blue = (round(float(channel)) for channel in _coloured(np.array(share)))
    return red, green, blue


def _frame(preview: Preview | None, size: tuple[int, int]) -> Image.Image:
    if preview is None:
        return Image.new("RGB", size, FIELD)
    image = Image.fromarray(np.ascontiguousarray(preview), "RGB")
    larger = size[0] > image.width
    return image.resize(size, Image.Resampling.BICUBIC if larger else Image.Resampling.LANCZOS)


def _heated(image: Image.Image, heat: Heat) -> Image.Image:
    strength = Image.fromarray(np.ascontiguousarray(heat), "L").resize(image.size, Image.Resampling.BICUBIC)
    share = np.asarray(strength, dtype=np.float64) / 255
    grey = np.asarray(image.convert("L"), dtype=np.float64)[..., np.newaxis] * 0.8
    cover = _HEAT_COVER * share[..., np.newaxis]
    return Image.fromarray(np.round(grey * (1 - cover) + _coloured(share) * cover).astype(np.uint8), "RGB")


def _coloured(share: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.interp(share, _HEAT_STOPS, _HEAT_COLOURS[:, channel]) for channel in range(3)], axis=-1)


def _draw(image: Image.Image, outline: Outline) -> None:
    """Draw a contour twice, dark and wide, then bright and thin: one of the two shows on any skin."""
    points = outline.points * np.array([image.width, image.height]) * _FINE
    path = [(float(x), float(y)) for x, y in points]
    for line, colour in ((_HALO_LINE, HALO), (_LINE, ACCENT if outline.is_lesion else WHITE)):
        fine = Image.new("L", (image.width * _FINE, image.height * _FINE), 0)
        ImageDraw.Draw(fine).line(path, fill=255, width=round(line * _FINE), joint="curve")
        image.paste(colour, mask=fine.reduce(_FINE))

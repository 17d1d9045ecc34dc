"""The quality gate without a network: figures of an image, each held against the bundle's limit.

All are measured on the image averaged over areas so that the longer side has at most 256 pixels; images are never
enlarged. Grey is 0.299 R + 0.587 G + 0.114 B (0..255).
- Dark fraction: share of pixels with grey below 20. Bright fraction: with grey above 250.
- Contrast: standard deviation of grey.
- Sharpness: variance of the 4-neighbour Laplacian of grey over the pixels that have four neighbours.
- Skin fraction: share of pixels of the colour of skin, by ranges of Cb and Cr (ITU-R BT.601): Chai and Ngan, "Face
  segmentation using skin-color map in videophone applications", IEEE Trans Circuits Syst Video Technol 1999;9(4):551-564,
  whose 77..127 and 133..173 are widened to 77..140 and 130..180: dermatoscopes show pale skin violet, and very dark skin
  is nearly grey. Brightness has no part in it. A lesion that is no colour of skin counts as none; a grey image has none.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derm_pacs.domain.bundle import QualityLimits
from derm_pacs.domain.findings import Refusal
from derm_pacs.domain.reasons import (
    NO_SKIN,
    POOR_QUALITY_BLUR,
    POOR_QUALITY_BRIGHT,
    POOR_QUALITY_CONTRAST,
    POOR_QUALITY_DARK,
)
from derm_pacs.inference.outcomes import refusal
from derm_pacs.inference.pixels import Pixels

LONGER_SIDE = 256
DARK_BELOW = 20.0
BRIGHT_ABOVE = 250.0
SKIN_CB = (77.0, 140.0)
SKIN_CR = (130.0, 180.0)
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
_BLUE = np.array([-0.168736, -0.331264, 0.5], dtype=np.float32)  # Cb - 128 of RGB in 0..255, the same recommendation
_RED = np.array([0.5, -0.418688, -0.081312], dtype=np.float32)  # Cr - 128
_BAND = 4_000_000  # pixels that are held as float32 at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """The figures of one image."""

    laplacian_variance: float
    dark_fraction: float
    contrast: float
    bright_fraction: float = 0.0
    skin_fraction: float = 1.0


def measure(pixels: Pixels) -> Quality:
    """Measure (rows, columns, 3) RGB or (rows, columns) grey pixels; no more than a band of them is copied at a time."""
    grey = _small_grey(pixels).astype(np.float64)
    inner = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    return Quality(
        laplacian_variance=float(laplacian.var()) if laplacian.size else 0.0,
        dark_fraction=float((grey < DARK_BELOW).mean()),
        contrast=float(grey.std()),
        bright_fraction=float((grey > BRIGHT_ABOVE).mean()),
        skin_fraction=float(is_skin(_small_colour(pixels)).mean()) if pixels.ndim == 3 else 0.0,
    )


def is_skin(colour: Pixels) -> NDArray[np.bool_]:
    """Return which pixels of (rows, columns, 3) RGB have the colour of skin, (rows, columns)."""
    values = colour.astype(np.float32)
    blue, red = values @ _BLUE + 128, values @ _RED + 128
    return (blue >= SKIN_CB[0]) & (blue <= SKIN_CB[1]) & (red >= SKIN_CR[0]) & (red <= SKIN_CR[1])


def gate(quality: Quality, limits: QualityLimits) -> Refusal | None:
    """Return the refusal by the first figure beyond its limit: light, then contrast, then sharpness."""
    if quality.dark_fraction > limits.max_dark_fraction:
        return refusal(
            POOR_QUALITY_DARK, f"share of dark pixels {quality.dark_fraction:.3f}, at most {limits.max_dark_fraction:g}"
        )
    if quality.bright_fraction > limits.max_bright_fraction:
        return refusal(
            POOR_QUALITY_BRIGHT,
            f"share of bright pixels {quality.bright_fraction:.3f}, at most {limits.max_bright_fraction:g}",
        )
    if quality.contrast < limits.min_contrast:
        return refusal(POOR_QUALITY_CONTRAST, f"contrast {quality.contrast:.2f}, at least {limits.min_contrast:g}")
    if quality.laplacian_variance < limits.min_laplacian_variance:
        return refusal(
            POOR_QUALITY_BLUR,
            f"Laplacian variance {quality.laplacian_variance:.2f}, at least {limits.min_laplacian_variance:g}",
        )
    return None


def skin_gate(quality: Quality, limits: QualityLimits) -> Refusal | None:
    """Return the refusal of an image with too little skin; asked last, since a dark or grey image has none either."""
    if quality.skin_fraction < limits.min_skin_fraction:
        return refusal(NO_SKIN, f"share of skin {quality.skin_fraction:.3f}, at least {limits.min_skin_fraction:g}")
    return None


def _small_grey(pixels: Pixels) -> NDArray[np.float32]:
    return _small(pixels, lambda band: band @ _LUMA if band.ndim == 3 else band.astype(np.float32))


def _small_colour(pixels: Pixels) -> Pixels:
    return _small(pixels, lambda band: band)


def _small(pixels: Pixels, convert: Callable[[Pixels], NDArray[Any]]) -> NDArray[Any]:
    """Average what `convert` makes of the image over areas: across, band by band, then down.

    Pillow does the same two passes; a mosaic is so never held as floating point.
    """
    rows, columns = pixels.shape[:2]
    scale = LONGER_SIDE / max(rows, columns)
    if scale >= 1:
        return convert(pixels)
    width, height = max(1, round(columns * scale)), max(1, round(rows * scale))
    step = max(1, _BAND // columns)
    narrow = [
        _resized(convert(pixels[first : first + step]), width, min(step, rows - first))
        for first in range(0, rows, step)
    ]
    return _resized(np.concatenate(narrow), width, height)


def _resized(values: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    return np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BOX))

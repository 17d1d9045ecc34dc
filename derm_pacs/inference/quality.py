"""The quality gate: three figures of an image, each held against the bundle's limit.

All are measured on grey = 0.299 R + 0.587 G + 0.114 B (0..255), averaged over areas so that the longer side has at most
256 pixels; images are never enlarged.
- Dark fraction: share of pixels with grey below 20.
- Contrast: standard deviation of grey.
- Sharpness: variance of the 4-neighbour Laplacian over the pixels that have four neighbours.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derm_pacs.domain.bundle import QualityLimits
from derm_pacs.domain.findings import Refusal
from derm_pacs.domain.reasons import POOR_QUALITY_BLUR, POOR_QUALITY_CONTRAST, POOR_QUALITY_DARK
from derm_pacs.inference.outcomes import refusal
from derm_pacs.inference.pixels import Pixels

LONGER_SIDE = 256
DARK_BELOW = 20.0
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """The figures of one image."""

    laplacian_variance: float
    dark_fraction: float
    contrast: float


def measure(pixels: Pixels) -> Quality:
    """Measure (rows, columns, 3) RGB or (rows, columns) grey pixels."""
    grey = _small(pixels @ _LUMA if pixels.ndim == 3 else pixels.astype(np.float32)).astype(np.float64)
    inner = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    return Quality(
        laplacian_variance=float(laplacian.var()) if laplacian.size else 0.0,
        dark_fraction=float((grey < DARK_BELOW).mean()),
        contrast=float(grey.std()),
    )


def gate(quality: Quality, limits: QualityLimits) -> Refusal | None:
    """Return the refusal by the first figure beyond its limit: darkness, then contrast, then sharpness."""
    if quality.dark_fraction > limits.max_dark_fraction:
        return refusal(
            POOR_QUALITY_DARK, f"share of dark pixels {quality.dark_fraction:.3f}, at most {limits.max_dark_fraction:g}"
        )
    if quality.contrast < limits.min_contrast:
        return refusal(POOR_QUALITY_CONTRAST, f"contrast {quality.contrast:.2f}, at least {limits.min_contrast:g}")
    if quality.laplacian_variance < limits.min_laplacian_variance:
        return refusal(
            POOR_QUALITY_BLUR,
            f"Laplacian variance {quality.laplacian_variance:.2f}, at least {limits.min_laplacian_variance:g}",
        )
    return None


def _small(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    rows, columns = grey.shape
    scale = LONGER_SIDE / max(rows, columns)
    if scale >= 1:
        return grey
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    return np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX))

"""What simple means reach: colour alone for a diagnosis; darkness, or the place alone, for a lesion's mask."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.filters import threshold_otsu
from skimage.measure import label
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from derm_training.measuring.statistics import Truth, Values
from derm_training.tables.rows import Row

COLOUR_BINS = 6
_SEMI_AXIS = 0.3
Reader = Callable[[Row], NDArray[np.uint8]]


def colour_probabilities(
    train: Sequence[Row], rows: Sequence[Row], classes: Sequence[str], read: Reader
) -> Values | None:
    """Return probabilities (N, classes) of `rows` by logistic regression on the colour histograms of `train`.

    None where `train` lacks one of the classes. The strength of the regression was not tuned.
    """
    if {row.label for row in train} != set(classes):
        return None
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=2000))
    model.fit(np.stack([histogram(read(row)) for row in train]), [classes.index(row.label) for row in train])
    return np.asarray(model.predict_proba(np.stack([histogram(read(row)) for row in rows])), dtype=np.float64)


def histogram(picture: NDArray[np.uint8]) -> Values:
    """Return the square roots of the shares of 6 x 6 x 6 colours of (height, width, 3).

    The picture is shrunk to 96 x 96 first, so that sharpness does not count.
    """
    small = np.asarray(Image.fromarray(picture).resize((96, 96), Image.Resampling.BOX)).astype(np.intp)
    cells = small.reshape(-1, 3) * COLOUR_BINS // 256
    counts = np.bincount(cells @ np.array([COLOUR_BINS**2, COLOUR_BINS, 1]), minlength=COLOUR_BINS**3)
    return np.asarray(np.sqrt(counts / counts.sum()))


def dark_region(picture: NDArray[np.uint8]) -> Truth:
    """Return (height, width): the largest region darker than Otsu's threshold (IEEE Trans SMC 1979;9:62)."""
    height, width = picture.shape[:2]
    scale = min(1.0, 256 / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    grey = np.asarray(Image.fromarray(picture).convert("L").resize(size, Image.Resampling.BOX))
    if grey.min() == grey.max():
        return np.zeros((height, width), dtype=bool)
    regions = label(grey < threshold_otsu(grey))  # type: ignore[no-untyped-call]
    counts = np.bincount(regions.ravel())
    counts[0] = 0
    region = regions == counts.argmax() if counts.any() else np.zeros_like(grey, dtype=bool)
    return np.asarray(Image.fromarray(region).resize((width, height), Image.Resampling.NEAREST))


def centred_ellipse(height: int, width: int) -> Truth:
    """Return (height, width): an ellipse in the middle, with 0.3 of the width and of the height as half axes."""
    down = (np.arange(height)[:, None] + 0.5) / height - 0.5
    across = (np.arange(width)[None] + 0.5) / width - 0.5
    return np.asarray(np.hypot(down, across) <= _SEMI_AXIS)

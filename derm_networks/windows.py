"""Large images read window by window: where the windows lie, which are left out, and one answer from all of them.

Arithmetic on NumPy arrays alone, so that the service, the evaluation and MONAI's configurations give the same numbers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EMPTY_BELOW = 8
"""Grey value below which a pixel of a mosaic shows nothing: tiles that were never taken are black."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A square of the image: its upper left corner and its side, in pixels."""

    top: int
    left: int
    side: int

    def of(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the window's part of (height, width) or (height, width, channels), as a view."""
        return picture[self.top : self.top + self.side, self.left : self.left + self.side]


def windows(height: int, width: int, *, side: int, overlap: float) -> tuple[Window, ...]:
    """Cover an image of `height` x `width` pixels by squares of `side`, row by row.

    Neighbours share about `overlap` of their side; the last window of a row or column ends at the image's edge, so that no
    window reaches beyond it and every pixel lies in one. `side` shrinks to the image's shorter side where that is smaller.
    """
    side = min(side, height, width)
    return tuple(
        Window(top=top, left=left, side=side)
        for top in _starts(height, side, overlap)
        for left in _starts(width, side, overlap)
    )


def filled_windows(picture: NDArray[np.uint8], *, side: int, overlap: float, max_empty: float) -> tuple[Window, ...]:
    """Return the windows of (height, width) or (height, width, channels) of which no more than `max_empty` is empty.

    A pixel is empty where the mean of its channels is below `EMPTY_BELOW`. None may be left: then there is nothing to read.
    """
    height, width = picture.shape[:2]
    places = windows(height, width, side=side, overlap=overlap)
    return tuple(place for place in places if empty_share(place.of(picture)) <= max_empty)


def empty_share(picture: NDArray[np.uint8]) -> float:
    """Return the share of empty pixels of (height, width) or (height, width, channels)."""
    if picture.ndim == 2:
        return float((picture < EMPTY_BELOW).mean())
    channels = picture.shape[2]
    return float((picture.sum(axis=2, dtype=np.uint16) < EMPTY_BELOW * channels).mean())


def strongest(values: NDArray[np.float64], share: float) -> NDArray[np.intp]:
    """Return the positions of the `share` highest of (n,) values, highest first, the first of equals first; at least one."""
    number = max(1, int(len(values) * share + 1e-9))  # 30 * 0.1 is 3 and no bit less
    return np.argsort(-values, kind="stable")[:number]


def combined(probabilities: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Give the image's probabilities (classes,) from its windows' (n, classes), n at least 1.

    For each class the mean of the `share` highest; these means are then divided by their sum.
    """
    means = np.array([column[strongest(column, share)].mean() for column in probabilities.T])
    return np.asarray(means / means.sum(), dtype=np.float64)


def _starts(length: int, side: int, overlap: float) -> list[int]:
    step = max(1, round(side * (1 - overlap)))
    last = length - side
    return sorted({min(start, last) for start in range(0, last + step, step)})

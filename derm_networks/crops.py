"""Which parts of an image another network may read: squares around lesions that show skin and lesion enough.

The rule is that of Yanagisawa et al., J Dermatol Sci 2023;109(1):30-36: more than 80 % of a crop is skin, lesion counted as
skin, and more than 10 % is lesion. How the squares are laid is our reading, since the abstract does not say it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label, regionprops

_STEPS = 64
"""Sizes of a square that are tried beyond the smallest one, and places in each direction."""

_MAX_REGIONS = 64
"""Regions for which a square is sought, the largest first: a map with more of them is noise."""


class Crop(NamedTuple):
    """A rectangle in pixels of the image: the pixels from (top, left) on, `height` rows and `width` columns."""

    left: int
    top: int
    width: int
    height: int


class _Box(NamedTuple):
    left: int
    top: int
    right: int
    bottom: int


def find_crops(
    lesion: NDArray[np.bool_],
    skin: NDArray[np.bool_],
    *,
    min_skin: float = 0.8,
    min_lesion: float = 0.1,
    max_crops: int = 4,
    context: float = 2.0,
    min_region: float = 0.0005,
) -> tuple[Crop, ...]:
    """Return one crop for each lesion that has one, the largest lesion first; empty where no part of the image fits the rule.

    `lesion` and `skin` are (rows, columns) masks of the image. A lesion is a region whose pixels join by edges or corners and
    which covers at least the share `min_region` of the image. Its crop is the largest square (to a pixel) around it, cut at the
    image's border, of which more than `min_skin` is skin or lesion and more than `min_lesion` is lesion; the side is at most `context`
    times the longer side of the lesion's bounding box, so that the lesion does not shrink to a spot. Squares centred on the
    bounding box come first; where none of them fits, those that hold the box elsewhere. Raises `ValueError` where the masks
    differ in shape.
    """
    if lesion.shape != skin.shape or lesion.ndim != 2:
        raise ValueError(f"lesion of shape {lesion.shape} and skin of shape {skin.shape} are not masks of one image")
    if not lesion.any():
        return ()
    search = _Search(lesion, skin | lesion, min_skin=min_skin, min_lesion=min_lesion)
    labels = label(lesion, connectivity=2)  # type: ignore[no-untyped-call]
    regions = [one for one in regionprops(labels) if one.area >= min_region * lesion.size]  # type: ignore[no-untyped-call]
    regions.sort(key=lambda one: -one.area)
    found: list[Crop] = []
    for region in regions[:_MAX_REGIONS]:
        top, left, bottom, right = (int(edge) for edge in region.bbox)
        crop = search.around(_Box(left, top, right, bottom), context)
        if crop is not None and crop not in found:
            found.append(crop)
        if len(found) == max_crops:
            break
    return tuple(found)


class _Search:
    """The two masks as integral images, in which any rectangle's share costs four look-ups."""

    def __init__(
        self, lesion: NDArray[np.bool_], skin: NDArray[np.bool_], *, min_skin: float, min_lesion: float
    ) -> None:
        self._rows, self._columns = lesion.shape
        self._lesion = _integral(lesion)
        self._skin = _integral(skin)
        self._min_skin = min_skin
        self._min_lesion = min_lesion

    def around(self, box: _Box, context: float) -> Crop | None:
        """Return the crop of the lesion in `box`, or None."""
        smallest = max(box.right - box.left, box.bottom - box.top)
        largest = max(smallest, int(context * smallest))
        sides = np.unique(np.linspace(smallest, largest, _STEPS + 1).round().astype(np.int64))[::-1]
        centred = self._centred(box, sides)
        if centred is not None:
            return centred
        for side in sides:
            shifted = self._shifted(box, int(side))
            if shifted is not None:
                return shifted
        return None

    def _centred(self, box: _Box, sides: NDArray[np.int64]) -> Crop | None:
        # In half pixels, rounded inwards on both sides: the mirrored image gives the mirrored square.
        left, right = -((sides - box.left - box.right) // 2), (box.left + box.right + sides) // 2
        top, bottom = -((sides - box.top - box.bottom) // 2), (box.top + box.bottom + sides) // 2
        left, top = left.clip(min=0), top.clip(min=0)
        right, bottom = right.clip(max=self._columns), bottom.clip(max=self._rows)
        _, fits = self._judged(left, top, right, bottom)
        if not fits.any():
            return None
        first = int(fits.argmax())
        return _crop(left[first], top[first], right[first], bottom[first])

    def _shifted(self, box: _Box, side: int) -> Crop | None:
        """Return of all squares of this side that hold the box the one with the most skin, the nearest to the centre of equals."""
        lefts = np.unique(np.linspace(box.right - side, box.left, _STEPS + 1).round().astype(np.int64))
        tops = np.unique(np.linspace(box.bottom - side, box.top, _STEPS + 1).round().astype(np.int64))
        all_left, all_top = (grid.ravel() for grid in np.meshgrid(lefts, tops))
        left, top = all_left.clip(min=0), all_top.clip(min=0)
        right, bottom = (all_left + side).clip(max=self._columns), (all_top + side).clip(max=self._rows)
        share, fits = self._judged(left, top, right, bottom)
        if not fits.any():
            return None
        away = np.abs(2 * all_left + side - box.left - box.right) + np.abs(2 * all_top + side - box.top - box.bottom)
        best = int(np.lexsort((away, -share, ~fits))[0])
        return _crop(left[best], top[best], right[best], bottom[best])

    def _judged(
        self, left: NDArray[np.int64], top: NDArray[np.int64], right: NDArray[np.int64], bottom: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return each rectangle's share of skin, and whether it fits the rule."""
        area = ((right - left) * (bottom - top)).astype(np.float64)
        skin = _inside(self._skin, left, top, right, bottom) / area
        lesion = _inside(self._lesion, left, top, right, bottom) / area
        return skin, (skin > self._min_skin) & (lesion > self._min_lesion)


def _integral(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the sums above and left of every corner: (rows + 1, columns + 1); 32 bits, half the memory, hold 2 thousand megapixels."""
    sums = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), dtype=np.int32)
    np.cumsum(mask, axis=0, dtype=np.int32, out=sums[1:, 1:])
    np.cumsum(sums[1:, 1:], axis=1, out=sums[1:, 1:])
    return sums


def _inside(
    sums: NDArray[np.int32],
    left: NDArray[np.int64],
    top: NDArray[np.int64],
    right: NDArray[np.int64],
    bottom: NDArray[np.int64],
) -> NDArray[np.int64]:
    return (sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]).astype(np.int64)


def _crop(left: np.int64, top: np.int64, right: np.int64, bottom: np.int64) -> Crop:
    return Crop(left=int(left), top=int(top), width=int(right - left), height=int(bottom - top))

"""Figures of merit and their intervals: ROC, operating points, confusion, overlap of masks; bootstrap drawn by lesion.

Two pictures of one lesion are no two witnesses: whatever is drawn here is drawn by group. Nothing here knows of a network.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]
Truth = NDArray[np.bool_]
Indices = NDArray[np.intp]
Statistic = Callable[[Indices], float]

DRAWS = 2000
LEAST_LESIONS = 5
"""Fewer give no interval by resampling: so few values say too little of others for their draws to spread as far as the truth may lie."""
_NO_WIDTH = 1e-9  # draws of a mean that are equal may differ in their last digits
_QUANTILE = 1.959963984540054  # of the normal distribution at 0.975


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A value, its 95 % interval, and the number of images that it is made from."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return with_interval(self.value, self.low, self.high)

    def signed(self) -> str:
        """Return a difference with its interval, signs written out."""
        return with_interval(self.value, self.low, self.high, sign="+")


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """What a threshold gives: an image is called positive where its score is at or above it."""

    threshold: float
    sensitivity: float
    specificity: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Roc:
    """The ROC curve, from nothing called positive to everything: each (points,), one point for each distinct score.

    `thresholds` fall; the first is infinite.
    """

    false_positive: Values
    true_positive: Values
    thresholds: Values


def with_interval(value: float, low: float, high: float, why_none: str = "no interval", *, sign: str = "") -> str:
    """Return a figure in words: `not defined` where it is no number, and `why_none` in the interval's place where that is none."""
    if not math.isfinite(value):
        return "not defined"
    said = f"{low:{sign}.3f} to {high:{sign}.3f}" if math.isfinite(low) and math.isfinite(high) else why_none
    return f"{value:{sign}.3f} ({said})"


def area_under_curve(truth: ArrayLike, scores: ArrayLike) -> float:
    """Return the area under the ROC curve: the share of pairs in the right order, ties counting half (Mann-Whitney).

    `truth` (N,) is 1 for positives, `scores` (N,). NaN where one class is absent, and where a score is NaN: it has no place in an order.
    """
    order = np.asarray(scores, dtype=np.float64)
    positive = np.asarray(truth) == 1
    positives, negatives = order[positive], np.sort(order[~positive])
    if not len(positives) or not len(negatives) or np.isnan(order).any():
        return float("nan")
    below = np.searchsorted(negatives, positives, side="left")
    upto = np.searchsorted(negatives, positives, side="right")
    return float((below + upto).sum() / 2 / (len(positives) * len(negatives)))


def roc(truth: ArrayLike, scores: ArrayLike) -> Roc:
    """Return the ROC curve of `truth` (N,) and `scores` (N,); raises ValueError where one class is absent."""
    values, positive = np.asarray(scores, dtype=np.float64), np.asarray(truth) == 1
    if positive.all() or not positive.any():
        raise ValueError("a ROC curve needs images of both classes")
    thresholds = np.unique(values)[::-1]
    called = _at_or_above(values[positive], thresholds)
    alarms = _at_or_above(values[~positive], thresholds)
    return Roc(
        false_positive=np.concatenate([[0.0], alarms / (~positive).sum()]),
        true_positive=np.concatenate([[0.0], called / positive.sum()]),
        thresholds=np.concatenate([[np.inf], thresholds]),
    )


def _at_or_above(values: Values, thresholds: Values) -> NDArray[np.intp]:
    return np.asarray(len(values) - np.searchsorted(np.sort(values), thresholds, side="left"))


def at_threshold(truth: ArrayLike, scores: ArrayLike, threshold: float) -> OperatingPoint:
    """Return what `threshold` gives; a share is NaN where its class is absent."""
    positive, called = np.asarray(truth) == 1, np.asarray(scores, dtype=np.float64) >= threshold
    return OperatingPoint(threshold=threshold, sensitivity=share(called[positive]), specificity=share(~called[~positive]))


def at_sensitivity(truth: ArrayLike, scores: ArrayLike, sensitivity: float) -> OperatingPoint:
    """Return the largest threshold that reaches `sensitivity` (above 0, at most 1); raises ValueError without positives."""
    if not 0 < sensitivity <= 1:
        raise ValueError(f"a sensitivity of {sensitivity:g} cannot be aimed at; it lies above 0 and is at most 1")
    positives = np.sort(np.asarray(scores, dtype=np.float64)[np.asarray(truth) == 1])[::-1]
    if not len(positives):
        raise ValueError("no image is of the positive class")
    needed = math.ceil(sensitivity * len(positives) - 1e-9)  # 0.95 of 20 is 19, whatever the product's last digit says
    return at_threshold(truth, scores, float(positives[max(needed, 1) - 1]))


def share(chosen: NDArray[np.bool_]) -> float:
    """Return the mean of (N,) truth values; NaN where there are none."""
    return float(np.mean(chosen)) if len(chosen) else float("nan")


def wilson(share_found: float, n: float) -> tuple[float, float]:
    """Return the 95 % interval of a share of `n` (Wilson, J Am Stat Assoc 1927;22:209); never of no width."""
    square = _QUANTILE**2
    centre = (share_found + square / (2 * n)) / (1 + square / n)
    half = _QUANTILE / (1 + square / n) * math.sqrt(share_found * (1 - share_found) / n + square / (4 * n * n))
    # at 0 and 1 the bound is the share itself, which rounding may miss
    return max(0.0, min(centre - half, share_found)), min(1.0, max(centre + half, share_found))


def group_members(groups: Sequence[str]) -> list[Indices]:
    """Return the images' indices of each distinct group, in the order of the groups' names."""
    _, numbers = np.unique(np.asarray(groups), return_inverse=True)
    order = np.argsort(numbers, kind="stable")
    return np.split(order, np.cumsum(np.bincount(numbers))[:-1])


def resamples(groups: Sequence[str], *, draws: int = DRAWS, seed: int = 0) -> list[Indices]:
    """Return `draws` samples of the images, each of as many groups as there are, drawn with replacement and whole.

    None of fewer than `LEAST_LESIONS` groups.
    """
    members = group_members(groups)
    if len(members) < LEAST_LESIONS:
        return []
    random = np.random.default_rng(seed)
    return [
        np.concatenate([members[i] for i in random.integers(0, len(members), len(members))]) for _ in range(draws)
    ]


def bootstrap(groups: Sequence[str], statistic: Statistic, *, draws: int = DRAWS, seed: int = 0) -> Figure:
    """Return `statistic` of all images and its 95 % interval over resampled groups.

    `statistic` takes the indices of the images; draws in which it is NaN (a class absent) are left out. Of fewer than
    `LEAST_LESIONS` groups the interval is NaN.
    """
    if not len(groups):
        return Figure(value=float("nan"), low=float("nan"), high=float("nan"), n=0)
    return summary(statistic, np.arange(len(groups)), resamples(groups, draws=draws, seed=seed))


def summary(statistic: Statistic, images: Indices, samples: Sequence[Indices]) -> Figure:
    """Return `statistic` of `images` with its `limits` over `samples`."""
    low, high = limits(np.array([statistic(sample) for sample in samples]))
    return Figure(value=statistic(images), low=low, high=high, n=len(images))


def limits(drawn: Values) -> tuple[float, float]:
    """Return the 2.5 and 97.5 percentiles of the draws (draws,) that gave a value.

    They are NaN where none did, and where all gave the same: an interval of no width would say that the value is certain, and
    shows only how few the images are.
    """
    kept = drawn[np.isfinite(drawn)]
    low, high = np.percentile(kept, [2.5, 97.5]) if len(kept) else (np.nan, np.nan)
    return (float(low), float(high)) if high - low > _NO_WIDTH else (float("nan"), float("nan"))


def effective(lesions: Sequence[int], most: int) -> float:
    """Return of how many lesions a share is worth that is the plain mean of the shares of classes with so many lesions each.

    Shares p of K classes with n_k lesions have the mean's variance p (1 - p) / K^2 * sum(1 / n_k), that of one share of
    K^2 / sum(1 / n_k) lesions (stratified mean, Cochran, Sampling Techniques, 3rd ed. 1977, 5.3): the rarest class decides, however many
    lesions the others have. Wilson's interval takes it in the place of n, as Korn and Graubard do (Survey Methodology
    1998;24:193). Of equal classes it is all their lesions. Never more than `most`, the distinct lesions: for specificities one lesion
    is among the negatives of several classes. Classes without a lesion have no share; 0 where none has.
    """
    there = [n for n in lesions if n]
    return min(len(there) ** 2 / sum(1 / n for n in there), most) if there else 0.0


def widened(figure: Figure, lesions: float) -> Figure:
    """Return a share's figure with the wider of its bootstrap and the Wilson interval of so many lesions; see `effective`.

    Where all of a few images are right, the bootstrap alone would give an interval of no width.
    """
    if not lesions or not math.isfinite(figure.value):
        return figure
    low, high = wilson(figure.value, lesions)
    return Figure(
        value=figure.value,
        low=float(np.nanmin([low, figure.low])),
        high=float(np.nanmax([high, figure.high])),
        n=figure.n,
    )


def roc_band(truth: Truth, scores: Values, samples: Sequence[Indices], grid: Values) -> tuple[Values, Values]:
    """Return the 2.5 and 97.5 percentiles of the sensitivity at each share of false alarms in `grid`, over `samples`.

    NaN where no sample holds both classes.
    """
    found = []
    for sample in samples:
        if truth[sample].all() or not truth[sample].any():
            continue
        curve = roc(truth[sample], scores[sample])
        # the highest sensitivity that costs no more false alarms than allowed
        found.append(curve.true_positive[np.searchsorted(curve.false_positive, grid, side="right") - 1])
    if not found:
        return np.full_like(grid, np.nan), np.full_like(grid, np.nan)
    low, high = np.percentile(np.stack(found), [2.5, 97.5], axis=0)
    return low, high


def confusion(truth: NDArray[np.intp], called: NDArray[np.intp], classes: int) -> NDArray[np.intp]:
    """Return (classes, classes) counts: rows are the truth, columns the call."""
    return np.bincount(truth * classes + called, minlength=classes * classes).reshape(classes, classes)


def jaccard(one: Truth, other: Truth) -> float:
    """Return intersection over union of two masks of one shape; 1 where both are empty."""
    union = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / union if union else 1.0


def dice(one: Truth, other: Truth) -> float:
    """Return twice the intersection over the sum of two masks of one shape; 1 where both are empty."""
    both = np.count_nonzero(one) + np.count_nonzero(other)
    return 2 * np.count_nonzero(one & other) / both if both else 1.0

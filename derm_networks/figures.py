"""Figures of merit with bootstrap intervals, drawn by lesion: two pictures of one lesion are no two witnesses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.generic]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A value, the 2.5 and 97.5 percentiles of its bootstrap, and the number of images."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def area_under_curve(truth: Numbers, scores: Numbers) -> float:
    """Return the area under the ROC curve: the share of pairs in the right order, ties counting half (Mann-Whitney).

    `truth` (N,) is 1 for positives, `scores` (N,). NaN where one class is absent.
    """
    order = np.asarray(scores, dtype=np.float64)
    positives = order[np.asarray(truth) == 1]
    negatives = np.sort(order[np.asarray(truth) == 0])
    if not len(positives) or not len(negatives):
        return float("nan")
    below = np.searchsorted(negatives, positives, side="left")
    upto = np.searchsorted(negatives, positives, side="right")
    return float((below + upto).sum() / 2 / (len(positives) * len(negatives)))


def share(chosen: NDArray[np.bool_]) -> float:
    """Return the mean of (N,) truth values; NaN where there are none."""
    return float(np.mean(chosen)) if len(chosen) else float("nan")


def bootstrap(
    groups: Sequence[str], statistic: Callable[[NDArray[np.intp]], float], *, draws: int = 2000, seed: int = 0
) -> Figure:
    """Return `statistic` of all images and its 95 % interval over resampled groups.

    `statistic` takes the indices of the images; draws in which it is NaN (a class absent) are left out.
    """
    count = len(groups)
    if not count:
        return Figure(value=float("nan"), low=float("nan"), high=float("nan"), n=0)
    _, numbers = np.unique(np.asarray(groups), return_inverse=True)
    members = [np.flatnonzero(numbers == number) for number in range(int(numbers.max()) + 1)]
    random = np.random.default_rng(seed)
    values = np.array([
        statistic(np.concatenate([members[i] for i in random.integers(0, len(members), len(members))]))
        for _ in range(draws)
    ])
    kept = values[np.isfinite(values)]
    low, high = np.percentile(kept, [2.5, 97.5]) if len(kept) else (float("nan"), float("nan"))
    return Figure(value=statistic(np.arange(count)), low=float(low), high=float(high), n=count)

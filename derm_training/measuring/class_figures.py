"""The figures of a classifier on one set of images: area under the curve, accuracy, sensitivity, specificity, with intervals.

With a positive class they are that class's at a threshold. With several classes each class stands against the rest, the call is the
most probable class, and area, sensitivity and specificity are means over the classes that are there (macro averages).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from derm_training.measuring.statistics import (
    DRAWS,
    Figure,
    Indices,
    OperatingPoint,
    Statistic,
    Values,
    area_under_curve,
    resamples,
    share,
    summary,
    widened,
)

_FEWER_FROM = 3000  # images; beyond, half the draws give the interval as well


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """Images with what is true and what was said of them."""

    truth: NDArray[np.intp]
    """(N,) class numbers."""
    probabilities: Values
    """(N, classes)."""
    groups: tuple[str, ...]
    """(N,) the lesions."""
    positive: int | None
    """The class that the threshold is for; None: the most probable class is the call."""
    threshold: float
    baseline: Values | None
    """(N, classes), what colour alone says."""

    def part(self, chosen: Indices) -> "Judged":
        """Return some of the images."""
        return Judged(
            truth=self.truth[chosen],
            probabilities=self.probabilities[chosen],
            groups=tuple(self.groups[i] for i in chosen),
            positive=self.positive,
            threshold=self.threshold,
            baseline=None if self.baseline is None else self.baseline[chosen],
        )

    @property
    def scores(self) -> Values:
        """(N,) the positive class's probability; raises ValueError where there is no positive class."""
        if self.positive is None:
            raise ValueError("several classes have no one score")
        return np.asarray(self.probabilities[:, self.positive])

    @property
    def called(self) -> NDArray[np.intp]:
        """(N,) class numbers of the calls; of two classes those at the threshold."""
        if self.positive is None:
            return np.asarray(self.probabilities.argmax(axis=1))
        return np.where(self.scores >= self.threshold, self.positive, 1 - self.positive)

    def samples(self, draws: int = DRAWS) -> list[Indices]:
        """Return the bootstrap's draws."""
        return resamples(self.groups, draws=draws if len(self.groups) < _FEWER_FROM else draws // 2)


def figures(judged: Judged, *, draws: int = DRAWS) -> dict[str, Figure]:
    """Return auc, accuracy, sensitivity, specificity, and baseline_auc where there is a baseline; NaN where a class is absent."""
    samples = judged.samples(draws)
    images = np.arange(len(judged.truth))
    area, hits, sensitivity, specificity = _statistics(judged)
    found = {
        "auc": _area(area, judged, samples),
        "accuracy": widened(summary(hits, images, samples), _lesions(judged, images)),
        "sensitivity": _rate(sensitivity, judged, samples, positives=True),
        "specificity": _rate(specificity, judged, samples, positives=False),
    }
    if judged.baseline is not None:
        colour = _statistics(replace(judged, probabilities=judged.baseline))[0]
        found["baseline_auc"] = _area(colour, judged, samples)
        # the same draws for both, so that what is hard for both does not widen the difference
        found["auc_over_baseline"] = summary(lambda i: area(i) - colour(i), images, samples)
    return found


def _statistics(judged: Judged) -> tuple[Statistic, Statistic, Statistic, Statistic]:
    truth, called = judged.truth, judged.called
    if judged.positive is not None:
        scores, positive = judged.scores, judged.truth == judged.positive
        alarm = called == judged.positive
        return (
            lambda i: area_under_curve(positive[i], scores[i]),
            lambda i: share(truth[i] == called[i]),
            lambda i: share(alarm[i][positive[i]]),
            lambda i: share(~alarm[i][~positive[i]]),
        )
    present = np.unique(truth)
    return (
        lambda i: _mean(present, lambda one: area_under_curve(truth[i] == one, judged.probabilities[i, one])),
        lambda i: share(truth[i] == called[i]),
        lambda i: _mean(present, lambda one: share((called[i] == one)[truth[i] == one])),
        lambda i: _mean(present, lambda one: share((called[i] != one)[truth[i] != one])),
    )


def _mean(classes: NDArray[np.intp], of_class: Callable[[int], float]) -> float:
    values = np.array([of_class(int(one)) for one in classes])
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _area(area: Statistic, judged: Judged, samples: Sequence[Indices]) -> Figure:
    """Return an area; one of 1 or 0, whose bootstrap has no width, with the bound of a share of the rarer class's lesions."""
    figure = summary(area, np.arange(len(judged.truth)), samples)
    if not (figure.value >= 1 or figure.value <= 0):
        return figure
    rarest = min(_lesions(judged, np.flatnonzero(judged.truth == one)) for one in np.unique(judged.truth))
    return widened(figure, rarest)


def _rate(statistic: Statistic, judged: Judged, samples: Sequence[Indices], *, positives: bool) -> Figure:
    """Return a sensitivity or specificity with the number of images that it is made from."""
    images = np.arange(len(judged.truth))
    figure = summary(statistic, images, samples)
    if judged.positive is not None:
        images = np.flatnonzero((judged.truth == judged.positive) == positives)
    figure = widened(figure, _lesions(judged, images))
    return Figure(value=figure.value, low=figure.low, high=figure.high, n=len(images))


def _lesions(judged: Judged, images: Indices) -> int:
    return len({judged.groups[i] for i in images})


def at_point(judged: Judged, point: OperatingPoint) -> dict[str, Figure]:
    """Return sensitivity and specificity of a threshold with their intervals, the threshold held."""
    moved = replace(judged, threshold=point.threshold)
    samples = moved.samples()
    _, _, sensitivity, specificity = _statistics(moved)
    return {
        "sensitivity": _rate(sensitivity, moved, samples, positives=True),
        "specificity": _rate(specificity, moved, samples, positives=False),
    }


def each_class(judged: Judged, names: Sequence[str]) -> dict[str, dict[str, Figure]]:
    """Return area, sensitivity and specificity of each class that is there against the rest, called by the most probable class."""
    samples = judged.samples()
    called = judged.probabilities.argmax(axis=1)
    found: dict[str, dict[str, Figure]] = {}
    for one in np.unique(judged.truth):
        alone = Judged(
            truth=(judged.truth == one).astype(np.intp),
            probabilities=np.stack([called != one, called == one], axis=1).astype(np.float64),
            groups=judged.groups,
            positive=1,
            threshold=0.5,
            baseline=None,
        )
        own = judged.probabilities[:, one]
        _, _, sensitivity, specificity = _statistics(alone)
        truth = alone.truth == 1
        found[names[one]] = {
            "auc": _area(lambda i, truth=truth, own=own: area_under_curve(truth[i], own[i]), alone, samples),  # type: ignore[misc]
            "sensitivity": _rate(sensitivity, alone, samples, positives=True),
            "specificity": _rate(specificity, alone, samples, positives=False),
        }
    return found

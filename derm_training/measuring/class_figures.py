"""The figures of a classifier on one set of images: area under the curve, accuracy, sensitivity, specificity, with intervals.

Of two classes they are the positive class's at a threshold. With several classes each class stands against the rest, and area,
sensitivity and specificity are means over the classes that are there (macro averages). The call is the service's
(`derm_pacs.domain.operating_point`), which a test holds to it: calls by another rule would be figures of another product.
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
    Truth,
    Values,
    area_under_curve,
    effective,
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
    """The class that the threshold is for; None, of several classes alone: no operating point, the most probable class is the call."""
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
    def several(self) -> bool:
        """Whether figures are means over classes; of two classes they are the positive one's."""
        return bool(self.probabilities.shape[1] != 2)

    @property
    def scores(self) -> Values:
        """(N,) the positive class's probability; raises ValueError where there is no positive class."""
        if self.positive is None:
            raise ValueError("without an operating point there is no one score")
        return np.asarray(self.probabilities[:, self.positive])

    @property
    def called(self) -> NDArray[np.intp]:
        """(N,) class numbers of the calls: the positive class at or above its threshold, else the most probable of the others."""
        if self.positive is None:
            return np.asarray(self.probabilities.argmax(axis=1))
        others = self.probabilities.copy()
        others[:, self.positive] = -np.inf
        return np.where(self.scores >= self.threshold, self.positive, others.argmax(axis=1))

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
    if not judged.several:
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
    every = np.arange(len(judged.truth))
    figure = summary(statistic, every, samples)
    if judged.several:
        judged_by = [_lesions(judged, np.flatnonzero((judged.truth == one) == positives)) for one in np.unique(judged.truth)]
        return widened(figure, effective(judged_by, _lesions(judged, every)))
    images = np.flatnonzero((judged.truth == judged.positive) == positives)
    figure = widened(figure, _lesions(judged, images))
    return Figure(value=figure.value, low=figure.low, high=figure.high, n=len(images))


def _lesions(judged: Judged, images: Indices) -> int:
    return len({judged.groups[i] for i in images})


def _against_rest(judged: Judged, positive: Truth, scores: Values, threshold: float) -> Judged:
    """Return the images as those of two classes, of which the second is `positive` (N,) and has `scores` (N,)."""
    return Judged(
        truth=positive.astype(np.intp),
        probabilities=np.stack([1 - scores, scores], axis=1),
        groups=judged.groups,
        positive=1,
        threshold=threshold,
        baseline=None,
    )


def at_point(judged: Judged, point: OperatingPoint) -> dict[str, Figure]:
    """Return sensitivity and specificity of the positive class against the rest at a threshold, which is held, with their intervals."""
    moved = _against_rest(judged, judged.truth == judged.positive, judged.scores, point.threshold)
    samples = moved.samples()
    _, _, sensitivity, specificity = _statistics(moved)
    return {
        "sensitivity": _rate(sensitivity, moved, samples, positives=True),
        "specificity": _rate(specificity, moved, samples, positives=False),
    }


def each_class(judged: Judged, names: Sequence[str]) -> dict[str, dict[str, Figure]]:
    """Return area, sensitivity and specificity of each class that is there against the rest, called as the service calls."""
    samples = judged.samples()
    found: dict[str, dict[str, Figure]] = {}
    for one in np.unique(judged.truth):
        alone = _against_rest(judged, judged.truth == one, (judged.called == one).astype(np.float64), 0.5)
        own = judged.probabilities[:, one]
        _, _, sensitivity, specificity = _statistics(alone)
        truth = alone.truth == 1
        found[names[one]] = {
            "auc": _area(lambda i, truth=truth, own=own: area_under_curve(truth[i], own[i]), alone, samples),  # type: ignore[misc]
            "sensitivity": _rate(sensitivity, alone, samples, positives=True),
            "specificity": _rate(specificity, alone, samples, positives=False),
        }
    return found

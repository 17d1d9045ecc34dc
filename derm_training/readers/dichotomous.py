"""An algorithm beside readers: points on the ROC curve, and its specificity at each reader's sensitivity.

The operating point matched to a sensitivity is the largest threshold that reaches it (score >= threshold is positive);
images that share a score are called together, so that the sensitivity reached may be larger than the one asked for. At a
sensitivity of 0 nothing is called positive and the threshold is infinite. The comparison is that of Brinker et al., Eur J
Cancer 2019;111:148-154: each reader a point, mean and range over readers, the network at the same sensitivity.

Intervals are the 2.5 and 97.5 percentiles of a bootstrap over images (by group, where one is named), the reader's
sensitivity and the matched threshold drawn anew each time; figures over readers draw the readers too. As in
`measuring.statistics` a share's interval is no narrower than Wilson's for so many groups, and an AUC of 1 or 0 has that
too. Other figures have none where no draw varies, and of one group alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from derm_training.measuring.statistics import Figure, area_under_curve, limits, widened
from derm_training.readers.reader_tables import UNREAD, Reader, Study, scoring_reader

Draws = NDArray[np.float64]
"""(draws,) or (draws, readers): a statistic's values in the draws of a bootstrap."""

Weights = NDArray[np.uint16]
"""(draws, N): how often each image stands in each draw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """The algorithm at the largest threshold that reaches a sensitivity; infinite where nothing needs to be called."""

    threshold: float
    sensitivity: float
    specificity: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A reader on the ROC plane, and the algorithm at this reader's sensitivity on the images that the reader read."""

    reader: str
    rank: str
    threshold: float | None
    """Of a reader who gave scores."""
    auc: Figure | None
    """Of a reader who gave scores."""
    sensitivity: Figure
    specificity: Figure
    matched: Matched
    difference: Figure
    """The algorithm's specificity less the reader's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A mean over readers with its interval, and the least and the largest of them."""

    mean: Figure
    least: float
    largest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Readers of one rank, or all of them, against the algorithm."""

    rank: str
    readers: int
    sensitivity: Spread
    specificity: Spread
    matched_specificity: Spread
    """Mean and range of the algorithm's specificity at each reader's sensitivity."""
    difference: Figure
    """Mean over readers of the algorithm's specificity less the reader's."""
    at_mean_sensitivity: Matched
    """The algorithm at the readers' mean sensitivity, on all images."""
    below_curve: int
    """Readers whose specificity is less than the algorithm's at their sensitivity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One algorithm against all readers."""

    score: str
    auc: Figure
    curve: tuple[tuple[float, float], ...]
    """(1 - specificity, sensitivity) from (0, 0) to (1, 1), one for each distinct score."""
    points: tuple[Point, ...]
    groups: tuple[Group, ...]
    """All readers first, then each rank where ranks are named; empty without readers."""
    asked: tuple[Matched, ...]
    """At the sensitivities that were asked for by number."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reached:
    """Operating points of a curve, (draws,) each; NaN where a draw has no positive or asks for no number."""

    threshold: Draws
    sensitivity: Draws
    specificity: Draws

    def as_matched(self, drawn: Draws, n: int, negatives: int) -> Matched:
        """Return the first of them with the interval of `drawn`, its specificity in each draw, on so many negative groups."""
        return Matched(
            threshold=float(self.threshold[0]),
            sensitivity=float(self.sensitivity[0]),
            specificity=widened(figure(float(self.specificity[0]), drawn, n), negatives),
        )


class Curve:
    """The ROC curve of scores (N,), higher for positives, against truth (N,), under any weights of the images."""

    def __init__(self, truth: NDArray[np.int8], scores: NDArray[np.float64]) -> None:
        self._thresholds = np.unique(scores)[::-1]
        place = np.searchsorted(-self._thresholds, -scores)  # of each image's score among the falling thresholds
        self._sides = [self._side(truth == 1, place), self._side(truth != 1, place)]

    def _side(self, mine: NDArray[np.bool_], place: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the images of one class by falling score, and how many of them are at or above each threshold."""
        images = np.flatnonzero(mine)
        falling = images[np.argsort(place[images], kind="stable")]
        return falling, np.searchsorted(place[falling], np.arange(len(self._thresholds)), side="right")

    def _called(self, weights: Weights) -> list[NDArray[np.int32]]:
        """Return for positives and negatives how many are at or above each threshold: (draws, 1 + thresholds), first none."""
        called = []
        for images, upto in self._sides:
            sums = np.zeros((len(weights), len(images) + 1), dtype=np.int32)
            np.cumsum(weights[:, images], axis=1, dtype=np.int32, out=sums[:, 1:])
            called.append(sums[:, np.concatenate([[0], upto])])
        return called

    def at(self, sensitivity: Draws, weights: Weights) -> Reached:
        """Return the operating points that reach sensitivities (draws,) under weights (draws, N)."""
        positives, negatives = self._called(weights)
        wanted = sensitivity * positives[:, -1] - 1e-9  # a share such as 98/113 must not miss by its rounding
        known = np.isfinite(wanted) & (positives[:, -1] > 0)
        index = np.argmax(positives >= np.where(known, wanted, 0)[:, None], axis=1)
        rows = np.arange(len(weights))
        with np.errstate(invalid="ignore", divide="ignore"):
            return Reached(
                threshold=np.concatenate([[np.inf], self._thresholds])[index],
                sensitivity=np.where(known, positives[rows, index] / positives[:, -1], np.nan),
                specificity=np.where(known, (negatives[:, -1] - negatives[rows, index]) / negatives[:, -1], np.nan),
            )

    def areas(self, weights: Weights) -> Draws:
        """Return the area under the curve (draws,) under weights (draws, N): ties count half."""
        positives, negatives = (called.astype(np.float64) for called in self._called(weights))
        pairs = (np.diff(negatives, axis=1) * (positives[:, 1:] + positives[:, :-1])).sum(axis=1) / 2
        with np.errstate(invalid="ignore"):
            return np.asarray(pairs / (positives[:, -1] * negatives[:, -1]))

    def points(self) -> tuple[tuple[float, float], ...]:
        """Return (1 - specificity, sensitivity) from (0, 0) to (1, 1), one more for each distinct score."""
        positives, negatives = (upto / len(images) for images, upto in self._sides)
        return ((0.0, 0.0), *((float(right), float(up)) for right, up in zip(negatives, positives, strict=True)))


class Resampling:
    """The draws of a bootstrap over a study's images; every figure of the study is taken from the same draws.

    Of one group alone there are none: drawn again and again it says nothing of other groups.
    """

    def __init__(self, groups: Sequence[str], *, draws: int, seed: int) -> None:
        _, numbers = np.unique(np.asarray(groups), return_inverse=True)
        count = int(numbers.max()) + 1
        random = np.random.default_rng(seed)
        self.draws = draws if count > 1 else 0
        self._groups = groups
        self._seed = seed
        self.weights: Weights = np.empty((self.draws, len(groups)), dtype=np.uint16)
        """How often each image is drawn, (draws, N): groups with replacement and whole, as many as there are."""
        for row in self.weights:
            row[:] = np.bincount(random.integers(0, count, count), minlength=count)[numbers]

    def members(self, count: int) -> NDArray[np.intp]:
        """Return (draws, count): which of `count` readers stand in each draw, with replacement."""
        return np.random.default_rng(self._seed + 1).integers(0, count, (self.draws, count))

    def area(self, truth: NDArray[np.int8], scores: NDArray[np.float64], read: NDArray[np.bool_]) -> Figure:
        """Return the area under the ROC curve of the images that were read, with its interval.

        One without an error, or of errors alone, never varies: it has the interval of a share of the rarer class's groups.
        """
        drawn = Curve(truth[read], scores[read]).areas(self.weights[:, read])
        found = figure(area_under_curve(truth[read], scores[read]), drawn, int(read.sum()))
        if 0 < found.value < 1:
            return found
        return widened(found, min(groups_among(self._groups, read & (truth == value)) for value in (0, 1)))


def compare(
    study: Study, *, sensitivities: Sequence[float] = (), draws: int = 2000, seed: int = 0
) -> tuple[Comparison, ...]:
    """Compare each score of the study with all its readers, on the same draws; also at `sensitivities` given by number."""
    resampling = Resampling(study.groups, draws=draws, seed=seed)
    return tuple(_compare(study, score, sensitivities, resampling) for score in study.scores)


def tenths(study: Study, reader: Reader) -> tuple[tuple[Reader, Mapping[str, Matched]], ...]:
    """Return a scoring reader at thresholds 0.1 to 0.9, with each algorithm matched to it; nothing is drawn for them."""
    if reader.scores is None:
        return ()
    made = []
    for tenth in range(1, 10):
        at = scoring_reader(reader.name, reader.rank, reader.scores, tenth / 10)
        made.append((at, {score: _Pair(study, at, values).matched(np.empty(0)) for score, values in study.scores.items()}))
    return tuple(made)


def rates(truth: NDArray[np.int8], calls: NDArray[np.int8], weights: Weights) -> tuple[Draws, Draws]:
    """Return sensitivity and specificity (draws,) of calls (N,) under weights (draws, N); images not read count nowhere."""
    read = calls != UNREAD
    with np.errstate(invalid="ignore"):
        return (
            _count(weights, (truth == 1) & (calls == 1)) / _count(weights, (truth == 1) & read),
            _count(weights, (truth == 0) & (calls == 0)) / _count(weights, (truth == 0) & read),
        )


def groups_among(groups: Sequence[str], chosen: NDArray[np.bool_]) -> int:
    """Return how many groups the chosen images (N,) are of."""
    return len({group for group, here in zip(groups, chosen, strict=True) if here})


def once(n: int) -> Weights:
    """Return the weights (1, n) of the table itself: each image once."""
    return np.ones((1, n), dtype=np.uint16)


def _count(weights: Weights, chosen: NDArray[np.bool_]) -> Draws:
    return np.asarray(weights[:, chosen].sum(axis=1, dtype=np.float64))


class _Pair:
    """A reader and an algorithm on the images that the reader read."""

    def __init__(self, study: Study, reader: Reader, scores: NDArray[np.float64]) -> None:
        self.reader = reader
        self._read = reader.calls != UNREAD
        self._truth = study.truth[self._read]
        self._calls = reader.calls[self._read]
        self._curve = Curve(self._truth, scores[self._read])
        self.n = len(self._truth)
        self.positives, self.negatives = (
            groups_among(study.groups, self._read & (study.truth == value)) for value in (1, 0)
        )
        """Groups that the reader read."""

    def rates(self, weights: Weights) -> tuple[Draws, Draws, Draws]:
        """Return the reader's sensitivity and specificity and the algorithm's matched specificity, (draws,) each."""
        mine = weights[:, self._read]
        sensitivity, specificity = rates(self._truth, self._calls, mine)
        return sensitivity, specificity, self._curve.at(sensitivity, mine).specificity

    def present(self) -> tuple[float, float, float]:
        """Return the three rates of the table itself."""
        sensitivity, specificity, matched = self.rates(once(len(self._read)))
        return float(sensitivity[0]), float(specificity[0]), float(matched[0])

    def matched(self, drawn: Draws) -> Matched:
        """Return the algorithm at this reader's sensitivity; `drawn` is its specificity in each draw."""
        sensitivity, _ = rates(self._truth, self._calls, once(self.n))
        return self._curve.at(sensitivity, once(self.n)).as_matched(drawn, self.n, self.negatives)


def _compare(study: Study, score: str, sensitivities: Sequence[float], resampling: Resampling) -> Comparison:
    values = study.scores[score]
    curve = Curve(study.truth, values)
    pairs = [_Pair(study, reader, values) for reader in study.readers]
    drawn = _drawn(pairs, resampling)
    return Comparison(
        score=score,
        auc=resampling.area(study.truth, values, np.ones(len(values), dtype=np.bool_)),
        curve=curve.points(),
        points=tuple(_point(study, pair, drawn[:, number], resampling) for number, pair in enumerate(pairs)),
        groups=tuple(_groups(study, curve, pairs, drawn, resampling)),
        asked=tuple(
            _at(study, curve, wanted, np.full(resampling.draws, wanted), resampling) for wanted in sensitivities
        ),
    )


def _drawn(pairs: Sequence[_Pair], resampling: Resampling) -> NDArray[np.float64]:
    """Return (draws, readers, 3): sensitivity, specificity, matched specificity of each reader in each draw."""
    if not pairs:
        return np.empty((resampling.draws, 0, 3))
    return np.stack([np.stack(pair.rates(resampling.weights), axis=-1) for pair in pairs], axis=1)


def _point(study: Study, pair: _Pair, drawn: NDArray[np.float64], resampling: Resampling) -> Point:
    reader, read = pair.reader, pair.reader.calls != UNREAD
    sensitivity, specificity, matched = pair.present()
    return Point(
        reader=reader.name,
        rank=reader.rank,
        threshold=reader.threshold,
        auc=None
        if reader.scores is None
        else resampling.area(study.truth, reader.scores, read),
        sensitivity=widened(figure(sensitivity, drawn[:, 0], pair.n), pair.positives),
        specificity=widened(figure(specificity, drawn[:, 1], pair.n), pair.negatives),
        matched=pair.matched(drawn[:, 2]),
        difference=figure(matched - specificity, drawn[:, 2] - drawn[:, 1], pair.n),
    )


def _groups(
    study: Study, curve: Curve, pairs: Sequence[_Pair], drawn: NDArray[np.float64], resampling: Resampling
) -> Iterator[Group]:
    """Give all readers together, then those of each rank."""
    ranks = sorted({reader.rank for reader in study.readers} - {""})
    for rank in ("", *ranks) if pairs else ():
        members = [i for i, reader in enumerate(study.readers) if not rank or reader.rank == rank]
        yield _group(study, curve, rank, ([pairs[i] for i in members], drawn[:, members]), resampling)


def _group(
    study: Study, curve: Curve, rank: str, members: tuple[Sequence[_Pair], NDArray[np.float64]], resampling: Resampling
) -> Group:
    """`members`: the readers of the rank, and their rates (draws, readers, 3) in each draw."""
    pairs, drawn = members
    present = np.array([pair.present() for pair in pairs])  # (readers, 3)
    chosen = resampling.members(len(present))
    means = np.take_along_axis(drawn, chosen[:, :, None], axis=1).mean(axis=1)  # (draws, 3)
    n = len(study.truth)
    sensitivity, specificity, matched = (
        Spread(
            mean=figure(float(present[:, column].mean()), means[:, column], n),
            least=float(present[:, column].min()),
            largest=float(present[:, column].max()),
        )
        for column in range(3)
    )
    return Group(
        rank=rank,
        readers=len(present),
        sensitivity=sensitivity,
        specificity=specificity,
        matched_specificity=matched,
        difference=figure(matched.mean.value - specificity.mean.value, means[:, 2] - means[:, 1], n),
        at_mean_sensitivity=_at(study, curve, sensitivity.mean.value, means[:, 0], resampling),
        below_curve=int((present[:, 2] > present[:, 1]).sum()),
    )


def _at(study: Study, curve: Curve, wanted: float, drawn: Draws, resampling: Resampling) -> Matched:
    """Match the algorithm to a sensitivity on all images; `drawn` is that sensitivity in each draw."""
    present = curve.at(np.array([wanted]), once(len(study.truth)))
    negatives = groups_among(study.groups, study.truth == 0)
    return present.as_matched(curve.at(drawn, resampling.weights).specificity, len(study.truth), negatives)


def figure(value: float, drawn: Draws, n: int) -> Figure:
    """Return a value of `n` images with the limits of its draws (draws,)."""
    low, high = limits(drawn)
    return Figure(value=value, low=low, high=high, n=n)

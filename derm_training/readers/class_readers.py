"""A classifier of several classes beside readers who name one class for each image, on all classes or on a subset of them.

The comparison of Zhu et al., Front Med 2021;8:626369, with readers on 8 of 14 classes: accuracy, and each class's sensitivity and
specificity against the rest. An image whose class is not among those named is left out and counted; a call that names
another class is wrong. Where the algorithm gives probabilities, its call is the most probable of the classes that are asked for.

Intervals are as in `readers`: 95 %, bootstrap over images by group, over readers too for a mean over readers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from derm_training.measuring.statistics import Figure, effective, widened
from derm_training.readers.dichotomous import Resampling, Spread, Weights, figure, groups_among, once
from derm_training.readers.reader_tables import UNREAD, Arranged, Called, Columns, arranged, group_notes
from derm_training.readers.sheet import UnusableTable

Calls = NDArray[np.intp]
"""(N,): number of the class, the number of classes for another one, UNREAD."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Caller:
    """A reader, or the algorithm."""

    name: str
    rank: str
    calls: Calls


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassStudy:
    """Images with truth (N,) among the classes, the algorithm's calls, and those of readers."""

    title: str
    classes: tuple[str, ...]
    truth: NDArray[np.intp]
    groups: tuple[str, ...]
    algorithm: Caller
    readers: tuple[Caller, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassPoint:
    """One caller: accuracy and macro means over the classes; of a reader also the algorithm's accuracy on the same images."""

    name: str
    rank: str
    accuracy: Figure
    sensitivity: Figure
    specificity: Figure
    algorithm: Figure | None
    difference: Figure | None
    """The algorithm's accuracy less the reader's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassLine:
    """One class against the rest: the algorithm, and mean and range over readers (None without readers)."""

    name: str
    n: int
    sensitivity: Figure
    specificity: Figure
    readers_sensitivity: Spread | None
    readers_specificity: Spread | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassComparison:
    """The algorithm beside all readers."""

    algorithm: ClassPoint
    readers: tuple[ClassPoint, ...]
    accuracy: Spread | None
    """Over readers."""
    difference: Figure | None
    """Mean over readers of the algorithm's accuracy less the reader's."""
    classes: tuple[ClassLine, ...]


def read_class_study(
    table: Path,
    columns: Columns,
    classes: Sequence[str],
    *,
    prediction: str | None = None,
    probabilities: str | None = None,
    images: Path | None = None,
) -> ClassStudy:
    """Read a table of class names; the algorithm stands in the column `prediction`, or in columns `probabilities` + class.

    Raises UnusableTable naming file, column, row and remedy.
    """
    if (prediction is None) == (probabilities is None):
        raise UnusableTable(
            f"{table}: the algorithm's calls are not named once", "name their column by --prediction, or columns of probabilities by --probabilities"
        )
    if len(set(classes)) != len(classes) or len(classes) < 2:
        raise UnusableTable(f"the classes {', '.join(classes)} are not two or more different ones", "name each class once by --classes")
    here = arranged(table, columns, images)
    here.sheet.require(*([prediction] if prediction else [f"{probabilities}{one}" for one in classes]))
    labels = [here.sheet.cell(row, columns.label) for row in here.rows]
    for one in classes:
        if one not in labels:
            known = ", ".join(sorted(set(labels))[:30])
            raise UnusableTable(f"{here.sheet.file}, column {columns.label!r}: no image is {one!r}", f"the column holds {known}")
    kept = [index for index, one in enumerate(labels) if one in classes]
    notes = [] if len(kept) == len(labels) else [f"{len(labels) - len(kept)} of {len(labels)} images are of other classes and left out."]
    algorithm = _calls([here.sheet.cell(row, prediction) for row in here.rows], classes) if prediction else _probable(here, str(probabilities), classes)
    if (algorithm[kept] == UNREAD).any():
        row = next(here.rows[index] for index in kept if algorithm[index] == UNREAD)
        raise here.sheet.wrong(row, str(prediction), "the algorithm has called no class", "write its call, or leave the row out")
    callers = [Caller(name=one.name, rank=one.rank, calls=_called(one, classes)[kept]) for one in here.readers]
    study = ClassStudy(
        title=table.name,
        classes=tuple(classes),
        truth=np.array([list(classes).index(labels[index]) for index in kept], dtype=np.intp),
        groups=tuple(here.groups[index] for index in kept),
        algorithm=Caller(name=prediction or f"{probabilities}…", rank="", calls=algorithm[kept]),
        readers=tuple(sorted(callers, key=lambda one: one.name)),
        notes=(),
    )
    for caller in study.readers:
        if (caller.calls == UNREAD).all():
            raise UnusableTable(f"{table}: the reader {caller.name!r} has called no image of these classes", "leave this reader out")
    return _ordered(study, (*notes, *group_notes(study.groups), *_notes(study)))


def _calls(texts: Sequence[str], classes: Sequence[str]) -> Calls:
    number = {one: index for index, one in enumerate(classes)} | {"": UNREAD}
    return np.array([number.get(text, len(classes)) for text in texts], dtype=np.intp)


def _called(called: Called, classes: Sequence[str]) -> Calls:
    return _calls([text for _, text in called.cells()], classes)


def _probable(here: Arranged, prefix: str, classes: Sequence[str]) -> Calls:
    shares = np.array([[here.sheet.number(row, f"{prefix}{one}") for one in classes] for row in here.rows])
    return np.asarray(shares.argmax(axis=1))


def _notes(study: ClassStudy) -> list[str]:
    notes = []
    for one in (study.algorithm, *study.readers):
        if other := int((one.calls == len(study.classes)).sum()):
            notes.append(f"{one.name} named another class in {other} images, which counts as wrong.")
        if unread := int((one.calls == UNREAD).sum()):
            notes.append(f"{one.name} did not read {unread} of {len(one.calls)} images; the algorithm is compared on the others.")
    return notes


def _ordered(study: ClassStudy, notes: tuple[str, ...]) -> ClassStudy:
    """Put the images into an order of their contents, so that no draw depends on the order of the rows."""
    rows = list(zip(study.groups, study.truth.tolist(), study.algorithm.calls.tolist(), *(one.calls.tolist() for one in study.readers), strict=True))
    order = np.array(sorted(range(len(rows)), key=lambda index: rows[index]))
    return ClassStudy(
        title=study.title,
        classes=study.classes,
        truth=study.truth[order],
        groups=tuple(study.groups[i] or f"{place:09d}" for place, i in enumerate(order)),
        algorithm=_reordered(study.algorithm, order),
        readers=tuple(_reordered(one, order) for one in study.readers),
        notes=notes,
    )


def _reordered(caller: Caller, order: NDArray[np.intp]) -> Caller:
    return Caller(name=caller.name, rank=caller.rank, calls=caller.calls[order])


def class_rates(truth: Calls, calls: Calls, classes: int, weights: Weights) -> NDArray[np.float64]:
    """Return (draws, 3 + 2 * classes): accuracy, macro sensitivity, macro specificity, each class's sensitivity, then specificity.

    Under weights (draws, N), on the images that were read; NaN where a class is absent, which macro means leave out.
    """
    read = calls != UNREAD
    truth, calls, drawn = truth[read], calls[read], weights[:, read].astype(np.float32)  # counts below 2**24 are exact
    is_one, says_one = (np.asarray(one)[:, None] == np.arange(classes) for one in (truth, calls))
    with np.errstate(invalid="ignore"):
        accuracy = drawn @ (truth == calls).astype(np.float32) / drawn.sum(axis=1)
        sensitivity = drawn @ (is_one & says_one).astype(np.float32) / (drawn @ is_one.astype(np.float32))
        specificity = drawn @ (~is_one & ~says_one).astype(np.float32) / (drawn @ (~is_one).astype(np.float32))
    macro = [np.ma.masked_invalid(one).mean(axis=1).filled(np.nan) for one in (sensitivity, specificity)]
    return np.column_stack([accuracy, *macro, sensitivity, specificity]).astype(np.float64)


def compare_classes(study: ClassStudy, *, draws: int = 2000, seed: int = 0) -> ClassComparison:
    """Compare the algorithm with all readers, on the same draws."""
    resampling = Resampling(study.groups, draws=draws, seed=seed)
    count = len(study.classes)

    def of(calls: Calls) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return (
            class_rates(study.truth, calls, count, once(len(calls)))[0],
            class_rates(study.truth, calls, count, resampling.weights),
        )

    mine, mine_drawn = of(study.algorithm.calls)
    points, presents, drawn = [], [], []
    for reader in study.readers:
        present, each = of(reader.calls)
        beside, beside_drawn = of(np.where(reader.calls == UNREAD, UNREAD, study.algorithm.calls))
        presents.append(np.append(present, beside[0] - present[0]))
        drawn.append(np.column_stack([each, beside_drawn[:, 0] - each[:, 0]]))
        points.append(_point(study, reader, (present, each), (float(beside[0]), beside_drawn[:, 0])))
    spreads = _spreads(np.array(presents), np.array(drawn), resampling, len(study.truth)) if points else None
    return ClassComparison(
        algorithm=_point(study, study.algorithm, (mine, mine_drawn), None),
        readers=tuple(points),
        accuracy=spreads[0] if spreads else None,
        difference=spreads[-1].mean if spreads else None,
        classes=tuple(
            ClassLine(
                name=name,
                n=int((study.truth == number).sum()),
                sensitivity=widened(_figure(mine, mine_drawn, 3 + number, study), groups_among(study.groups, study.truth == number)),
                specificity=widened(_figure(mine, mine_drawn, 3 + count + number, study), groups_among(study.groups, study.truth != number)),
                readers_sensitivity=spreads[3 + number] if spreads else None,
                readers_specificity=spreads[3 + count + number] if spreads else None,
            )
            for number, name in enumerate(study.classes)
        ),
    )


def _point(
    study: ClassStudy,
    caller: Caller,
    own: tuple[NDArray[np.float64], NDArray[np.float64]],
    beside: tuple[float, NDArray[np.float64]] | None,
) -> ClassPoint:
    present, drawn = own
    read = caller.calls != UNREAD
    n, lesions = int(read.sum()), groups_among(study.groups, read)
    own_class, others = (
        [groups_among(study.groups, read & ((study.truth == one) == is_one)) for one in range(len(study.classes))] for is_one in (True, False)
    )
    worth = (lesions, effective(own_class, lesions), effective(others, lesions))
    accuracy, sensitivity, specificity = (
        widened(figure(float(present[column]), drawn[:, column], n), worth[column]) for column in range(3)
    )
    return ClassPoint(
        name=caller.name,
        rank=caller.rank,
        accuracy=accuracy,
        sensitivity=sensitivity,
        specificity=specificity,
        algorithm=None if beside is None else widened(figure(*beside, n), lesions),
        difference=None if beside is None else figure(beside[0] - float(present[0]), beside[1] - drawn[:, 0], n),
    )


def _spreads(present: NDArray[np.float64], drawn: NDArray[np.float64], resampling: Resampling, n: int) -> list[Spread]:
    """Return mean and range over readers of each column; `present` (readers, columns), `drawn` (readers, draws, columns)."""
    chosen = resampling.members(len(present))  # (draws, readers)
    draws = np.arange(chosen.shape[0])
    spreads = []
    for column in range(present.shape[1]):
        means = np.ma.masked_invalid(drawn[chosen, draws[:, None], column]).mean(axis=1).filled(np.nan)
        each = present[np.isfinite(present[:, column]), column]
        empty = not len(each)
        spreads.append(
            Spread(
                mean=figure(float("nan") if empty else float(each.mean()), means, n),
                least=float("nan") if empty else float(each.min()),
                largest=float("nan") if empty else float(each.max()),
            )
        )
    return spreads


def _figure(present: NDArray[np.float64], drawn: NDArray[np.float64], column: int, study: ClassStudy) -> Figure:
    return figure(float(present[column]), drawn[:, column], len(study.truth))

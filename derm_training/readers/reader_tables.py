"""Tables of a reader study: who called which image what, beside the truth and an algorithm's score.

Two shapes. Wide: one row an image, one column a reader, with calls (0 or 1) or scores (numbers). Long: one row a call,
with columns that name the image and the reader; label and scores stand in each row or in a second table of images.
Images are put into an order of their contents, so that no figure depends on the order of the rows.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from derm_training.readers.sheet import Sheet, UnusableTable, read_sheet, same_word

UNREAD = -1
"""Stands for the call of a reader who did not read the image."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reader:
    """One reader: calls (N,) of 0, 1 and UNREAD; of a reader who gave scores also these (N,), and the threshold of the calls."""

    name: str
    rank: str
    calls: NDArray[np.int8]
    scores: NDArray[np.float64] | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Study:
    """Images with truth (N,) of 0 and 1, the scores (N,) of one or more algorithms by column, groups (lesions) and readers."""

    title: str
    truth: NDArray[np.int8]
    scores: dict[str, NDArray[np.float64]]
    groups: tuple[str, ...]
    readers: tuple[Reader, ...]
    notes: tuple[str, ...] = ()
    """Sentences on what was left out and on how the table was understood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What the columns of a study's table are called."""

    label: str
    scores: tuple[str, ...]
    readers: tuple[str, ...]
    """Wide: the readers' columns. Long: the one column that names the reader."""
    call: str | None = None
    """Long: the column of calls; None says that the table is wide."""
    image: str | None = None
    group: str | None = None
    rank: str | None = None
    """Long: the column of a reader's rank, such as attending or resident."""
    positive: str | None = None
    """The label (and, in calls, the word) that counts as 1 where these are names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """Where one reader's calls stand: the row of each image (None: not read) in a column of a sheet."""

    name: str
    rank: str
    sheet: Sheet
    column: str
    rows: tuple[int | None, ...]

    def cells(self) -> list[tuple[int, str]]:
        """Return row and text for each image; (-1, "") where it was not read."""
        return [(-1, "") if row is None else (row, self.sheet.cell(row, self.column)) for row in self.rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arranged:
    """A table of either shape, brought to one: the row of each image, its group ("" where none is named), each reader's calls."""

    sheet: Sheet
    rows: tuple[int, ...]
    groups: tuple[str, ...]
    readers: tuple[Called, ...]


def arranged(table: Path, columns: Columns, images: Path | None = None) -> Arranged:
    """Read a table; `images` is the second table of the long shape. Raises UnusableTable."""
    sheet = read_sheet(table)
    if columns.call is None:
        return _wide(sheet, columns)
    return _long(sheet, sheet if images is None else read_sheet(images), columns)


def read_study(table: Path, columns: Columns, thresholds: dict[str, float], images: Path | None = None) -> Study:
    """Read a table of two classes; `thresholds` by reader turn scores into calls (0.5 where none is named).

    Raises UnusableTable naming file, column, row and remedy.
    """
    here = arranged(table, columns, images)
    worded = () if columns.positive is None else _words(here, columns.label, columns.positive)
    readers = tuple(_reader(one, columns.positive, thresholds) for one in here.readers)
    study = Study(
        title=table.name,
        truth=np.array([here.sheet.truth(row, columns.label, columns.positive) for row in here.rows], dtype=np.int8),
        scores={name: np.array([here.sheet.number(row, name) for row in here.rows]) for name in columns.scores},
        groups=here.groups,
        readers=readers,
        notes=(*worded, *group_notes(here.groups), *_notes(readers)),
    )
    if study.truth.all() or not study.truth.any():
        held = "positive" if study.truth.all() else "negative"
        raise UnusableTable(
            f"{table}, column {columns.label!r}: every image is {held}", "a comparison needs both; look at --label and --positive"
        )
    for reader in study.readers:
        for value, word in ((1, "positive"), (0, "negative")):
            if not ((study.truth == value) & (reader.calls != UNREAD)).any():
                raise UnusableTable(f"{table}: the reader {reader.name!r} has called no {word} image", "leave this reader out")
    return ordered(study)


def ordered(study: Study) -> Study:
    """Return the study with its images in an order of their contents: no draw of a bootstrap depends on the rows' order."""
    keys: list[Sequence[object]] = [study.groups, *(study.scores[name].tolist() for name in sorted(study.scores))]
    for reader in sorted(study.readers, key=lambda one: one.name):
        keys += [reader.calls.tolist(), [] if reader.scores is None else np.nan_to_num(reader.scores, nan=-np.inf).tolist()]
    if not any(study.groups):
        keys = keys[1:]
    rows = list(zip(study.truth.tolist(), *(key for key in keys if len(key)), strict=True))
    order = np.array(sorted(range(len(rows)), key=lambda index: rows[index]))
    return Study(
        title=study.title,
        truth=study.truth[order],
        scores={name: values[order] for name, values in study.scores.items()},
        groups=tuple(study.groups[i] for i in order) if any(study.groups) else tuple(f"{i:09d}" for i in range(len(order))),
        readers=tuple(
            Reader(
                name=one.name,
                rank=one.rank,
                calls=one.calls[order],
                scores=None if one.scores is None else one.scores[order],
                threshold=one.threshold,
            )
            for one in sorted(study.readers, key=lambda one: one.name)
        ),
        notes=study.notes,
    )


def _wide(sheet: Sheet, columns: Columns) -> Arranged:
    sheet.require(columns.label, *columns.scores, *columns.readers, *([columns.group] if columns.group else []))
    if columns.image is not None:
        sheet.require(columns.image)
        _once(sheet, columns.image)
    rows = tuple(range(len(sheet.rows)))
    return Arranged(
        sheet=sheet,
        rows=rows,
        groups=tuple(sheet.cell(row, columns.group) or f"row {row + 2}" if columns.group else "" for row in rows),
        readers=tuple(Called(name=name, rank="", sheet=sheet, column=name, rows=rows) for name in columns.readers),
    )


def _long(calls: Sheet, images: Sheet, columns: Columns) -> Arranged:
    if columns.image is None or columns.call is None or len(columns.readers) != 1:
        raise UnusableTable(
            f"{calls.file} is read as one row a call", "name the image's column by --image and the reader's by --reader, once each"
        )
    (who,) = columns.readers
    calls.require(columns.image, who, columns.call, *([columns.rank] if columns.rank else []))
    images.require(columns.image, columns.label, *columns.scores, *([columns.group] if columns.group else []))
    first = _images(images, columns)
    place = {name: index for index, name in enumerate(first)}
    found: dict[str, list[int | None]] = {}
    ranks: dict[str, str] = {}
    for row in range(len(calls.rows)):
        image, name = calls.cell(row, columns.image), calls.cell(row, who)
        if image not in place:
            raise calls.wrong(row, columns.image, f"the image {image!r} is not in {images.file}", "add the image there, or leave the row out")
        if not name:
            raise calls.wrong(row, who, "no reader is named", "write who called it")
        mine = found.setdefault(name, [None] * len(first))
        if mine[place[image]] is not None:
            raise calls.wrong(row, who, f"{name!r} has called {image!r} before", "keep one call of each reader for each image")
        mine[place[image]] = row
        rank = calls.cell(row, columns.rank) if columns.rank else ""
        if ranks.setdefault(name, rank) != rank:
            raise calls.wrong(row, str(columns.rank), f"{name!r} is {rank!r} here and {ranks[name]!r} before", "give a reader one rank")
    return Arranged(
        sheet=images,
        rows=tuple(first.values()),
        groups=tuple((images.cell(row, columns.group) if columns.group else "") or name for name, row in first.items()),
        readers=tuple(
            Called(name=name, rank=ranks[name], sheet=calls, column=columns.call, rows=tuple(rows)) for name, rows in found.items()
        ),
    )


def _images(images: Sheet, columns: Columns) -> dict[str, int]:
    """Return each image's first row; rows of one image must agree on label and scores."""
    first: dict[str, int] = {}
    for row in range(len(images.rows)):
        name = images.cell(row, str(columns.image))
        if not name:
            raise images.wrong(row, str(columns.image), "no image is named", "write which image it is")
        before = first.setdefault(name, row)
        for column in (columns.label, *columns.scores):
            if images.cell(before, column) != images.cell(row, column):
                raise images.wrong(
                    row, column, f"{images.cell(row, column)!r} for {name!r}, but row {before + 2} has {images.cell(before, column)!r}",
                    "give each image one label and one score",
                )  # fmt: skip
    return first


def _once(sheet: Sheet, column: str) -> None:
    seen: dict[str, int] = {}
    for row in range(len(sheet.rows)):
        name = sheet.cell(row, column)
        if name in seen:
            raise sheet.wrong(
                row, column, f"{name!r} stands in row {seen[name] + 2} too", "keep one row an image, or name the column of calls by --call"
            )
        seen[name] = row


def _value(sheet: Sheet, row: int, column: str, positive: str | None) -> float:
    """Return a call or score; NaN for an empty cell: not read. Words are calls where the positive one is named."""
    text = sheet.cell(row, column)
    if not text:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        if positive is None:
            raise sheet.wrong(
                row, column, f"{text!r} is no number", "write 0 or 1, a score, or nothing; or say by --positive which word counts as 1"
            ) from None
        return float(same_word(text, positive))
    if not math.isfinite(value):
        raise sheet.wrong(row, column, f"{text!r} is no finite number", "write 0 or 1, a score, or nothing for an image that was not read")
    return value


def _words(here: Arranged, label: str, positive: str) -> tuple[str, ...]:
    """Return notes on the labels and words of calls that count as negative where `positive` names the others.

    One diagnosis may stand against several, so labels may be of many words. A reader's column that has two is refused: the second
    is a slip of the pen, or stands for no call at all.
    """
    labels = Counter(here.sheet.cell(row, label) for row in here.rows)
    calls: dict[tuple[Path, str], Counter[str]] = {}
    for called in here.readers:
        calls.setdefault((called.sheet.file, called.column), Counter()).update(text for _, text in called.cells())
    words: Counter[str] = Counter()
    for (file, column), texts in calls.items():
        if _is_number(positive) and float(positive) != 1 and any(_is_number(text) for text in texts):
            raise UnusableTable(
                f"{file}, column {column!r}: calls are numbers, of which 1 is positive, and --positive {positive} says otherwise",
                "write 0 and 1 into the columns of labels and calls, or words",
            )
        others = Counter({text: times for text, times in texts.items() if text and not same_word(text, positive)})
        mine = Counter({text: times for text, times in others.items() if not _is_number(text)})
        numbers = others.total() - mine.total()
        if len(mine) + bool(numbers) > 1 and mine:
            held = ", ".join(([f"numbers ({numbers})"] if numbers else []) + [_listed(mine)])
            raise UnusableTable(
                f"{file}, column {column!r}: calls other than {positive!r} are {held}",
                "write one word for every negative call, and leave the cell empty where the image was not read",
            )
        words.update(mine)
    labels = Counter({text: times for text, times in labels.items() if not same_word(text, positive)})
    return tuple(
        f"{what} other than {positive!r} count as negative: {_listed(found)}."
        for what, found in (("Labels", labels), ("Calls", words))
        if found
    )


def _listed(words: Counter[str]) -> str:
    """Return words with how often they stand there, the most frequent first."""
    return ", ".join(f"{word!r} ({times})" for word, times in sorted(words.items(), key=lambda one: (-one[1], one[0])))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _reader(called: Called, positive: str | None, thresholds: dict[str, float]) -> Reader:
    name = called.name
    numbers = np.array([
        math.nan if row is None else _value(called.sheet, row, called.column, positive) for row in called.rows
    ])
    read = np.isfinite(numbers)
    if name not in thresholds and np.isin(numbers[read], (0, 1)).all():
        return Reader(name=name, rank=called.rank, calls=np.where(read, np.nan_to_num(numbers), UNREAD).astype(np.int8))
    return scoring_reader(name, called.rank, numbers, thresholds.get(name, 0.5))


def scoring_reader(name: str, rank: str, scores: NDArray[np.float64], threshold: float) -> Reader:
    """Return a reader who calls an image positive from `threshold` on; NaN among the scores (N,) is an image not read."""
    calls = np.where(np.isfinite(scores), scores >= threshold, UNREAD).astype(np.int8)
    return Reader(name=name, rank=rank, calls=calls, scores=scores, threshold=threshold)


def group_notes(groups: Sequence[str]) -> tuple[str, ...]:
    """Return a note where all images are of one named group, which leaves most figures without an interval."""
    if not any(groups) or len(set(groups)) > 1:
        return ()
    return ("All images are of one group; nothing shows by how much one group differs from another, so only shares, and an AUC of 1 or 0, have an interval.",)


def _notes(readers: Sequence[Reader]) -> tuple[str, ...]:
    return tuple(
        f"{one.name} read {int(read.sum())} of {len(read)} images; the algorithm is compared with this reader on these alone"
        for one in readers
        if not (read := one.calls != UNREAD).all()
    )

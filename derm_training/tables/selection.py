"""Which images of a table are measured: a split of it, the labels that the bundle knows, real and synthetic apart."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from derm_training.tables.manifest import is_grey, read_table
from derm_training.tables.masks import check_masks
from derm_training.tables.rows import Row, spelled
from derm_training.tables.splits import by_image, leaks, paper
from derm_training.tables.usable import COLOURED, all_there, why_unusable

SYNTHETIC = "synthetic"
"""How the name of a data set of images that a program drew begins, in whole or in part."""

Colour = Literal["RGB", "GREY"]
SPLITS = ("val", "test", "train", "paper", "all")
_MOST_NAMED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The rows to measure, what a baseline may learn from, and what was left out."""

    rows: tuple[Row, ...]
    train: tuple[Row, ...]
    """Rows of the train split with known labels whose image is there, none of a lesion that is measured."""
    split: str
    left_out: dict[str, int]
    """The reason to the number of images: other diagnoses, and pictures in colour, of those asked for; what no line of the table can give, of all."""
    leak: str = ""
    """What leaks by a split at random by image, in a sentence."""


def select(
    table: Path,
    *,
    split: str,
    labels: Sequence[str],
    datasets: Sequence[str] = (),
    without_datasets: Sequence[str] = (),
    seed: int = 0,
    colour: Colour = "RGB",
    mixed: bool = False,
) -> Selection:
    """Choose from `table`: rows of `labels`, or with no labels every row with a mask.

    `split` is that of the rows; `all` takes every row, and the empty text takes what the table keeps aside: val, else test, else
    everything. `paper` draws the split at random by image that a training of the same `seed` draws, from the rows that it draws from:
    without those of `without_datasets`, which has no other use. `datasets` leaves only these. With `colour` GREY pictures in colour
    are counted and left out, which the service refuses for a bundle that reads grey. Raises ValueError where nothing is left, for
    another split, and where photographs and drawn pictures would be measured as one, unless `mixed` says that they are kept apart later.
    """
    if split and split not in SPLITS:
        raise ValueError(f"there is no split {split!r}; it can be {', '.join(SPLITS)}")
    read = read_table(table)
    left_out: Counter[str] = Counter(read.left_out)
    parts: Sequence[Row] = read.rows
    if split == "paper":
        parts = _drawn_anew(table, _usable(read.rows, without_datasets, left_out), labels, left_out, seed=seed, colour=colour)
    known, unknown = _divided(parts, labels)
    chosen = split or next((one for one in ("val", "test") if any(row.split == one for row in known)), "all")
    wanted = {"paper": "test"}.get(chosen, chosen)
    rows = [row for row in known if wanted in {"all", row.split} and _is_of(row, datasets)]
    # of what is asked for, and not of the whole table; a paper's split is drawn from all rows
    left_out["of another diagnosis" if labels else "without a mask"] += sum(
        (split == "paper" or wanted in {"all", row.split}) and _is_of(row, datasets) for row in unknown
    )
    if not rows:
        held = _held_words(read.rows, known, labels, datasets)
        raise ValueError(f"{table} has no image to measure: split {chosen}, {_wanted_words(labels, datasets)}; {held}")
    _check(table, rows, masks=not labels, mixed=mixed)
    train = _for_the_baseline(known, rows, chosen, left_out)
    if colour == "GREY" and split != "paper":  # which is drawn from grey pictures
        rows, train = _grey(table, rows, left_out), [row for row in train if is_grey(row.image)]
    leak = leaks(known).sentence() if split == "paper" else ""
    return Selection(rows=tuple(rows), train=tuple(train), split=chosen, left_out=dict(+left_out), leak=leak)


def _drawn_anew(
    table: Path, rows: Sequence[Row], labels: Sequence[str], left_out: Counter[str], *, seed: int, colour: Colour
) -> list[Row]:
    """Return the rows with the split that a training draws by image (`loaders.divided`); those that it does not draw from as they are."""
    if not labels:
        masked = [row for row in rows if row.mask or row.skin]  # either teaches a map of the network
        others = [row for row in rows if not (row.mask or row.skin)]
        return [*(by_image(masked, seed=seed) if masked else ()), *others]
    known, others = _divided(rows, labels)
    if colour == "GREY":
        all_there(table, (row.image for row in known))
        known = _grey(table, known, left_out)
    return [*paper(known, seed=seed).rows, *others]


def _for_the_baseline(known: Sequence[Row], rows: Sequence[Row], chosen: str, left_out: Counter[str]) -> list[Row]:
    """Return the rows that teach the colour baseline, none of a lesion that is measured, and count those whose image is not there."""
    measured = {row.group for row in rows} if chosen != "paper" else set()
    train = [row for row in known if row.split == "train" and chosen != "train" and row.group not in measured]
    # who measures on images kept aside need not have those of training
    if absent := sum(not row.image.is_file() for row in train):
        left_out["to train the baseline that are not there"] += absent
    return [row for row in train if row.image.is_file()]


def _grey(table: Path, rows: Sequence[Row], left_out: Counter[str]) -> list[Row]:
    """Return the rows whose picture is grey and count the others; raises ValueError where all are in colour."""
    grey = [row for row in rows if is_grey(row.image)]
    left_out[COLOURED] += len(rows) - len(grey)
    if rows and not grey:
        raise ValueError(f"{table} has no image to measure: all {len(rows)} are {COLOURED}; convert them to grey, or take another bundle")
    return grey


def _check(table: Path, rows: Sequence[Row], *, masks: bool, mixed: bool) -> None:
    """Raise ValueError for rows that cannot be measured: of two kinds, without a file, or with a mask that cannot be theirs."""
    if not mixed:
        _refuse_two_kinds(table, rows)
    all_there(table, (row.image for row in rows))
    if masks:
        check_masks(table, ((row.image, row.mask) for row in rows))


def _refuse_two_kinds(table: Path, rows: Sequence[Row]) -> None:
    """Raise ValueError where some rows are photographs and some drawn: a figure of both would measure the telling of the two."""
    if len({synthetic(row) for row in rows}) == 1:
        return
    drawn = sum(synthetic(row) for row in rows)
    real = sorted({row.dataset for row in rows if not synthetic(row)})
    raise ValueError(
        f"{table} has {len(rows) - drawn} photographs and {drawn} pictures drawn by a program, which share no figure: measure them apart, "
        f"here with --datasets \"{real}\", or by `derm-pacs bundles evaluate`, which keeps them apart"
    )


def _divided(rows: Sequence[Row], labels: Sequence[str]) -> tuple[list[Row], list[Row]]:
    """Return the rows of `labels`, or with no labels those with a mask, and the others."""
    known: list[Row] = []
    unknown: list[Row] = []
    for row in spelled(rows, labels):
        (known if (row.label in labels if labels else row.mask is not None) else unknown).append(row)
    return known, unknown


def _is_of(row: Row, datasets: Sequence[str]) -> bool:
    return not datasets or row.dataset in datasets


def _usable(rows: Sequence[Row], without_datasets: Sequence[str], left_out: Counter[str]) -> list[Row]:
    """Return the rows that a training draws its split from."""
    reasons = why_unusable(rows, without_datasets)
    left_out.update(filter(None, reasons))
    return [row for row, reason in zip(rows, reasons, strict=True) if not reason]


def _wanted_words(labels: Sequence[str], datasets: Sequence[str]) -> str:
    words = f"labels {', '.join(labels)}" if labels else "rows with a mask"
    return f"{words}, datasets {', '.join(datasets)}" if datasets else words


def _held_words(rows: Sequence[Row], known: Sequence[Row], labels: Sequence[str], datasets: Sequence[str]) -> str:
    """Say what the table holds in the place of what was asked for; `known` are its rows of the labels asked for."""
    masks = sum(row.mask is not None for row in rows)
    words = "the table has " + (f"labels {_counts(row.label for row in rows)}" if labels else f"masks in {masks or 'none'} of {len(rows)} rows")
    if known:
        words += f"; of those asked for, splits {_counts(row.split for row in known)}"
        words += f", datasets {_counts(row.dataset for row in known)}" if datasets else ""
    return words


def _counts(names: Iterable[str]) -> str:
    counted = sorted(Counter(name or "none" for name in names).items(), key=lambda one: (-one[1], one[0]))
    more = f" and {len(counted) - _MOST_NAMED} more" if len(counted) > _MOST_NAMED else ""
    return ", ".join(f"{name} ({count})" for name, count in counted[:_MOST_NAMED]) + more


def synthetic(row: Row) -> bool:
    """Return whether the image was drawn by a program, in whole or in part."""
    return is_drawn(row.dataset)


def is_drawn(dataset: str) -> bool:
    """Return whether the images of a data set of this name were drawn by a program, in whole or in part."""
    return dataset.lower().startswith(SYNTHETIC)


def kinds(datasets: Sequence[str]) -> str:
    """Return how a line on images ends, one data set's name for each image: empty where none was drawn by a program."""
    drawn = sum(map(is_drawn, datasets))
    if not drawn:
        return ""
    return " (SYNTHETIC)" if drawn == len(datasets) else f" ({len(datasets) - drawn} photographs, {drawn} SYNTHETIC)"

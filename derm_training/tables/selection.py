"""Which images of a table are measured: a split of it, the labels that the bundle knows, real and synthetic apart."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from derm_training.tables.manifest import is_grey, read_table
from derm_training.tables.masks import check_masks
from derm_training.tables.rows import Row, spelled
from derm_training.tables.splits import leaks, paper
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
    """What leaks by the paper's own split, in a sentence."""


def select(
    table: Path,
    *,
    split: str,
    labels: Sequence[str],
    datasets: Sequence[str] = (),
    seed: int = 0,
    colour: Colour = "RGB",
    mixed: bool = False,
) -> Selection:
    """Choose from `table`: rows of `labels`, or with no labels every row with a mask.

    `split` is that of the rows; `all` takes every row, `paper` repeats a paper's own split by image, and the empty text takes what
    the table keeps aside: val, else test, else everything. `datasets` leaves only these. With `colour` GREY pictures in colour are
    counted and left out, which the service refuses for a bundle that reads grey. Raises ValueError where nothing is left, for
    another split, and where photographs and drawn pictures would be measured as one, unless `mixed` says that they are kept apart later.
    """
    if split and split not in SPLITS:
        raise ValueError(f"there is no split {split!r}; it can be {', '.join(SPLITS)}")
    read = read_table(table)
    left_out: Counter[str] = Counter(read.left_out)
    known, unknown = _divided(_usable(read.rows, left_out) if split == "paper" else read.rows, labels)
    leak = ""
    if split == "paper":
        known = list(paper(known, seed=seed).rows)
        leak = leaks(known).sentence()
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
    if not mixed:
        _refuse_two_kinds(table, rows)
    all_there(table, (row.image for row in rows))
    if not labels:
        check_masks(table, ((row.image, row.mask) for row in rows))
    measured = {row.group for row in rows} if split != "paper" else set()
    train = [row for row in known if row.split == "train" and chosen != "train" and row.group not in measured]
    # they teach the colour baseline only: who measures on images kept aside need not have those of training
    if absent := sum(not row.image.is_file() for row in train):
        left_out["to train the baseline that are not there"] += absent
        train = [row for row in train if row.image.is_file()]
    if colour == "GREY":
        grey = [row for row in rows if is_grey(row.image)]
        left_out[COLOURED] += len(rows) - len(grey)
        if not grey:
            raise ValueError(f"{table} has no image to measure: all {len(rows)} are {COLOURED}; convert them to grey, or take another bundle")
        rows, train = grey, [row for row in train if is_grey(row.image)]
    return Selection(rows=tuple(rows), train=tuple(train), split=chosen, left_out=dict(+left_out), leak=leak)


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


def _usable(rows: Sequence[Row], left_out: Counter[str]) -> list[Row]:
    """Return the rows that a training draws its split from."""
    reasons = why_unusable(rows)
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
    return row.dataset.lower().startswith(SYNTHETIC)

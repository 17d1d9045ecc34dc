"""Which rows of a table training can use, told once for training and for the measurement of a split that training draws."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from derm_training.tables.rows import Row

REPEATED = "that repeat others at full size"
SIDELESS = "without a split among rows that have one"
COLOURED = "in colour, where the bundle reads grey"
"""Why rows are left out, as counts of them say it."""


def why_unusable(rows: Sequence[Row], without_datasets: Collection[str] = ()) -> list[str]:
    """Return for each row why no training takes it, empty where one does.

    `without_datasets` are those that the training's configuration leaves out. Datasets whose name ends in -full repeat the
    images of another at full size where the table has the set without it; rows without a split are on no side where others
    have one.
    """
    repeating, some_have_a_split = _repeating({row.dataset for row in rows}), any(row.split for row in rows)

    def why(row: Row) -> str:
        if row.dataset in without_datasets:
            return f"of the dataset {row.dataset}"
        if row.dataset in repeating:
            return REPEATED
        return SIDELESS if some_have_a_split and not row.split else ""

    return [why(row) for row in rows]


def _repeating(datasets: Collection[str]) -> set[str]:
    return {
        one for one in datasets
        if one.endswith("-full") and any(other != one and other.startswith(one.removesuffix("-full")) for other in datasets)
    }  # fmt: skip


def all_there(table: Path, files: Iterable[Path | None]) -> None:
    """Raise ValueError naming the first of the files that is not there, and how many are not."""
    named = [file for file in files if file is not None]
    if missing := [file for file in named if not file.is_file()]:
        raise ValueError(
            f"{table} names {missing[0]}, which does not exist ({len(missing)} of {len(named)} files are missing); "
            "paths are relative to the table's folder"
        )

"""Several tables of images as one, where the classes of a network come from several places."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from derm_training.tables.manifest import read_table, write_table
from derm_training.tables.rows import Row


def joined(data: str | Path, more: str | Path | None, folder: str | Path) -> Path:
    """Return a table with the rows of `data` and of `more`, written into `folder`; `data` itself where `more` is None.

    Tables of one folder name lesions alike; of two folders, a lesion is the same only where both count it to a dataset of
    one name. Drawn and photographed images may be learnt from together; they are never judged together (see `evaluate`).
    """
    if more is None:
        return Path(data)
    table = Path(folder) / "joined.csv"
    first, second = read_table(Path(data)).rows, read_table(Path(more)).rows
    if _home(Path(data)) != _home(Path(more)):
        second = _apart(second, first)
    write_table(table, [*first, *second])
    return table


def _home(table: Path) -> Path:
    place = table.resolve()
    return place if place.is_dir() else place.parent


def _apart(rows: Sequence[Row], others: Sequence[Row]) -> tuple[Row, ...]:
    """Return `rows`, a lesion renamed whose identifier another collection has among `others` for one of its own."""
    alike = {row.group for row in others} - {group for group, _ in _collections(rows) & _collections(others)}
    return tuple(replace(row, group=f"{row.group} of more") if row.lesion_known and row.group in alike else row for row in rows)


def _collections(rows: Sequence[Row]) -> set[tuple[str, str]]:
    return {(row.group, row.dataset) for row in rows if row.dataset}

"""Several tables of images as one, where the classes of a network come from several places."""

from pathlib import Path

from derm_training.tables.manifest import read_table, write_table


def joined(data: str | Path, more: str | Path | None, folder: str | Path) -> Path:
    """Return a table with the rows of `data` and of `more`, written into `folder`; `data` itself where `more` is None.

    Drawn and photographed images may be learnt from together; they are never judged together (see `evaluate`).
    """
    if more is None:
        return Path(data)
    table = Path(folder) / "joined.csv"
    write_table(table, [*read_table(Path(data)).rows, *read_table(Path(more)).rows])
    return table

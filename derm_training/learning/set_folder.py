"""The folder that a set made of a table's pictures is written into: never the table's own, whose files it would replace."""

from pathlib import Path


def table_of_set(table: Path, folder: Path) -> Path:
    """Return where the set's table goes in `folder`; raises ValueError where the pictures' own `table` lies there."""
    own = table.resolve()
    if folder.resolve() in {own, own.parent}:
        raise ValueError(f"{folder} holds {table}, which the set would replace; name another folder")
    return folder / "MANIFEST.csv"

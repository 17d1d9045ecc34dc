"""Changes of a bundle that are made on a copy, and take their places only when all of them are done."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NOT_SHIPPED = shutil.ignore_patterns("training", "output", "__pycache__")


@contextmanager
def staged(folder: Path, out: Path | None = None) -> Iterator[Path]:
    """Give a copy of the bundle in `folder`; when the block ends, what differs in it replaces what is there, or it becomes `out`.

    Where the block raises, `folder` stays as it was and `out`, which must not exist yet, is not made.
    """
    beside = (out or folder).absolute().parent
    beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".staged-", dir=beside) as place:
        copy = Path(place) / folder.name
        shutil.copytree(folder, copy, ignore=_NOT_SHIPPED)
        before = _files(copy)
        yield copy
        if out is not None:
            copy.rename(out)
            return
        after = _files(copy)
        for file in sorted(before - after):
            (folder / file).unlink(missing_ok=True)
        for file in sorted(after):
            _put(copy / file, folder / file)


def _files(folder: Path) -> set[Path]:
    return {file.relative_to(folder) for file in folder.rglob("*") if file.is_file()}


def _put(made: Path, place: Path) -> None:
    """Replace a file in one step, unless it is the same; what is the same keeps its time."""
    if place.is_file() and place.read_bytes() == made.read_bytes():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    made.replace(place)

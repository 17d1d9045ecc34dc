"""What a bundle says of each image, as a CSV: of a reader study, to stand beside the readers' calls.

Numbers are written with all their digits, so that images which tie in the file tie in the figures too.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

from derm_training.measuring.class_figures import Judged
from derm_training.measuring.statistics import Values
from derm_training.tables.rows import Row
from derm_training.tables.selection import synthetic

Line = dict[str, str | int | float]
"""One image: the name of a column to what stands in it."""

_BEGINNING = b"image,path,table,lesion_id,"


def classified_lines(table: Path, rows: Sequence[Row], judged: Judged, classes: Sequence[str]) -> list[Line]:
    """Return the lines of classified images: the call, the positive class's probability (empty where there is none) and each class's.

    `judged` has `rows` in their order, and numbers for the names in `classes`.
    """
    scores: list[float | str] = [""] * len(rows) if judged.positive is None else judged.scores.tolist()
    said = zip(rows, judged.called.tolist(), scores, judged.probabilities.tolist(), strict=True)
    return [
        _origin(table, row)
        | {"call": classes[called], "score": score}
        | {f"p_{name}": probability for name, probability in zip(classes, probabilities, strict=True)}
        for row, called, score, probabilities in said
    ]


def drawn_lines(table: Path, rows: Sequence[Row], jaccard: Values, dice: Values) -> list[Line]:
    """Return the lines of images whose masks were drawn: how each agrees with the table's; `jaccard` and `dice` are (N,)."""
    return [
        _origin(table, row) | {"jaccard": one, "dice": other}
        for row, one, other in zip(rows, jaccard.tolist(), dice.tolist(), strict=True)
    ]


def write_predictions(file: Path, lines: Sequence[Line]) -> None:
    """Write the CSV, whole or not at all; a column that an image lacks is empty there."""
    growing = file.with_name(f"{file.name}.part")
    try:
        with growing.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(dict.fromkeys(column for line in lines for column in line)))
            writer.writeheader()
            writer.writerows(lines)
        growing.replace(file)
    finally:
        growing.unlink(missing_ok=True)


def is_predictions(file: Path) -> bool:
    """Return whether a file begins as `write_predictions` begins one; raises OSError where it cannot be read."""
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return stream.readline().startswith(_BEGINNING)


def _origin(table: Path, row: Row) -> Line:
    """Return which image of which lesion it is; the path is relative to the table's folder where that holds it."""
    folder = table if table.is_dir() else table.parent
    path = row.image.relative_to(folder) if row.image.is_relative_to(folder) else row.image
    return {
        "image": _name(row.image),
        "path": str(path),
        "table": table.name,
        "lesion_id": row.group if row.lesion_known else "",
        "dataset": row.dataset,
        "source": row.source,
        "split": row.split,
        "synthetic": int(synthetic(row)),
        "label": row.label,
    }


def _name(image: Path) -> str:
    """Return the file's name without its ending, as tables of readers have it."""
    # the last number of a UID, by which files of DICOM may be named, is no ending
    return image.name if image.suffix[1:].isdigit() else image.stem

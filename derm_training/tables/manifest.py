"""Tables of training images, in whichever layout they come: our CSV, ISIC's and HAM10000's own folders, folders of DICOM.

Our CSV has the columns `path` (relative to the table's own folder) and `label`, and may have `mask`, `skin` (paths of masks),
`split`, `source`, `dataset` and `lesion_id`. A table of masks needs no `label`.
"""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from derm_training.tables.csv_lines import Lines, named_split, read_lines
from derm_training.tables.dicom_table import read_dicom_table
from derm_training.tables.image_files import is_grey, read_rgb
from derm_training.tables.isic_layout import is_isic, read_isic
from derm_training.tables.masks import read_mask
from derm_training.tables.rows import Row, Table

__all__ = ["Row", "Table", "is_grey", "labelled_rows", "masked_rows", "read_mask", "read_rgb", "read_table", "write_table"]

_COLUMNS = ("path", "label", "mask", "skin", "split", "source", "dataset", "lesion_id")


def read_table(path: Path) -> Table:
    """Read a CSV, a folder (or the metadata CSV) in ISIC's or HAM10000's own layout, or a folder of DICOM with a labels.csv.

    Raises ValueError naming file, line or column, and what to change.
    """
    if path.is_dir():
        if is_isic(path):
            return read_isic(path)
        return read_dicom_table(path / "labels.csv")
    if not path.is_file():
        raise ValueError(f"{path} does not exist; name a CSV with the columns path and label, or a folder in ISIC's layout or of DICOM")
    lines = read_lines(path)
    columns = [name.lower() for name in lines.columns]
    if "path" in columns:
        return _read_csv(lines)
    if is_isic(path):
        return read_isic(path)
    if "sopinstanceuid" in columns:
        return read_dicom_table(path)
    one = ", one column: save it with commas in place of semicolons" if len(columns) == 1 and ";" in next(iter(columns)) else ""
    raise ValueError(
        f"{path} lacks the column path (of images, relative to the table's folder) or SOPInstanceUID (of DICOM in that folder); it has {', '.join(columns)}{one}"
    )


def masked_rows(table: Path | Table, split: str) -> list[Row]:
    """Return the rows of `split` with a mask of the lesion."""
    return [row for row in _rows(table) if row.split == split and row.mask]


def labelled_rows(table: Path | Table, split: str, labels: Sequence[str]) -> list[Row]:
    """Return the rows of `split` whose label is one of `labels`; all others are left out."""
    return [row for row in _rows(table) if row.split == split and row.label in labels]


def write_table(file: Path, rows: Sequence[Row]) -> None:
    """Write rows as a CSV that `read_table` reads; paths are absolute."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(_COLUMNS)
        for row in rows:
            lesion = row.group if row.lesion_known else ""
            paths = [str(one.resolve()) if one else "" for one in (row.mask, row.skin)]
            writer.writerow([str(row.image.resolve()), row.label, *paths, row.split, row.source, row.dataset, lesion])


def _rows(table: Path | Table) -> Sequence[Row]:
    return table.rows if isinstance(table, Table) else read_table(table).rows


def _read_csv(lines: Lines) -> Table:
    lines.need("path", *(() if "mask" in lines.columns else ("label",)))
    rows: list[Row] = []
    left_out: Counter[str] = Counter()
    for line, record in lines.records:
        row = _row(lines.file, line, record)
        if row.label or row.mask:
            rows.append(row)
        else:
            left_out["without label and mask"] += 1
    return Table(path=lines.file, rows=tuple(rows), left_out=dict(left_out))


def _row(file: Path, line: int, record: dict[str, str]) -> Row:
    if not record["path"]:
        raise ValueError(f"{file} line {line}: the column path is empty; name an image or take the line out")
    mask, skin = (file.parent / record[name] if record.get(name) else None for name in ("mask", "skin"))
    return Row(
        image=file.parent / record["path"],
        mask=mask,
        skin=skin,
        label=record.get("label", ""),
        split=named_split(file, line, record.get("split", "")),
        dataset=record.get("dataset", ""),
        source=record.get("source", ""),
        group=record.get("lesion_id") or record["path"],
        lesion_known=bool(record.get("lesion_id")),
    )

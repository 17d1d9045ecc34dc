"""Tables of training images: a CSV whose `path` and `mask` are relative to its own folder."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One image of a table. `group` is the lesion where one is known, otherwise the image itself."""

    image: Path
    mask: Path | None
    label: str
    split: str
    dataset: str
    source: str
    group: str


def read_manifest(table: Path) -> list[Row]:
    """Read a CSV with the columns path, label, split, dataset, source, lesion_id and, for masks, mask.

    Raises ValueError naming the columns that are missing.
    """
    with table.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        needed = {"path", "label", "split", "dataset", "source", "lesion_id"}
        if missing := needed - set(reader.fieldnames or ()):
            raise ValueError(f"{table} lacks the columns {', '.join(sorted(missing))}")
        return [
            Row(
                image=table.parent / record["path"],
                mask=table.parent / record["mask"] if record.get("mask") else None,
                label=record["label"],
                split=record["split"],
                dataset=record["dataset"],
                source=record["source"],
                group=record["lesion_id"] or record["path"],
            )
            for record in reader
        ]


def masked_rows(table: Path, split: str) -> list[Row]:
    """Return the rows of `split` with a mask, without the full-resolution sets, which repeat lesions of the small ones."""
    return [row for row in read_manifest(table) if row.split == split and row.mask and not row.dataset.endswith("-full")]


def labelled_rows(table: Path, split: str, labels: tuple[str, ...]) -> list[Row]:
    """Return the rows of `split` whose label is one of `labels`; all others are left out."""
    return [row for row in read_manifest(table) if row.split == split and row.label in labels]


def read_rgb(file: Path) -> NDArray[np.uint8]:
    """Return (height, width, 3) uint8."""
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB"))


def read_mask(file: Path) -> NDArray[np.uint8]:
    """Return (height, width) uint8 of 0 and 1."""
    with Image.open(file) as picture:
        return (np.asarray(picture.convert("L")) > 127).astype(np.uint8)

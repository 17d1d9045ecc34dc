"""The folders as the ISIC archive, its challenges and HAM10000 publish them.

* HAM10000 (Tschandl 2018, doi 10.1038/sdata.2018.161): `HAM10000_metadata` (with or without .csv) with lesion_id, image_id, dx.
* ISIC 2018 and 2019: `…GroundTruth.csv` with image and one column of 0 and 1 for each class.
* ISIC 2017: image_id, melanoma, seborrheic_keratosis; neither means nevus.
* ISIC 2020: image_name, patient_id, diagnosis, target.

The lesion of an image stands in any CSV of the folder that has lesion_id beside its name (2018 `…LesionGroupings.csv`, 2019
`…Metadata.csv`, 2020 `…GroundTruth_v2.csv`); where only patient_id is known, all images of the patient are one group. Images lie anywhere below the folder under their names, masks as `NAME_segmentation.png`. What a file or folder of images calls
Training, Validation or Test gives the split where there is more than one of these. The tables lie in the folder, or in folders of their
own one below, as the challenges' zip files are unpacked.
"""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from derm_training.tables.csv_lines import read_columns, read_lines
from derm_training.tables.rows import Row, Table, patient_group

_LABELS = {
    "mel": "melanoma", "nv": "nevus", "bcc": "bcc", "ak": "akiec", "akiec": "akiec", "bkl": "bkl", "df": "dermatofibroma",
    "vasc": "vascular", "scc": "scc", "melanoma": "melanoma", "nevus": "nevus", "seborrheic keratosis": "seborrheic_keratosis",
    "seborrheic_keratosis": "seborrheic_keratosis", "unknown": "benign_unspecified",
}
_NAMES = ("image_id", "image_name", "image", "isic_id")
"""Columns that name the image, one of which each table has."""
_IMAGE_ENDINGS = {".jpg", ".jpeg", ".png"}
_MASK = "_segmentation"
_SPLITS = {"training": "train", "validation": "val", "test": "test"}


def is_isic(path: Path) -> bool:
    """Whether a folder, or a CSV in it, is of one of these layouts."""
    if _tables(path):
        return True
    return path.is_dir() and not (path / "labels.csv").is_file() and any(file.stem.lower().endswith(_MASK) for file in path.rglob("*.[pP][nN][gG]"))


def read_isic(path: Path) -> Table:
    """Read such a folder; entries without an image or a known label are counted and left out."""
    tables = _tables(path)
    folder = _folder(path, tables)
    images, masks = _pictures(folder)
    lesions = _lesions(folder)
    left_out: Counter[str] = Counter()
    rows: dict[str, Row] = {}
    for file in tables:
        for name, label in _entries(file):
            if name not in images:
                left_out["whose image is not in the folder"] += 1
            elif not label and name not in masks:
                left_out["without a label that is known"] += 1
            else:
                rows[name] = Row(
                    image=images[name], mask=masks.get(name), label=label, split=_split(file.name), dataset=_dataset(file),
                    source="", group=lesions.get(name) or images[name].name, lesion_known=name in lesions,
                )
    for name in sorted(masks.keys() & images.keys() - rows.keys()):
        rows[name] = Row(
            image=images[name], mask=masks[name], label="", split=_split(images[name].parent.name), dataset=folder.name,
            source="", group=lesions.get(name) or images[name].name, lesion_known=name in lesions,
        )
    if not rows:
        raise ValueError(f"{path} is in ISIC's layout and no image of its table lies below {folder}; put the images there under their names, or name the folder that has table and images below it")
    several = len({row.split for row in rows.values()}) > 1
    found = tuple(row if several else replace(row, split="") for row in rows.values())
    return Table(path=path, rows=found, left_out=dict(left_out))


def _tables(path: Path) -> list[Path]:
    """Return the tables of labels of a folder, else those one folder below; raises ValueError where these are not of one collection."""
    if not path.is_dir():
        return [path] if _is_table(path) else []
    if here := [file for file in _files(path) if _is_table(file)]:
        return here
    if (path / "labels.csv").is_file():  # of a folder of DICOM
        return []
    below = [file for folder in _folders(path) for file in _files(folder) if _is_table(file)]
    parts = Counter((_dataset(file), _split(file.name)) for file in below)
    if len({dataset for dataset, _ in parts}) > 1 or any(count > 1 for count in parts.values()):
        raise ValueError(
            f"{path} has several tables of labels below it: {', '.join(str(file.relative_to(path)) for file in below)}; name one of them, or its folder"
        )
    return below


def _folder(path: Path, tables: list[Path]) -> Path:
    """Return the folder below which the images lie: that of the table, or the one above where a zip file gave the table one of its own."""
    folder = path if path.is_dir() else path.parent
    alone = any(table.parent == folder and table.stem == folder.name for table in tables)
    return folder.parent if alone and not any(file.suffix.lower() in _IMAGE_ENDINGS for file in folder.rglob("*")) else folder


def _files(folder: Path) -> list[Path]:
    return sorted(one for one in folder.iterdir() if one.is_file() and not one.name.startswith("."))


def _folders(path: Path) -> list[Path]:
    return sorted(one for one in path.iterdir() if one.is_dir() and not one.name.startswith("."))


def _is_table(file: Path) -> bool:
    if not _is_csv(file):
        return False
    columns = read_columns(file)
    return bool({"image_id", "dx"} <= columns or {"image", "mel"} <= columns or {"image_id", "melanoma"} <= columns or {"image_name", "target"} <= columns)


def _is_csv(file: Path) -> bool:
    return file.is_file() and (file.suffix.lower() == ".csv" or file.name.startswith("HAM10000_metadata"))


def _entries(file: Path) -> list[tuple[str, str]]:
    """Name of the image, and label or nothing, of each line."""
    found = []
    for line, raw in read_lines(file).records:
        record = _lowered(raw)
        name = _name(record)
        if not name:
            raise ValueError(f"{file} line {line}: no name of an image; take the line out")
        found.append((name, _label(file, line, record)))
    return found


def _lowered(record: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in record.items()}


def _name(record: dict[str, str]) -> str:
    return next((record[name] for name in _NAMES if record.get(name)), "")


def _label(file: Path, line: int, record: dict[str, str]) -> str:
    if "dx" in record:
        return _LABELS.get(record["dx"].lower(), "")
    if "target" in record:
        told = _LABELS.get(record.get("diagnosis", "").lower(), "benign_unspecified")
        return "melanoma" if _one(file, line, record["target"]) else told
    marked = [name for name, value in record.items() if name in _LABELS and _one(file, line, value)]
    if "seborrheic_keratosis" in record and not marked:
        return "nevus"
    return _LABELS[marked[0]] if len(marked) == 1 else ""


def _one(file: Path, line: int, value: str) -> bool:
    try:
        return float(value) >= 0.5
    except ValueError as wrong:
        raise ValueError(f"{file} line {line}: {value!r} stands where 0 or 1 is wanted") from wrong


def _pictures(folder: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Images and masks below the folder by the name of their image."""
    images: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in _IMAGE_ENDINGS:
            chosen = masks if file.stem.lower().endswith(_MASK) else images
            chosen[file.stem[: -len(_MASK)] if chosen is masks else file.stem] = file
    return images, masks


def _lesions(folder: Path) -> dict[str, str]:
    """Return the group of each image of which a table of the folder, or of one below, knows one: its lesion, else its patient.

    Where several tables know an image, the one that knows most images speaks: their identifiers may not be the same.
    """
    files = [file for place in (folder, *_folders(folder)) for file in _files(place) if _is_csv(file)]
    known_by = [file for file in files if read_columns(file) & {"lesion_id", "patient_id"} and read_columns(file) & set(_NAMES)]
    tables = [[_lowered(raw) for _, raw in read_lines(file).records] for file in known_by]
    lesions = [{_name(record): record["lesion_id"] for record in table if record.get("lesion_id")} for table in tables]
    patients = [{_name(record): patient_group(record["patient_id"]) for record in table if record.get("patient_id")} for table in tables]
    groups: dict[str, str] = {}
    for known in [*sorted(lesions, key=len, reverse=True), *sorted(patients, key=len, reverse=True)]:
        groups = known | groups
    return groups


def _split(name: str) -> str:
    return next((split for word, split in _SPLITS.items() if word in name.lower()), "")


def _dataset(file: Path) -> str:
    """Return the collection's name: its training, validation and test files, which their split tells apart, are of one."""
    return re.sub(r"_(Training|Validation|Test)(?=_|$)", "", file.stem.split("_metadata")[0].split("_GroundTruth")[0])

"""A folder of DICOM files with their labels in a CSV, by SOP Instance UID; and the pixels of one as RGB."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import pixel_array

from derm_training.tables.csv_lines import named_split, read_lines
from derm_training.tables.rows import Row, Table

_TAGS = ["SOPInstanceUID", "PatientID", "NumberOfFrames", "Rows", "Manufacturer", "ManufacturerModelName"]


def is_dicom(file: Path) -> bool:
    """Whether the file begins as part 10, section 7.1, says: 128 bytes, then DICM."""
    with file.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def read_dicom_table(labels: Path) -> Table:
    """Read the DICOM files below the folder of `labels`, a CSV with the columns SOPInstanceUID and label.

    It may also have lesion_id, split, source, dataset and mask (relative to its folder). Without lesion_id all images of a
    patient are one group, by a digest of the identifier. Files without a label, labels without a file, files that hold no
    pixels or several frames are counted and left out. Raises ValueError naming the CSV where it is missing or wrong.
    """
    wanted = _wanted(labels)
    left_out: Counter[str] = Counter()
    rows: dict[str, Row] = {}
    for file in sorted(one for one in labels.parent.rglob("*") if one.is_file()):
        head = _head(file)
        if head is None:
            continue
        uid = str(head.get("SOPInstanceUID", ""))
        if uid not in wanted:
            left_out["DICOM files without a label"] += 1
        elif "Rows" not in head:
            left_out["without pixels"] += 1
        elif int(head.get("NumberOfFrames") or 1) > 1:
            left_out["of several frames"] += 1
        else:
            rows[uid] = _row(file, head, wanted[uid], labels.parent)
    left_out["labels without a file"] += len(wanted.keys() - rows.keys()) - left_out["without pixels"] - left_out["of several frames"]
    if not rows:
        raise ValueError(f"{labels}: no DICOM file below its folder has one of its SOPInstanceUIDs; put the files there")
    return Table(path=labels, rows=tuple(rows.values()), left_out=dict(left_out))


def read_dicom_rgb(file: Path) -> NDArray[np.uint8]:
    """Return (height, width, 3) uint8 of the only frame: colour as stored, palettes looked up, grey through its window.

    Raises ValueError naming the file if its pixels cannot be read.
    """
    dataset = pydicom.dcmread(file)
    try:
        pixels = pixel_array(dataset)  # YBR comes as RGB
        meaning = str(dataset.PhotometricInterpretation)
        if meaning == "PALETTE COLOR":
            pixels = apply_color_lut(pixels, dataset)
            return np.asarray(pixels[..., :3] >> (8 if pixels.dtype == np.uint16 else 0), dtype=np.uint8)
        if pixels.ndim == 3:
            return np.asarray(pixels >> max(0, int(dataset.BitsStored) - 8), dtype=np.uint8)
        grey = np.asarray(apply_voi_lut(apply_modality_lut(pixels, dataset), dataset), dtype=np.float64)
    except (AttributeError, NotImplementedError, RuntimeError, ValueError) as wrong:
        raise ValueError(f"{file}: its pixels cannot be read ({type(wrong).__name__}); convert it to an uncompressed syntax") from wrong
    low, high = _range(dataset, grey)
    shares = ((grey - low) / (high - low)).clip(0, 1)
    if meaning == "MONOCHROME1":
        shares = 1 - shares
    return np.repeat((255 * shares).round().astype(np.uint8)[..., None], 3, axis=2)


def _range(dataset: Dataset, grey: NDArray[np.float64]) -> tuple[float, float]:
    """Values shown as black and white: those the bits can hold where no window or rescale says otherwise."""
    stretched = any(name in dataset for name in ("WindowCenter", "VOILUTSequence", "RescaleSlope", "ModalityLUTSequence"))
    if stretched or int(dataset.PixelRepresentation):
        low, high = float(grey.min()), float(grey.max())
        return low, high if high > low else low + 1
    return 0.0, float(2 ** int(dataset.BitsStored) - 1)


def _wanted(labels: Path) -> dict[str, dict[str, str]]:
    """Return the records of the CSV, their columns in small letters, by SOP Instance UID."""
    if not labels.is_file():
        raise ValueError(f"{labels} does not exist; a folder of DICOM wants it, with the columns SOPInstanceUID and label")
    lines = read_lines(labels)
    named = {name.lower(): name for name in lines.columns}
    if missing := {"sopinstanceuid", "label"} - named.keys():
        raise ValueError(f"{labels} lacks the columns {', '.join(sorted(missing))}; it has {', '.join(lines.columns)}")
    wanted: dict[str, dict[str, str]] = {}
    for line, record in lines.records:
        uid = record[named["sopinstanceuid"]]
        if uid in wanted:
            raise ValueError(f"{labels} line {line}: {uid} stands there twice; leave one of the lines")
        said = {name.lower(): value for name, value in record.items()}
        wanted[uid] = said | {"split": named_split(labels, line, said.get("split", ""))}
    return wanted


def _head(file: Path) -> Dataset | None:
    if not is_dicom(file):
        return None
    try:
        return pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(_TAGS))
    except InvalidDicomError:
        return None


def _row(file: Path, head: Dataset, said: dict[str, str], folder: Path) -> Row:
    patient = str(head.get("PatientID", ""))
    digest = hashlib.sha256(patient.encode()).hexdigest()[:16] if patient else file.name
    return Row(
        image=file,
        mask=folder / said["mask"] if said.get("mask") else None,
        label=said["label"],
        split=said["split"],
        dataset=said.get("dataset", "") or folder.name,
        source=said.get("source", "") or str(head.get("ManufacturerModelName", "") or head.get("Manufacturer", "")),
        group=said.get("lesion_id", "") or digest,
    )

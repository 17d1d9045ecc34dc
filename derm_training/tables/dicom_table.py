"""A folder of DICOM files with their labels in a CSV, by SOP Instance UID."""

from collections import Counter
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from derm_training.tables.csv_lines import named_split, read_lines
from derm_training.tables.dicom_pixels import is_dicom, read_head, why_not
from derm_training.tables.rows import Row, Table, counted, patient_group


def read_dicom_table(labels: Path) -> Table:
    """Read the DICOM files below the folder of `labels`, a CSV with the columns SOPInstanceUID and label.

    It may also have lesion_id, split, source, dataset and mask (relative to its folder). Without lesion_id all images of a
    patient are one group, by a digest of the identifier. Files without a label, labels without a file, files that hold no
    pixels or several frames or that the service refuses are counted and left out. Raises ValueError naming the CSV where it is missing or wrong.
    """
    wanted = _wanted(labels)
    left_out: Counter[str] = Counter()
    rows: dict[str, Row] = {}
    seen: set[str] = set()
    for file in sorted(one for one in labels.parent.rglob("*") if one.is_file()):
        head = _head(file)
        if head is None:
            continue
        uid = str(head.get("SOPInstanceUID", ""))
        if uid not in wanted:
            left_out["DICOM files without a label"] += 1
            continue
        seen.add(uid)
        if reason := why_not(head):
            left_out[reason] += 1
        else:
            rows[uid] = _row(file, head, wanted[uid], labels.parent)
    left_out["labels without a file"] += len(wanted.keys() - seen)
    if not seen:
        raise ValueError(f"{labels}: no DICOM file below its folder has one of its SOPInstanceUIDs; put the files there")
    if not rows:
        raise ValueError(counted(f"{labels}: none of its {len(seen)} DICOM files can be used", left_out))
    return Table(path=labels, rows=tuple(rows.values()), left_out=dict(+left_out))


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
        return read_head(file)
    except InvalidDicomError:
        return None


def _row(file: Path, head: Dataset, said: dict[str, str], folder: Path) -> Row:
    patient = str(head.get("PatientID", ""))
    lesion = said.get("lesion_id", "") or (patient_group(patient) if patient else "")
    return Row(
        image=file,
        mask=folder / said["mask"] if said.get("mask") else None,
        label=said["label"],
        split=said["split"],
        dataset=said.get("dataset", "") or folder.name,
        source=said.get("source", "") or str(head.get("ManufacturerModelName", "") or head.get("Manufacturer", "")),
        group=lesion or said["sopinstanceuid"],
        lesion_known=bool(lesion),
    )

"""Studies made of a person's own files: JPEG and PNG are wrapped, DICOM files are taken as they are."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from derm_pacs.demonstration.failure import DemonstrationError
from derm_pacs.domain.errors import Rejected
from derm_pacs.domain.identifiers import is_legal_uid
from derm_pacs.samples.studies import Study
from derm_pacs.samples.wrap import Kind, Label, part10, wrap

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A file that was left out, and why."""

    name: str
    why: str


def studies(folder: Path, kind: Kind, at: datetime) -> tuple[tuple[Study, ...], tuple[Left, ...]]:
    """Return the studies of a folder's files, sorted by name, and what was left out.

    Each picture becomes a study of its own; DICOM files are grouped by their study. No name of a file goes into a
    wrapped instance, as it may name a patient. Raises `DemonstrationError` where no file can be used.
    """
    if not folder.is_dir():
        raise DemonstrationError(f"{folder} is no folder; name one that holds JPEG, PNG or DICOM files")
    made: list[Study] = []
    left: list[Left] = []
    dicom: dict[str, list[bytes]] = {}
    for file in sorted(one for one in folder.iterdir() if one.is_file() and not one.name.startswith(".")):
        if file.suffix.lower() in PICTURE_SUFFIXES:
            try:
                made.append(_wrapped(file, kind, at, number=len(made) + 1))
            except Rejected as error:
                left.append(Left(name=file.name, why=error.detail))
            continue
        data = file.read_bytes()
        study_uid = _study_of(data)
        if study_uid is None:
            left.append(Left(name=file.name, why="neither JPEG, PNG nor a DICOM file with UIDs"))
        else:
            dicom.setdefault(study_uid, []).append(data)
    made += [
        Study(title=f"DICOM study of {_count(files)}", study_uid=uid, files=tuple(files), synthetic=False)
        for uid, files in dicom.items()
    ]
    if not made:
        raise DemonstrationError(f"{folder} holds no JPEG, PNG or DICOM file that can be used{_list(left)}")
    return tuple(made), tuple(left)


def _wrapped(file: Path, kind: Kind, at: datetime, *, number: int) -> Study:
    label = Label(
        patient_id=f"OWN-{number}",
        patient_name=f"OWN^PICTURE {number}",
        study_uid=f"2.25.{uuid.uuid4().int}",
        study_description="own picture, wrapped by derm-pacs",
        series_description=kind,
        at=at,
    )
    return Study(title=file.name, study_uid=label.study_uid, files=(part10(wrap(file, kind, label)),), synthetic=False)


def _study_of(data: bytes) -> str | None:
    try:
        header = dcmread(BytesIO(data), stop_before_pixels=True, specific_tags=["StudyInstanceUID", "SOPInstanceUID", "SOPClassUID"])
    except (InvalidDicomError, OSError, ValueError, NotImplementedError):
        return None
    uids = [str(header.get(name, "")) for name in ("StudyInstanceUID", "SOPInstanceUID", "SOPClassUID")]
    return uids[0] if all(is_legal_uid(uid) for uid in uids) else None


def _count(files: Sequence[bytes]) -> str:
    return "one file" if len(files) == 1 else f"{len(files)} files"


def _list(left: Sequence[Left]) -> str:
    return "".join(f"\n  {one.name}: {one.why}" for one in left)

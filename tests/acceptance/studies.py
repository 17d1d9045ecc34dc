"""Studies for the tests of the whole way: drawn ones, and real images of the shared data."""

import copy
import csv
import io
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pydicom
from PIL import Image

from derm_pacs.samples import draw
from derm_pacs.samples.wrap import Code, Kind, Label, wrap, wrap_bytes
from tests.conftest import shared_data

BACK = Code(value="66643007", scheme="SCT", meaning="Skin of back")


def new_study() -> str:
    """Return a Study Instance UID that nothing has used."""
    return f"2.25.{uuid.uuid4().int}"


def label(study_uid: str, *, patient: str = "P1", series: int = 1, synthetic: bool = True) -> Label:
    return Label(
        patient_id=patient,
        patient_name="TEST^PATIENT",
        study_uid=study_uid,
        study_description="test study",
        series_description="SYNTHETIC dermoscopy" if synthetic else "dermoscopy",
        at=datetime(2026, 3, 4, 10, 30, tzinfo=UTC),
        series_number=series,
        site=BACK,
        synthetic=synthetic,
    )


_DRAWN: dict[int, bytes] = {}


def drawn(study_uid: str, *, seed: int = 1, patient: str = "P1", series: int = 1) -> pydicom.Dataset:
    """Return a drawn dermoscopic image of a study."""
    if seed not in _DRAWN:
        buffer = io.BytesIO()
        picture = draw.dermoscopic(seed, draw.IRREGULAR, shape=(450, 600))
        Image.fromarray(picture).save(buffer, "JPEG", quality=92)
        _DRAWN[seed] = buffer.getvalue()
    return wrap_bytes(_DRAWN[seed], Kind.DERMOSCOPIC, label(study_uid, patient=patient, series=series))


def renamed(instance: pydicom.Dataset, name: str) -> pydicom.Dataset:
    """Return the instance with corrected demographics: the same pixels under another name."""
    corrected = copy.deepcopy(instance)
    corrected.PatientName = name
    return corrected


def real(folder: str, *, count: int, kind: Kind = Kind.DERMOSCOPIC) -> list[tuple[str, pydicom.Dataset]]:
    """Return (file name, instance) of real images of `../shared/data/images/FOLDER`, each in a study of its own."""
    images = shared_data() / "images"
    paths = sorted(path for path in (images / folder).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    step = max(len(paths) // count, 1)
    return [(path.name, wrap(path, kind, label(new_study(), synthetic=False))) for path in paths[::step][:count]]


def manifest_rows(**wanted: str) -> list[dict[str, str]]:
    """Return the rows of the manifest of real images whose columns have the wanted values."""
    with (shared_data() / "images" / "MANIFEST.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if all(row[key] == value for key, value in wanted.items())]


def real_image(row: dict[str, str], kind: Kind) -> pydicom.Dataset:
    """Wrap the image of a row of the manifest."""
    return wrap(shared_data() / "images" / row["path"], kind, label(new_study(), synthetic=False))


def bundles(repository: Path) -> dict[str, Path]:
    """Return the bundles that the repository ships."""
    return {
        name: repository / "monai_bundles" / name for name in ("skin_lesion_deeplabv3plus", "melanoma_nevus_alexnet")
    }

"""Part 10 files made to measure, and the time at which the tests play."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from derm_pacs.ledger.database import Database
from tests.ledger.filing_site import Site


@pytest.fixture(scope="session")
def now() -> datetime:
    return datetime(2026, 3, 1, 10, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def part10() -> Callable[..., bytes]:
    """Return a Part 10 file of a small dermoscopic image; keywords set elements, None leaves one out."""

    def make(*, transfer_syntax: UID = ExplicitVRLittleEndian, **elements: Any) -> bytes:
        values: dict[str, Any] = {
            "SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.7", "SOPInstanceUID": "1.2.3.1",
            "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.0", "Modality": "DMS",
            "PatientID": "P1", "PatientName": "Muster^Erika", "PatientBirthDate": "19700102", "PatientSex": "F",
            "Rows": 2, "Columns": 2, "SamplesPerPixel": 3, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7,
            "PixelRepresentation": 0, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0,
            "PixelData": bytes(range(12)),
        }
        data_set = Dataset()
        for keyword, value in (values | elements).items():
            if value is not None:
                setattr(data_set, keyword, value)
        if "PixelData" in data_set:
            data_set["PixelData"].VR = "OB"
            data_set["PixelData"].is_undefined_length = data_set.PixelData[:4] == b"\xfe\xff\x00\xe0"
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = data_set.get("SOPClassUID", "1.2")
        meta.MediaStorageSOPInstanceUID = data_set.get("SOPInstanceUID", "1.2")
        meta.TransferSyntaxUID = transfer_syntax
        data_set.file_meta = meta
        buffer = BytesIO()
        dcmwrite(buffer, data_set, enforce_file_format=True)
        return buffer.getvalue()

    return make


@pytest.fixture
def site(tmp_path: Path, database: Database, now: datetime, part10: Callable[..., bytes]) -> Iterator[Site]:
    made = Site(tmp_path, database, now, part10)
    yield made
    made.journal.close()

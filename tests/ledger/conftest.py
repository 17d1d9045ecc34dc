"""A migrated database for each test, and Part 10 files made to measure."""

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from derm_pacs.ledger import migrate
from derm_pacs.ledger.database import Database
from derm_pacs.operations.postgres import ROLE, EmbeddedPostgres


def _url(server: EmbeddedPostgres, name: str) -> str:
    return f"postgresql://{ROLE}@/{name}?host={quote(str(server.socket_folder), safe='')}"


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> Iterator[str]:
    """Name of a migrated database that each test's own is copied from."""
    name = f"template_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    migrate.upgrade(_url(postgres, name))
    yield name
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def ledger_url(postgres: EmbeddedPostgres, template: str) -> Iterator[str]:
    """URL of a migrated, empty database of the test's own."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
    yield _url(postgres, name)
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def database(ledger_url: str) -> Iterator[Database]:
    """The test's own ledger."""
    made = Database(ledger_url)
    yield made
    made.close()


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

"""The File Meta Information in front of a received data set."""

from collections.abc import Callable
from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from derm_pacs.domain.identifiers import is_legal_uid
from derm_pacs.receive.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, file_start


@pytest.mark.parametrize("calling", ["A", "AB", "SIXTEEN CHARS AE"])
@pytest.mark.parametrize("uid", ["1.2.3", "1.2.34"])
def test_the_file_is_read_back_with_its_meta_information(
    dataset: Callable[..., Dataset], encoded: Callable[..., bytes], calling: str, uid: str
) -> None:
    start = file_start(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.77.1.7",
        sop_instance_uid=uid,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        calling_ae=calling,
        called_ae="DERMPACS",
    )
    read = dcmread(BytesIO(start + encoded(dataset(uid))))
    meta = read.file_meta
    assert meta.MediaStorageSOPInstanceUID == read.SOPInstanceUID == uid
    assert meta.MediaStorageSOPClassUID == read.SOPClassUID
    assert meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert meta.SourceApplicationEntityTitle == meta.SendingApplicationEntityTitle == calling
    assert meta.ReceivingApplicationEntityTitle == "DERMPACS"
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert meta.FileMetaInformationGroupLength == len(start) - 144
    assert meta.FileMetaInformationVersion == b"\0\1"


def test_we_name_ourselves_within_the_standards_lengths() -> None:
    assert is_legal_uid(IMPLEMENTATION_CLASS_UID)
    assert IMPLEMENTATION_CLASS_UID.startswith("2.25.")
    assert len(IMPLEMENTATION_VERSION_NAME) <= 16

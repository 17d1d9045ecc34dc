"""A person's own files: pictures are wrapped, DICOM is taken as it is, the rest is named and left out."""

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import DermoscopicPhotographyImageStorage, VLPhotographicImageStorage

from derm_pacs.demonstration.failure import DemonstrationError
from derm_pacs.demonstration.own_pictures import studies
from derm_pacs.samples.wrap import Kind, Label, part10, wrap

AT = datetime(2026, 1, 2, tzinfo=UTC)


def picture(file: Path, brightness: int = 90) -> None:
    Image.fromarray(np.full((20, 30, 3), brightness, np.uint8)).save(file)


def dicom(folder: Path, study_uid: str, number: int) -> bytes:
    source = folder.parent / f"source-{number}.png"
    picture(source, brightness=number)
    label = Label(
        patient_id="P", patient_name="A^B", study_uid=study_uid, study_description="", series_description="", at=AT,
        series_number=number,
    )  # fmt: skip
    return part10(wrap(source, Kind.CLINICAL, label))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "own"
    made.mkdir()
    return made


def test_each_picture_becomes_a_study_of_the_wanted_kind(folder: Path) -> None:
    picture(folder / "a.jpg")
    picture(folder / "b.PNG")
    made, left = studies(folder, Kind.DERMOSCOPIC, AT)
    assert left == ()
    assert [one.title for one in made] == ["a.jpg", "b.PNG"]
    assert len({one.study_uid for one in made}) == 2
    headers = [dcmread(BytesIO(one.files[0])) for one in made]
    assert {ds.SOPClassUID for ds in headers} == {DermoscopicPhotographyImageStorage}
    assert not any(one.synthetic for one in made)


def test_the_name_of_a_file_goes_into_no_instance_as_it_may_name_a_patient(folder: Path) -> None:
    picture(folder / "Jane_Doe.jpg")
    made, _ = studies(folder, Kind.CLINICAL, AT)
    assert b"Doe" not in made[0].files[0]
    assert dcmread(BytesIO(made[0].files[0])).SOPClassUID == VLPhotographicImageStorage


def test_dicom_files_are_taken_byte_for_byte_and_grouped_by_study(folder: Path) -> None:
    files = {f"{study}-{number}.dcm": dicom(folder, study, number) for study, number in (("2.25.1", 1), ("2.25.1", 2), ("2.25.2", 3))}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    made, left = studies(folder, Kind.DERMOSCOPIC, AT)
    assert left == ()
    assert {one.study_uid: len(one.files) for one in made} == {"2.25.1": 2, "2.25.2": 1}
    assert sorted(data for one in made for data in one.files) == sorted(files.values())


def test_what_cannot_be_used_is_named_with_its_reason_and_the_rest_goes_on(folder: Path) -> None:
    picture(folder / "good.png")
    (folder / "notes.txt").write_text("not a picture")
    (folder / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    (folder / "half.dcm").write_bytes(dicom(folder, "2.25.1", 1)[:140])
    made, left = studies(folder, Kind.CLINICAL, AT)
    assert [one.title for one in made] == ["good.png"]
    assert {one.name for one in left} == {"notes.txt", "torn.jpg", "half.dcm"}
    assert all(one.why for one in left)


def test_a_folder_without_anything_is_refused_with_a_sentence(folder: Path) -> None:
    with pytest.raises(DemonstrationError, match="holds no JPEG, PNG or DICOM"):
        studies(folder, Kind.CLINICAL, AT)
    with pytest.raises(DemonstrationError, match="is no folder"):
        studies(folder / "absent", Kind.CLINICAL, AT)

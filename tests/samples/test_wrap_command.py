"""`derm-pacs wrap`: a file or a folder of photographs becomes DICOM files, or a sentence says why not."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.cli.main import run


def picture(file: Path, brightness: int = 90) -> Path:
    Image.fromarray(np.full((20, 30, 3), brightness, np.uint8)).save(file)
    return file


def test_a_file_becomes_a_file_with_what_was_said_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "new" / "mole.dcm"
    said = ["--patient-id", "4711", "--patient-name", "Doe^Jane", "--study-uid", "2.25.3", "--description", "left arm"]
    assert run(["wrap", str(picture(tmp_path / "mole.jpg")), str(target), "--kind", "dermoscopic", *said]) == ExitCode.OK
    ds = dcmread(target)
    assert (ds.PatientID, str(ds.PatientName), ds.StudyInstanceUID) == ("4711", "Doe^Jane", "2.25.3")
    assert (ds.StudyDescription, ds.Modality) == ("left arm", "DMS")
    assert capsys.readouterr().out.strip() == str(target)


def test_a_folder_becomes_one_study_of_numbered_files_so_that_no_patients_name_is_in_a_files_name(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for number, name in enumerate(("Jane.jpg", "Joe.png", "notes.txt")):
        picture(source / name, brightness=number) if name != "notes.txt" else (source / name).write_text("no picture")
    assert run(["wrap", str(source), str(tmp_path / "out"), "--kind", "clinical"]) == ExitCode.OK
    made = sorted((tmp_path / "out").iterdir())
    assert [one.name for one in made] == ["0001.dcm", "0002.dcm"]
    headers = [dcmread(one) for one in made]
    assert len({ds.StudyInstanceUID for ds in headers}) == 1
    assert len({ds.SeriesInstanceUID for ds in headers}) == 2


@pytest.mark.parametrize(
    ("name", "content", "status", "sentence"),
    [
        ("absent.jpg", None, ExitCode.NOT_FOUND, "does not exist"),
        ("torn.jpg", b"\xff\xd8\xff\xe0", ExitCode.REFUSED, "torn"),
        ("a.dcm", bytes(128) + b"DICM", ExitCode.REFUSED, "DICOM file already"),
    ],
)
def test_what_cannot_be_wrapped_is_told_on_stderr(
    name: str, content: bytes | None, status: ExitCode, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert run(["wrap", str(tmp_path / name), str(tmp_path / "out.dcm"), "--kind", "clinical"]) == status
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out.dcm").exists()


def test_a_uid_that_is_none_and_a_missing_kind_are_refused(tmp_path: Path) -> None:
    source = str(picture(tmp_path / "a.png"))
    assert run(["wrap", source, str(tmp_path / "o.dcm"), "--kind", "clinical", "--study-uid", "1.02"]) == ExitCode.USAGE
    assert run(["wrap", source, str(tmp_path / "o.dcm")]) == ExitCode.USAGE


def test_an_empty_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["wrap", str(tmp_path), str(tmp_path / "out"), "--kind", "clinical"]) == ExitCode.NOT_FOUND
    assert "holds no JPEG or PNG" in capsys.readouterr().err

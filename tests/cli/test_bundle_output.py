"""A folder that cannot be written is told by option and path before a command of training or measuring begins."""

from pathlib import Path

import pytest

from derm_pacs.cli.bundle_output import output_folder
from derm_pacs.cli.exit_codes import CommandError, ExitCode
from derm_pacs.cli.main import run

for package in ("ignite", "sklearn", "matplotlib"):
    pytest.importorskip(package, reason="needs the extra 'train'")

ALEXNET = "melanoma_nevus_alexnet"


@pytest.mark.parametrize(
    ("command", "option", "place"),
    [
        (["evaluate", ALEXNET, "--data", "none.csv"], "--report", "afile"),
        (["embed", ALEXNET, "--data", "none.csv"], "--out", "afile/x"),
        (["embed", ALEXNET, "--config", "none.toml"], "--out", "afile/x"),
        (["readers", "none.csv", "--label", "label", "--score", "score"], "--report", "afile"),
        (["crops-experiment", "--segmenter", "skin_lesion_deeplabv3plus", "--classifier", ALEXNET, "--data", "none.csv"], "--report", "afile"),
        (["compare", ALEXNET, "--data", "none.csv"], "--out", "afile"),
        (["train", ALEXNET, "--data", "none.csv"], "--out", "afile"),
    ],
)
def test_a_file_in_the_folders_place_is_told_before_anything_is_read(
    command: list[str], option: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "afile").touch()
    monkeypatch.chdir(tmp_path)
    assert run(["bundles", *command, option, place]) == ExitCode.REFUSED
    said = capsys.readouterr().err
    assert f"{option}: {place} cannot be written (" in said
    assert "name a folder" in said
    assert "none." not in said, "the table would have been the first to be read"


def test_a_copy_of_a_bundle_is_refused_where_its_folder_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "afile").touch()
    monkeypatch.chdir(tmp_path)
    assert run(["bundles", "export", ALEXNET, "--out", "afile/x"]) == ExitCode.REFUSED
    assert f"--out: {tmp_path / 'afile'} cannot be written (" in capsys.readouterr().err


def test_a_bundle_that_cannot_be_written_takes_no_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = tmp_path / "bundle"
    for folder in ("configs", "docs"):
        (bundle / folder).mkdir(parents=True)
    (bundle / "configs" / "evaluate.json").touch()
    (bundle / "docs" / "README.md").write_text("<!-- figures -->\n<!-- /figures -->\n", encoding="utf-8")
    (bundle / "docs" / "report").touch()
    assert run(["bundles", "evaluate", str(bundle), "--data", "none.csv", "--write"]) == ExitCode.REFUSED
    assert f"--write: {bundle / 'docs' / 'report'} cannot be written (" in capsys.readouterr().err


def test_a_folder_is_made_with_those_above_it_and_stays_empty(tmp_path: Path) -> None:
    place = tmp_path / "new" / "out"
    output_folder(place, "--out", mode=0o700)
    assert list(place.iterdir()) == []
    assert place.stat().st_mode & 0o077 == 0
    output_folder(place, "--out")


def test_a_folder_that_is_there_and_takes_no_file_is_refused() -> None:
    with pytest.raises(CommandError, match=r"--out: /proc cannot be written \(.*\); name a folder"):
        output_folder(Path("/proc"), "--out")

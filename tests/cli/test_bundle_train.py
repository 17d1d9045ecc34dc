"""`derm-pacs bundles train`: what is wrong on the command line is told before anything is read."""

import sys
from pathlib import Path

import pytest

from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.cli.main import run
from tests.conftest import REPOSITORY

pytest.importorskip("ignite", reason="needs the extra 'train'")
BUNDLE = str(REPOSITORY / "monai_bundles" / "melanoma_nevus_alexnet")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["no_such_bundle", "--data", "t.csv"], ExitCode.NOT_FOUND, "there is no bundle 'no_such_bundle'; name a folder with configs/train.json, or one of these:"),
        ([BUNDLE, "--data", "no.csv"], ExitCode.FAILED, "no.csv does not exist; name a CSV with the columns path and label"),
        ([BUNDLE, "--data", "t.csv", "--set", "seed"], ExitCode.USAGE, "--set seed has no value; write --set KEY=VALUE"),
        ([BUNDLE, "--data", "t.csv", "--set", "sead=3"], ExitCode.FAILED, "has no setting sead; it has"),
        ([BUNDLE, "--data", "t.csv", "--split", "image"], ExitCode.USAGE, "'image' is not one of"),
    ],
)
def test_a_wrong_command_line_says_what_to_write(
    arguments: list[str], status: ExitCode, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["bundles", "train", *arguments]) == status
    assert said in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_without_the_packages_of_training_the_way_to_get_them_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "derm_training.learning.train", None)
    assert run(["bundles", "train", BUNDLE, "--data", "t.csv"]) == ExitCode.FAILED
    assert "pip install derm-pacs[train]" in capsys.readouterr().err

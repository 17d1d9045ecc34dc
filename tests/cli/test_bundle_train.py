"""`derm-pacs bundles train`: what is wrong on the command line is told before anything is read."""

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.cli.main import run
from tests.conftest import REPOSITORY

pytest.importorskip("ignite", reason="needs the extra 'train'")

from derm_training.learning import train as training
from derm_training.learning.train import Trained

BUNDLE = str(REPOSITORY / "monai_bundles" / "melanoma_nevus_alexnet")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["no_such_bundle", "--data", "t.csv"], ExitCode.NOT_FOUND, "there is no bundle 'no_such_bundle'; name a folder with configs/train.json, or one of these:"),
        ([BUNDLE, "--data", "no.csv"], ExitCode.NOT_FOUND, "--data: no.csv does not exist; name a CSV with the columns path and label"),
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


def trained(_bundle: Path, out: Path, _settings: Any) -> Trained:
    return Trained(weights=out / "best.pt", table=out / "table.csv", epochs=5, epoch=3, seconds=1.0, figures={"auc": 0.86})


@pytest.mark.parametrize(
    ("split", "told"),
    [
        ("lesion", "These are figures of the images that chose the epoch, without an interval; `bundles evaluate` measures:"),
        ("paper", "These are figures of the test images, without an interval; `bundles evaluate` measures:"),
    ],
)
def test_the_figures_of_a_training_are_told_with_the_images_they_are_of(
    split: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "train", trained)
    monkeypatch.chdir(tmp_path)
    assert run(["bundles", "train", BUNDLE, "--data", "t.csv", "--split", split]) == ExitCode.OK
    first, second, third, _ = capsys.readouterr().out.splitlines()
    assert first == "training/melanoma_nevus_alexnet/best.pt holds the averaged weights of epoch 3 of 5: auc 0.8600"
    assert second == told
    assert third.startswith("measure:  derm-pacs bundles evaluate ")


def test_the_commands_that_go_on_can_be_pasted(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "train", trained)
    monkeypatch.chdir(tmp_path)
    assert run(["bundles", "train", BUNDLE, "--data", "t.csv", "--out", "t 6"]) == ExitCode.OK
    *_, measure, ship = capsys.readouterr().out.splitlines()
    assert shlex.split(measure)[1:] == ["derm-pacs", "bundles", "evaluate", BUNDLE, "--data", "t 6/table.csv", "--weights", "t 6/best.pt"]
    assert shlex.split(ship)[1:] == ["derm-pacs", "bundles", "export", BUNDLE, "--checkpoint", "t 6/best.pt", "--version", "VERSION"]


def test_without_the_packages_of_training_the_way_to_get_them_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "derm_training.learning.train", None)
    assert run(["bundles", "train", BUNDLE, "--data", "t.csv"]) == ExitCode.FAILED
    assert 'pip install -e ".[train]"' in capsys.readouterr().err

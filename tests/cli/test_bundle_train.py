"""`derm-pacs bundles train`: what is wrong on the command line is told before anything is read."""

import json
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.cli.main import run
from tests.conftest import REPOSITORY

pytest.importorskip("ignite", reason="needs the extra 'train'")

from derm_training.learning import train as training
from derm_training.learning.train import Trained

pytestmark = pytest.mark.usefixtures("place")
BUNDLE = str(REPOSITORY / "monai_bundles" / "melanoma_nevus_alexnet")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder to stand in, with a table of one image that nobody opens."""
    (tmp_path / "t.csv").write_text("path,label\n0.png,nevus\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)


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
    arguments: list[str], status: ExitCode, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bundles", "train", *arguments]) == status
    assert said in " ".join(capsys.readouterr().err.replace("│", " ").split())


PHOTOGRAPHS = {"photographs": 12, "synthetic": 0}


def trained(_bundle: Path, out: Path, _settings: Any, judged_on: dict[str, int] = PHOTOGRAPHS) -> Trained:
    return Trained(
        weights=out / "best.pt", table=out / "table.csv", epochs=5, epoch=3, seconds=1.0, figures={"auc": 0.86}, judged_on=judged_on
    )


@pytest.mark.parametrize(
    ("split", "told"),
    [
        ("lesion", "These are figures of the images that chose the epoch, without an interval; `bundles evaluate` measures:"),
        ("paper", "These are figures of the test images, without an interval; `bundles evaluate` measures:"),
    ],
)
def test_the_figures_of_a_training_are_told_with_the_images_they_are_of(
    split: str, told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "train", trained)
    assert run(["bundles", "train", BUNDLE, "--data", "t.csv", "--split", split]) == ExitCode.OK
    first, second, third, _ = capsys.readouterr().out.splitlines()
    assert first == "training/melanoma_nevus_alexnet/best.pt holds the averaged weights of epoch 3 of 5: auc 0.8600"
    assert second == told
    assert third.startswith("measure:  derm-pacs bundles evaluate ")


@pytest.mark.parametrize(
    ("judged_on", "figures", "images"),
    [
        ({"photographs": 0, "synthetic": 12}, "SYNTHETIC auc 0.8600", "the SYNTHETIC images that chose the epoch,"),
        ({"photographs": 5, "synthetic": 7}, "auc 0.8600", "the images that chose the epoch (5 photographs, 7 SYNTHETIC; auc is of the photographs alone),"),
    ],
)
def test_figures_of_drawn_images_say_so(
    judged_on: dict[str, int], figures: str, images: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "train", partial(trained, judged_on=judged_on))
    assert run(["bundles", "train", BUNDLE, "--data", "t.csv"]) == ExitCode.OK
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.endswith(f"epoch 3 of 5: {figures}")
    assert second.startswith(f"These are figures of {images} without an interval;")
    assert run(["bundles", "train", BUNDLE, "--data", "t.csv", "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["judged_on"] == judged_on


def test_the_commands_that_go_on_can_be_pasted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "train", trained)
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

"""`derm-pacs bundles evaluate`: wrong weights are told as that, and figures are written whole, into the bundle and beside a person's files."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from derm_networks.alexnet import AlexNet
from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.cli.main import run
from tests.conftest import REPOSITORY

pytest.importorskip("ignite", reason="needs the extra 'train'")
pytestmark = pytest.mark.server  # evaluates networks


def _nothing(file: Path) -> None:
    pass


def _table(file: Path) -> None:
    file.write_text("path,label\n", encoding="utf-8")


def _of_another_network(file: Path) -> None:
    torch.save(AlexNet(num_classes=2, rank=4).state_dict(), file)


def _two_pictures(folder: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    for label in ("nevus", "melanoma"):
        Image.fromarray(picture).save(folder / f"{label}.png")
    (folder / "t.csv").write_text("path,label\nnevus.png,nevus\nmelanoma.png,melanoma\n", encoding="utf-8")


def test_a_network_that_one_setting_of_the_training_changed_is_measured_as_it_was_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    _two_pictures(tmp_path)
    _of_another_network(tmp_path / "best.pt")
    trained = {"_target_": "derm_networks.alexnet.AlexNet", "num_classes": 2, "rank": 4, "dropout": 0.3}
    (tmp_path / "training.json").write_text(json.dumps({"version": "0", "configuration": {"network_def": trained}}))
    words = ["bundles", "evaluate", "melanoma_nevus_alexnet", "--data", "t.csv", "--weights", "best.pt", "--device", "cpu", "--json"]
    assert run(words) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["n"] == 2


@pytest.mark.parametrize(
    ("write", "status", "told"),
    [
        (_nothing, ExitCode.NOT_FOUND, "--weights: best.pt does not exist; name the best.pt of a training or a .safetensors file"),
        (_table, ExitCode.FAILED, "best.pt holds no weights that can be read; name the best.pt of a training or a .safetensors file"),
        (_of_another_network, ExitCode.FAILED, "best.pt is no state of the network of evaluate.json: Error(s) in loading state_dict for AlexNet"),
    ],
)
def test_weights_that_do_not_fit_are_told_with_what_to_name(
    write: Callable[[Path], None], status: ExitCode, told: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    _two_pictures(tmp_path)
    write(tmp_path / "best.pt")
    words = ["bundles", "evaluate", "melanoma_nevus_alexnet", "--data", "t.csv", "--weights", "best.pt", "--device", "cpu"]
    assert run(words) == status
    said = capsys.readouterr().err
    assert told in said.replace(f"{tmp_path}/", "")
    assert "tables" not in said
    if write is _of_another_network:
        assert "set network_def (such as its rank) in evaluate.json to what the weights were trained with" in said


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of a shipped bundle, to be written into."""
    return Path(shutil.copytree(REPOSITORY / "monai_bundles" / "melanoma_nevus_alexnet", tmp_path / "bundle"))


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A person's folder: six pictures as PNG, and their table."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    random = np.random.default_rng(0)
    lines = ["path,label"]
    for number in range(6):
        Image.fromarray(random.integers(0, 255, (64, 80, 3), dtype=np.uint8)).save(folder / f"{number}.png")
        lines.append(f"{number}.png,{'nevus' if number % 2 else 'melanoma'}")
    (folder / "t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def measure(bundle: Path, photographs: Path, *more: str) -> ExitCode | int:
    return run(["bundles", "evaluate", str(bundle), "--data", str(photographs / "t.csv"), "--device", "cpu", *more])


def test_the_operating_points_are_printed_and_the_curve_is_in_the_answer_for_programs(
    bundle: Path, photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert measure(bundle, photographs, "--sensitivity", "0.9") == ExitCode.OK
    said = capsys.readouterr().out
    assert "operating point" in said
    for name in ("default", "sensitivity 90 %", "sensitivity 100 %"):
        assert name in said
    shown = [line.split() for line in said.partition("ROC: threshold")[2].splitlines()[1:4]]
    assert [line[1] for line in shown] == ["0.333", "0.667", "1.000"], "three positives give three steps"
    assert measure(bundle, photographs, "--json") == ExitCode.OK
    answer = json.loads(capsys.readouterr().out)
    curve = answer["roc"]
    assert all(f"{number:.3f}" in {f"{one:.3f}" for one in curve["specificity"]} for number in (float(line[2]) for line in shown))
    assert len(curve["threshold"]) == len(curve["sensitivity"]) == len(curve["specificity"])
    assert (curve["sensitivity"][0], curve["specificity"][0], curve["threshold"][0]) == (0.0, 1.0, None)
    assert (curve["sensitivity"][-1], curve["specificity"][-1]) == (1.0, 0.0)
    area = -np.trapezoid(curve["sensitivity"], curve["specificity"])
    assert area == pytest.approx(answer["auc"], abs=1e-5)


def test_a_report_beside_a_persons_photographs_leaves_them(bundle: Path, photographs: Path) -> None:
    before = content(photographs)
    assert measure(bundle, photographs, "--report", str(photographs)) == ExitCode.OK
    after = content(photographs)
    assert {name: after.get(name) for name in before} == before
    assert {"report.html", "report.json", "confusion.png"} <= after.keys() - before.keys()


def test_figures_are_written_into_description_record_card_and_report_together(bundle: Path, photographs: Path) -> None:
    assert measure(bundle, photographs, "--write") == ExitCode.OK
    serving, metadata = (json.loads((bundle / "configs" / f"{name}.json").read_text(encoding="utf-8")) for name in ("serving", "metadata"))
    assert {one["dataset"] for one in serving["validation"]} >= {"t"}
    assert metadata["derm_pacs"]["metrics"] == serving["validation"]
    assert "t.csv, split all" in (bundle / "docs" / "README.md").read_text(encoding="utf-8")
    assert json.loads((bundle / "docs" / "report" / "report.json").read_text(encoding="utf-8"))["tasks"][0]["n"] == 6


def test_a_card_without_a_place_for_figures_is_told_before_anything_is_measured(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bundle / "docs" / "README.md").write_text("no block\n", encoding="utf-8")
    before = content(bundle)
    assert measure(bundle, tmp_path / "none", "--write") == ExitCode.FAILED
    said = capsys.readouterr().err
    assert "README.md lacks the markers of the block 'figures'; write a line <!-- figures --> and below it" in said
    assert "t.csv" not in said, "the table would have been read by then"
    assert content(bundle) == before


def test_where_one_of_the_files_cannot_take_the_figures_none_does(bundle: Path, photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    serving = bundle / "configs" / "serving.json"
    serving.write_text(serving.read_text(encoding="utf-8").replace('"melanocytic_nevus"', '"without_a_code"'), encoding="utf-8")
    before = content(bundle)
    assert measure(bundle, photographs, "--write") == ExitCode.FAILED
    assert "the concept without_a_code has no code; name one of derm_pacs/domain/codes.py in serving.json" in capsys.readouterr().err
    assert content(bundle) == before


def answered(capsys: pytest.CaptureFixture[str], status: ExitCode | int) -> dict[str, Any]:
    """What a command that went well has printed as JSON."""
    said = capsys.readouterr()
    assert status == ExitCode.OK, said.err
    values: dict[str, Any] = json.loads(said.out)
    return values


def test_the_predictions_give_the_same_figures_beside_readers(bundle: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "out" / "predictions.csv"
    status = measure(bundle, photographs, "--predictions", str(file), "--json")
    assert f"the predictions are in {file}, one row an image. For research use; not for primary diagnosis." in capsys.readouterr().err
    measured = answered(capsys, measure(bundle, photographs, "--predictions", str(file), "--json"))
    assert status == ExitCode.OK, "what an earlier run wrote is replaced"
    beside = ["bundles", "readers", str(file), "--label", "label", "--simulate", "3", "--draws", "100", "--json"]
    of_two = answered(capsys, run([*beside, "--positive", "melanoma", "--score", "score", "--group", "lesion_id"]))
    assert of_two["auc"] == pytest.approx(measured["auc"], abs=1e-6)
    for columns in (["--probabilities", "p_"], ["--prediction", "call"]):
        by_name = answered(capsys, run([*beside, "--classes", "nevus,melanoma", *columns]))
        assert by_name["algorithm"]["accuracy"] == pytest.approx(measured["accuracy"], abs=1e-6)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("afile/predictions.csv", "--predictions: afile cannot be written ("),
        ("t.csv", "--predictions: t.csv is there and is no table of predictions; name a file that does not exist"),
        (".", "--predictions: . is there and is no table of predictions; name a file that does not exist"),
    ],
)
def test_a_place_that_cannot_take_the_predictions_is_told_before_anything_is_measured(
    place: str, told: str, photographs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(photographs)
    Path("afile").touch()
    before = content(photographs)
    assert run(["bundles", "evaluate", "melanoma_nevus_alexnet", "--data", ".", "--predictions", place]) == ExitCode.REFUSED
    assert told in capsys.readouterr().err
    assert content(photographs) == before

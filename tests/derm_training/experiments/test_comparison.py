"""A bundle's network beside others under one schedule: the same images and steps, one table, words for what cannot be compared."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("ignite", reason="needs the extra 'train'")

from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.cli.main import run
from derm_training.experiments import comparison
from derm_training.experiments.comparison import COMMON, OWN, as_values, compare, write
from derm_training.learning.train import TrainingError
from derm_training.measuring.statement import RESEARCH_USE
from tests.conftest import REPOSITORY
from tests.derm_training.measuring.documented import documented

pytestmark = pytest.mark.server  # trains or evaluates networks

SHIPPED = REPOSITORY / "monai_bundles" / "melanoma_nevus_alexnet" / "configs"
OWN_NETWORK = {"_target_": "DenseNet", "spatial_dims": 2, "in_channels": 3, "out_channels": 2, "init_features": 4, "growth_rate": 2, "block_config": [1]}
SMALL = {**OWN_NETWORK, "init_features": 8, "out_channels": "$len(@classes)"}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Drawn pictures: dark ones are called melanoma; some are named synthetic, some not."""
    random = np.random.default_rng(4)
    lines = ["path,label,split,source,dataset,lesion_id"]
    for number in range(32):
        dark = number % 2 == 1
        picture = random.normal(80 if dark else 160, 40, (40, 50, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
        split, dataset = ("val" if number >= 16 else "train"), ("synthetic drawings" if number % 4 < 2 else "taken")
        lines.append(f"{number}.png,{'melanoma' if dark else 'nevus'},{split},s,{dataset},L{number}")
    (tmp_path / "images.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path / "images.csv"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The shipped configuration with a network of some hundred weights at 32 pixels."""
    folder = tmp_path / "monai_bundles" / "melanoma_nevus_alexnet"
    (folder / "configs").mkdir(parents=True)
    config: dict[str, Any] = json.loads((SHIPPED / "train.json").read_text(encoding="utf-8"))
    config |= {"network_def": OWN_NETWORK, "height": 32, "width": 32, "batch": 8, "teacher": None}
    config["images"] |= {"height": 36, "width": 36}
    config["network"] |= {"network": "@network_def", "batch_norm": []}
    (folder / "configs" / "train.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "configs" / "metadata.json").write_text("{}", encoding="utf-8")
    return folder


def test_each_network_learns_by_the_bundles_own_schedule_and_stands_in_one_table(
    tmp_path: Path, bundle: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COMMON, "small", SMALL)
    settings = {"data": str(table), "device": "cpu", "epochs": 1}
    first = compare(bundle, tmp_path / "out", ["small"], settings)
    assert [one.title.startswith("SYNTHETIC: ") for one in first] == [False, True], "they share no figure"
    for one in first:
        own, small = one.networks
        assert (own.name, small.name) == (OWN, "small")
        assert own.difference is None
        assert small.difference is not None
        gained = small.figures["accuracy"].value - own.figures["accuracy"].value
        assert small.difference.value == pytest.approx(gained)
        assert small.weights > own.weights
        assert own.figures["auc"].n == 8
    tables = [(tmp_path / "out" / name / "table.csv").read_bytes() for name in (OWN, "small")]
    assert tables[0] == tables[1], "the same images on the same side"
    again = compare(bundle, tmp_path / "out", ["small"], settings)
    figures = [[[one.figures for one in found.networks] for found in each] for each in (first, again)]
    assert figures[0] == figures[1], "finished trainings are taken up as they are"
    write(again, tmp_path / "report")
    said = json.loads((tmp_path / "report/comparison.json").read_text())
    assert said == json.loads(json.dumps(as_values(again)))
    page = (tmp_path / "report/comparison.html").read_text()
    assert "not for primary diagnosis" in page
    assert "With --split lesion" in page


def test_a_name_that_is_no_network_is_told_with_those_that_are(bundle: Path, tmp_path: Path, table: Path) -> None:
    with pytest.raises(TrainingError, match="vgg is not among the networks to compare with; they are resnet18, resnet50"):
        compare(bundle, tmp_path / "out", ["vgg"], {"data": str(table)})


def test_a_bundle_that_draws_masks_cannot_be_compared(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/train.json").write_text("{}")
    with pytest.raises(TrainingError, match="trains no classifier"):
        compare(tmp_path, tmp_path / "out", ["resnet18"], {})


def test_every_named_network_gives_logits_of_the_bundles_classes() -> None:
    for name in COMMON:
        network = comparison._network({"classes": ["a", "b", "c"], "network_def": OWN_NETWORK}, name).eval()
        rows = torch.zeros(1, 3, 64, 64)
        assert network(rows).shape == (1, 3), name


def test_the_documented_command_runs(
    tmp_path: Path, bundle: Path, table: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(COMMON, "resnet18", SMALL)
    monkeypatch.chdir(tmp_path)
    for words in documented("compare"):
        assert run([*words, "--device", "cpu"]) == ExitCode.OK, capsys.readouterr().err
    said = capsys.readouterr().out
    assert "resnet18" in said
    assert "own" in said
    assert "With --split lesion" in said, "the images that judge have chosen the epochs"
    assert said.rstrip().endswith(RESEARCH_USE)
    assert (tmp_path / "comparison/comparison.html").exists()

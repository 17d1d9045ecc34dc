"""A bundle's network beside others under one schedule: the same images and steps, one table, words for what cannot be compared."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("ignite", reason="needs the extra 'train'")

from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.cli.main import Listed, help_and_examples, run
from derm_training.experiments import comparison
from derm_training.experiments.comparison import COMMON, OWN, as_values, compare, write
from derm_training.learning.train import TrainingError
from derm_training.measuring.statement import RESEARCH_USE
from tests.conftest import REPOSITORY
from tests.derm_training.measuring.documented import documented

pytestmark = pytest.mark.server  # trains or evaluates networks

DERMATOSES = REPOSITORY / "monai_bundles" / "dermatosis14_efficientnet_b4" / "configs"
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


def noise(folder: Path, dataset: str, classes: Sequence[str]) -> None:
    """Write MANIFEST.csv with two pictures of noise of each class to learn from and two to judge by."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(len(classes))
    lines = ["path,label,split,source,dataset,lesion_id"]
    for label in classes:
        for number in range(4):
            name = f"{label}-{number}"
            Image.fromarray(random.integers(0, 255, (40, 50, 3), np.uint8)).save(folder / f"{name}.png")
            lines.append(f"{name}.png,{label},{'val' if number > 1 else 'train'},s,{dataset},{name}")
    (folder / "MANIFEST.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


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


def test_a_bundle_of_photographed_and_drawn_classes_is_compared_by_the_first_example_of_the_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = json.loads((DERMATOSES / "metadata.json").read_text(encoding="utf-8"))["tasks"]
    for place, dataset, classes in (("", "taken", tasks["real"]), ("drawn", "synthetic drawings", tasks["synthetic"])):
        noise(tmp_path / place, dataset, classes)
    monkeypatch.setitem(COMMON, "resnet18", SMALL)
    monkeypatch.chdir(tmp_path)
    _, examples = help_and_examples(Listed("compare", "", "bundle_compare", "compare"))
    first = next(line for line in examples.splitlines() if "derm-pacs" in line)
    smaller = ["--networks=resnet18", "--epochs=1", "--device=cpu", "--out=out", "--set=model_name=efficientnet-b0", "--set=height=32", "--set=width=32", "--json"]
    assert run([*shlex.split(first)[1:], *smaller]) == ExitCode.OK, capsys.readouterr().err
    said = capsys.readouterr()
    found = json.loads(said.out)["comparisons"]
    assert [one["title"].startswith("SYNTHETIC: ") for one in found] == [False, True], "they share no figure"
    assert [one["notes"] for one in found] == [[f"10 images of 5 classes: {', '.join(tasks['real'])}."], [f"18 images of 9 classes: {', '.join(tasks['synthetic'])}."]]
    for one in found:
        own, small = one["networks"]
        assert (own["network"], small["network"]) == (OWN, "resnet18")
        assert own["weights"] > small["weights"]
    assert "(10 photographs, 18 SYNTHETIC); auc is of the photographs alone" in said.err


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

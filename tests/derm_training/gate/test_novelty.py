"""The limit of novelty is set by validation images, measured on those that did not set it, and read back by the service."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from derm_networks.deeplabv3plus import DeepLabV3Plus
from derm_networks.novelty import FeatureSpace
from derm_networks.served import open_bundle
from derm_pacs.bundles.description import parse
from derm_pacs.cli.main import run
from derm_pacs.domain.bundle import Energy, FeatureDistance
from derm_pacs.domain.findings import Classification, Refusal
from derm_pacs.inference.analyse import analyse_pixels, load_bundle
from derm_pacs.inference.client import self_test
from derm_training.gate.novelty import FILE, Fitted, _limit, _of_others, features, fit, write
from derm_training.tables.manifest import read_table
from derm_training.tables.rows import Table
from tests.inference.conftest import describe, skin

pytestmark = pytest.mark.server  # trains or evaluates networks

RESNET = {"name": "resnet", "args": {"in_channels": 3, "num_classes": 2, "block": "basic", "layers": [1, 1, 1, 1]}}
CLASSES = [{"id": "nevus", "concept": "melanocytic_nevus"}, {"id": "melanoma", "concept": "melanoma"}]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("novel")
    describe(
        folder,
        network=RESNET,
        outputs=[{"kind": "classification", "id": "class", "activation": "softmax", "classes": CLASSES, "lesion_rule": "mean"}],
        golden=[{"file": "golden/0.png", "expect": {"melanoma": 0.5}, "tolerance": 0.05}],
    )
    return folder


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    folder = tmp_path_factory.mktemp("table")
    lines = ["path,label,split"]
    for number in range(30):
        Image.fromarray(skin(60, 80, seed=number)).save(folder / f"{number}.png")
        lines.append(f"{number}.png,nevus,{'train' if number < 18 else 'val'}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    return read_table(folder / "table.csv")


def changed(folder: Path, fitted: Fitted) -> Callable[[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]], bool]:
    """Write the limit and return whether the service refuses a picture by it."""
    write(folder, fitted)
    loaded = load_bundle(folder, parse((folder / "configs" / "serving.json").read_bytes()))

    def refused(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bool:
        (found,) = analyse_pixels(loaded, pixels)
        if isinstance(found, Refusal):
            assert found.reason == "out_of_distribution"
            return True
        assert isinstance(found, Classification)
        return False

    return refused


def test_features_of_training_images_make_the_space_and_the_service_refuses_what_is_far_from_it(bundle: Path, table: Table) -> None:
    fitted = fit(bundle, table)
    assert (fitted.kind, fitted.trained_on, fitted.validated_on, fitted.refused) == ("feature_distance", 18, 12, 0.0)
    refused = changed(bundle, fitted)
    limit = parse((bundle / "configs" / "serving.json").read_bytes()).quality.novelty
    assert isinstance(limit, FeatureDistance)
    assert limit.file == FILE
    assert limit.maximum == pytest.approx(fitted.maximum, abs=1e-6)
    assert not any(refused(skin(60, 80, seed=number)) for number in range(18, 30)), "those that set the limit pass, the farthest too"
    stripes = np.zeros((60, 80, 3), dtype=np.uint8)
    stripes[:, ::4] = (20, 250, 60)
    assert refused(stripes)


def test_by_energy_no_file_is_needed(bundle: Path, table: Table) -> None:
    fitted = fit(bundle, table, kind="energy", share=0.5)
    assert (fitted.space, fitted.trained_on) == (None, 0)
    assert 0.3 < fitted.refused <= 0.5
    refused = changed(bundle, fitted)
    assert isinstance(parse((bundle / "configs" / "serving.json").read_bytes()).quality.novelty, Energy)
    assert 4 <= sum(refused(skin(60, 80, seed=number)) for number in range(18, 30)) <= 6


def test_writing_a_limit_leaves_everything_else_of_the_description(bundle: Path) -> None:
    place = bundle / "configs" / "serving.json"
    before = json.loads(place.read_text())
    space = FeatureSpace.fit(np.random.default_rng(0).normal(size=(9, 4)))
    write(bundle, Fitted(kind="feature_distance", space=space, maximum=2.0, trained_on=9, validated_on=9, refused=0, refused_of_others=0))
    after = json.loads(place.read_text())
    before["quality"].pop("novelty", None)
    after["quality"].pop("novelty")
    assert after == before


def test_a_limit_takes_the_place_of_one_in_another_file(bundle: Path) -> None:
    place = bundle / "configs" / "serving.json"
    before = place.read_text()
    described = json.loads(before)
    described["quality"]["novelty"] = {"kind": "feature_distance", "maximum": 1.0, "file": "models/former.safetensors", "sha256": "0" * 64}
    place.write_text(json.dumps(described))
    former = bundle / "models" / "former.safetensors"
    former.write_bytes(b"former")
    write(bundle, Fitted(kind="energy", space=None, maximum=2.0, trained_on=0, validated_on=9, refused=0, refused_of_others=0))
    assert not former.exists()
    place.write_text(before)


def test_a_former_limit_outside_the_bundle_is_refused_and_nothing_is_touched(bundle: Path, tmp_path: Path) -> None:
    place = bundle / "configs" / "serving.json"
    before = place.read_text()
    precious = tmp_path / "precious.safetensors"
    precious.write_bytes(b"mine")
    described = json.loads(before)
    described["quality"]["novelty"] = {"kind": "feature_distance", "maximum": 1.0, "file": str(precious), "sha256": "0" * 64}
    place.write_text(json.dumps(described))
    with pytest.raises(ValueError, match=r"quality\.novelty\.file of serving\.json is .* not a file inside the bundle"):
        write(bundle, Fitted(kind="energy", space=None, maximum=2.0, trained_on=0, validated_on=9, refused=0, refused_of_others=0))
    assert precious.read_bytes() == b"mine"
    assert json.loads(place.read_text()) == described
    place.write_text(before)


def test_the_limit_is_the_smallest_that_refuses_no_more_than_the_share() -> None:
    figures = np.arange(1, 101, dtype=np.float64)
    assert (figures > _limit(figures, 0.01)).mean() <= 0.01
    assert 100 < _limit(figures, 0.0) < 100.5, "the farthest passes, where sums end in another digit too"
    assert (figures > _limit(figures, 0.1)).mean() == pytest.approx(0.1, abs=0.011)


def test_what_is_refused_of_images_that_did_not_set_the_limit_is_more_than_the_share() -> None:
    """Lesions of two images each, of which both lie far away: neither half knows the other's."""
    figures = np.random.default_rng(0).normal(size=400)
    groups = [str(place // 2) for place in range(400)]
    found = _of_others(figures, groups, share=0.01, seed=0)
    assert 0.005 < found < 0.03
    assert _of_others(figures, ["one"] * 400, share=0.01, seed=0) != found


def test_a_table_without_validation_images_is_refused_by_name(bundle: Path, table: Table) -> None:
    rows = tuple(row for row in table.rows if row.split == "train")
    with pytest.raises(ValueError, match="18 rows of split train and 0 of split val"):
        fit(bundle, Table(path=table.path, rows=rows))


def test_a_network_without_features_is_named(bundle: Path) -> None:
    silent = dataclasses.replace(open_bundle(bundle), network=nn.Identity())
    with pytest.raises(ValueError, match="resnet gives no pooled features"):
        features(silent, skin(60, 80))


def test_the_network_that_draws_masks_has_features_too() -> None:
    network = DeepLabV3Plus().eval()
    with torch.inference_mode():
        assert network.pooled_features(torch.zeros(2, 3, 32, 48)).shape == (2, network.encoder.deep_channels)


def shipped(folder: Path, table: Table, *options: str) -> tuple[int, list[dict[str, object]]]:
    """Run the command on the bundle; returns its status and the golden promises."""
    status = run(["bundles", "novelty", str(folder), "--data", str(table.path), *options])
    return status, json.loads((folder / "configs" / "serving.json").read_text())["golden"]


@pytest.fixture
def bundle_to_ship(bundle: Path, tmp_path: Path) -> Path:
    folder = shutil.copytree(bundle, tmp_path / "novel")
    metadata = {"version": "1.0.0", "intended_use": "To be tried.", "data_source": "drawn"}
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    shutil.rmtree(folder / "golden")
    (folder / "golden").mkdir()
    Image.fromarray(skin(60, 80, seed=20)).save(folder / "golden" / "like.png")
    stripes = np.zeros((60, 80, 3), dtype=np.uint8)
    stripes[:, ::4] = (20, 250, 60)
    Image.fromarray(stripes).save(folder / "golden" / "unlike.png")
    return folder


def test_the_command_makes_the_golden_promises_anew_and_the_service_keeps_them(
    bundle_to_ship: Path, table: Table, capsys: pytest.CaptureFixture[str]
) -> None:
    status, (like, unlike) = shipped(bundle_to_ship, table)
    assert "so few validation images (below 100) do not tell which share of others the limit refuses" in capsys.readouterr().out
    assert status == 0
    assert set(like) == {"file", "expect", "tolerance"}
    assert unlike == {"file": "golden/unlike.png", "refused": "out_of_distribution"}
    description = parse((bundle_to_ship / "configs" / "serving.json").read_bytes())
    proofs = self_test(bundle_to_ship, description)
    assert [str(one) for one in proofs if not one.agrees] == []
    assert len(proofs) == 3, "two classes of one picture and the refusal of the other"
    metadata = json.loads((bundle_to_ship / "configs" / "metadata.json").read_text())
    assert metadata["derm_pacs"]["quality"]["novelty"]["maximum"] == getattr(description.quality.novelty, "maximum", None)


def test_a_limit_that_refuses_every_golden_picture_is_not_written(
    bundle_to_ship: Path, table: Table, capsys: pytest.CaptureFixture[str]
) -> None:
    (bundle_to_ship / "golden" / "like.png").unlink()
    before = {file: file.read_bytes() for file in bundle_to_ship.rglob("*") if file.is_file()}
    status, _ = shipped(bundle_to_ship, table)
    assert status != 0
    said = capsys.readouterr().err
    assert "refuses all 1 golden pictures (out_of_distribution 1)" in said
    assert "put a drawn picture" in said
    assert {file: file.read_bytes() for file in bundle_to_ship.rglob("*") if file.is_file()} == before


def test_by_energy_the_file_of_features_goes(bundle_to_ship: Path, table: Table) -> None:
    shipped(bundle_to_ship, table)
    assert (bundle_to_ship / FILE).is_file()
    status, promises = shipped(bundle_to_ship, table, "--by", "energy")
    assert status == 0
    assert not (bundle_to_ship / FILE).exists()
    assert any("expect" in one for one in promises)

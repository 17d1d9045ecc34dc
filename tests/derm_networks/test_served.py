"""A bundle opened without the service answers as the description says."""

import hashlib
import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from derm_networks.served import (
    NETWORKS,
    Dtype,
    ServedBundle,
    make_network,
    open_bundle,
    prepare,
    read_weights,
    save_weights,
)
from derm_networks.windows import combined, windows
from derm_pacs.domain.bundle import NetworkDescription, ServingDescription, WeightsDescription
from derm_pacs.domain.findings import Classification, Segmentation
from derm_pacs.inference import networks, weights
from derm_pacs.inference.analyse import LoadedBundle, analyse_pixels

STEPS: list[dict[str, Any]] = [
    {"op": "resize", "height": 32, "width": 48, "mode": "bilinear", "antialias": True},
    {"op": "normalize", "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
]
GREY_STEPS: list[dict[str, Any]] = [STEPS[0], {"op": "normalize", "mean": [0.5], "std": [0.25]}]
CLASSES = [{"id": "nevus", "concept": "melanocytic_nevus"}, {"id": "melanoma", "concept": "melanoma"}]
CALL = {
    "kind": "classification", "id": "class", "activation": "softmax", "temperature": 1.7, "classes": CLASSES, "lesion_rule": "mean",
}  # fmt: skip
MAP = {
    "kind": "segmentation", "id": "lesion", "activation": "sigmoid", "threshold": 0.5, "concept": "lesion", "min_area_fraction": 0.001,
}  # fmt: skip
SKIN = MAP | {"id": "skin", "channel": 1, "keep": "large", "concept": "skin"}


def described(**changes: Any) -> dict[str, Any]:
    return {
        "schema": 1, "name": "toy", "version": "1.0.0", "title": "Toy", "grade": "demonstration", "licence": "none",
        "network": {"name": "resnet", "args": {"in_channels": 3, "num_classes": 2, "block": "basic", "layers": [1, 1, 1, 1]}},
        "weights": {"file": "models/model.safetensors", "sha256": "0" * 64, "dtype": "int8"},
        "input": {"colour": "RGB", "min_short_side": 16, "intended": "noise"},
        "preprocessing": STEPS, "inference": {"kind": "whole"}, "outputs": [CALL],
        "quality": {"min_laplacian_variance": 0, "max_dark_fraction": 1, "min_contrast": 0},
        "golden": [{"file": "golden/0.png", "expect": {"melanoma": 0.5}, "tolerance": 0.01}],
    } | changes  # fmt: skip


def toy(**changes: Any) -> ServedBundle:
    description = described(**changes)
    torch.manual_seed(2)
    network = make_network(description["network"]).eval()
    return ServedBundle(description=description, network=network)


def noise(*shape: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(4).integers(0, 256, shape).astype(np.uint8)


def in_the_service(bundle: ServedBundle, picture: np.ndarray[Any, np.dtype[np.uint8]]) -> Any:
    loaded = LoadedBundle(
        description=ServingDescription.model_validate(bundle.description), network=bundle.network
    )
    return analyse_pixels(loaded, picture)


def shares(found: Any) -> dict[str, float]:
    assert isinstance(found, Classification)
    return {one.class_id: one.probability for one in found.probabilities}


def test_mirror_images_are_averaged_and_a_mirrored_picture_is_judged_alike() -> None:
    bundle, picture = toy(inference={"kind": "whole", "average": "flips"}), noise(40, 60, 3)
    alone = toy()
    four = [alone.logits(part) for part in (picture, picture[:, ::-1], picture[::-1], picture[::-1, ::-1])]
    torch.testing.assert_close(bundle.logits(picture), torch.stack(four).mean(dim=0), atol=1e-5, rtol=1e-4)
    assert bundle.probabilities(picture[:, ::-1]) == pytest.approx(bundle.probabilities(picture), abs=1e-5)
    assert shares(in_the_service(bundle, picture)[0]) == pytest.approx(bundle.probabilities(picture), abs=1e-6)


GREY_WINDOWS: dict[str, Any] = {
    "preprocessing": GREY_STEPS,
    "network": {"name": "resnet", "args": {"in_channels": 1, "num_classes": 2, "block": "basic", "layers": [1, 1, 1, 1]}},
    "input": {"colour": "GREY", "min_short_side": 32, "intended": "noise"},
    "inference": {"kind": "windows", "side": 48, "overlap": 0.5, "share": 0.3, "max_empty": 0.5, "batch": 4},
}  # fmt: skip


def test_a_mosaic_is_read_window_by_window_as_the_service_reads_it() -> None:
    bundle, mosaic = toy(**GREY_WINDOWS), noise(130, 170)
    mosaic[:60, :60] = 0
    places = [one for one in windows(130, 170, side=48, overlap=0.5) if (one.of(mosaic) < 8).mean() <= 0.5]
    with torch.inference_mode():
        each = torch.cat([bundle.network(prepare(one.of(mosaic), GREY_STEPS)) for one in places])
    torch.testing.assert_close(bundle.logits(mosaic), each, atol=1e-5, rtol=1e-4)
    expected = combined((each.double() / 1.7).softmax(dim=1).numpy(), 0.3)
    found = bundle.probabilities(mosaic)
    assert list(found.values()) == pytest.approx(expected, abs=1e-6)
    assert shares(in_the_service(bundle, mosaic)[0]) == pytest.approx(found, abs=1e-6)
    assert bundle.probabilities(np.stack([mosaic] * 3, axis=-1)) == found


def test_a_mosaic_of_nothing_and_a_coloured_one_are_refused() -> None:
    bundle = toy(**GREY_WINDOWS)
    with pytest.raises(ValueError, match="every window"):
        bundle.probabilities(np.zeros((100, 100), dtype=np.uint8))
    with pytest.raises(ValueError, match="reads grey"):
        bundle.probabilities(noise(100, 100, 3))


class Drawing(nn.Module):
    """Two maps that follow the picture: dark is lesion, anything but black is skin."""

    def forward(self, x: Tensor) -> Tensor:
        grey = x.mean(dim=1, keepdim=True)
        return torch.cat([-20 * grey, 20 * (grey + 1)], dim=1)


@pytest.mark.parametrize("average", ["none", "flips"])
def test_each_output_reads_its_own_map_and_keeps_one_region_or_all(average: str) -> None:
    picture = np.full((64, 96, 3), 200, dtype=np.uint8)
    picture[8:24, 8:24] = 60
    picture[40:60, 60:90] = 60
    picture[:, 44:50] = 0
    picture[0, 0, 0] = 201  # one coloured pixel: grey would be refused
    bundle = ServedBundle(
        description=described(outputs=[MAP, SKIN], inference={"kind": "whole", "average": average}), network=Drawing()
    )
    lesion, skin = bundle.mask(picture), bundle.mask(picture, output="skin")
    assert lesion[50, 75]
    assert not lesion[16, 16], "the smaller of two regions is left out"
    assert skin[30, 10]
    assert skin[30, 80], "both sides of the black bar are kept"
    assert not skin[:, 46:48].any()
    for found, ours in zip(in_the_service(bundle, picture), (lesion, skin), strict=True):
        assert isinstance(found, Segmentation)
        assert np.array_equal(found.mask, ours)


@pytest.mark.parametrize("dtype", get_args(Dtype))
def test_saved_weights_open_alike_here_and_in_the_service(dtype: Dtype, tmp_path: Path) -> None:
    given = described()["network"]
    network = make_network(given)
    found = save_weights(network.state_dict(), tmp_path / "models" / "model.safetensors", dtype)
    assert found == hashlib.sha256((tmp_path / "models" / "model.safetensors").read_bytes()).hexdigest()
    description = described(weights={"file": "models/model.safetensors", "sha256": found, "dtype": dtype})
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "serving.json").write_text(json.dumps(description), encoding="utf-8")
    here = open_bundle(tmp_path).network.state_dict()
    service = networks.build(NetworkDescription.model_validate(given))
    weights.load(tmp_path, WeightsDescription.model_validate(description["weights"]), service)
    read = read_weights(tmp_path / "models" / "model.safetensors")
    assert set(here) == set(service.state_dict()) == set(read)
    for name, tensor in service.state_dict().items():
        assert torch.equal(here[name], tensor)
        assert torch.equal(read[name], tensor)
    size = (tmp_path / "models" / "model.safetensors").stat().st_size
    bytes_each = {"float32": 4, "float16": 2, "int8": 1}[dtype]
    assert size < sum(value.numel() for value in network.parameters()) * bytes_each * 1.03 + 30_000


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_a_value_that_the_type_cannot_hold_is_named(dtype: Dtype, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="bias holds values that"):
        save_weights({"bias": torch.tensor([1e6])}, tmp_path / "w.safetensors", dtype)


def test_a_bundle_whose_weights_are_others_is_refused(tmp_path: Path) -> None:
    save_weights({"w": torch.ones(1)}, tmp_path / "models" / "model.safetensors")
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "serving.json").write_text(json.dumps(described()), encoding="utf-8")
    with pytest.raises(ValueError, match=r"serving\.json says otherwise"):
        open_bundle(tmp_path)


def test_weights_outside_the_folder_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "bundle" / "configs").mkdir(parents=True)
    sha256 = save_weights(toy().network.state_dict(), tmp_path / "model.safetensors", "float32")
    description = described(weights={"file": "../model.safetensors", "sha256": sha256, "dtype": "float32"})
    (tmp_path / "bundle" / "configs" / "serving.json").write_text(json.dumps(description), encoding="utf-8")
    with pytest.raises(ValueError, match=r"weights\.file of serving\.json is '\.\./model\.safetensors', which is not a file inside the bundle"):
        open_bundle(tmp_path / "bundle")


def test_the_networks_are_the_registrys_with_the_same_arguments() -> None:
    assert set(NETWORKS) < set(networks.NETWORKS)
    with pytest.raises(ValueError, match="'transformer' is not known; known: alexnet"):
        make_network({"name": "transformer"})
    for name, kind in NETWORKS.items():
        made = networks.NETWORKS[name]
        assert kind is not None
        assert set(made.arguments.model_fields) <= set(kind.__init__.__code__.co_varnames)

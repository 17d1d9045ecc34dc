"""What a network has never seen is refused, by a figure that is the one of the paper and a limit that the bundle states."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from derm_networks.novelty import FeatureSpace, energies
from derm_pacs.domain.bundle import FeatureDistance, ServingDescription
from derm_pacs.domain.findings import Classification, Refusal
from derm_pacs.inference.analyse import LoadedBundle, analyse_pixels
from derm_pacs.inference.novelty import WrongNovelty, read_space
from derm_pacs.inference.pixels import Pixels

Bundle = tuple[Path, ServingDescription]
SHA = "0" * 64


class MeanColour(nn.Module):
    """Its features are the three channels' means; its logits the first two of these, tenfold."""

    def pooled_features(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return 10 * self.pooled_features(x)[:, :2]


def changed(bundle: Bundle, novelty: dict[str, Any] | None, **fields: Any) -> ServingDescription:
    described = bundle[1].model_dump(by_alias=True) | {"explanation": None} | fields
    described["quality"] = {"min_laplacian_variance": 0, "max_dark_fraction": 1, "min_contrast": 0, "novelty": novelty}
    return ServingDescription.model_validate(described)


def distance(maximum: float) -> dict[str, Any]:
    return {"kind": "feature_distance", "file": "models/features.safetensors", "sha256": SHA, "maximum": maximum}


def space(features: NDArray[np.float64], **how: Any) -> FeatureSpace:
    return FeatureSpace.read(FeatureSpace.fit(features, **how).written())


@given(st.lists(st.lists(st.floats(-300, 300), min_size=2, max_size=2), min_size=1, max_size=5))
def test_energy_is_minus_the_logarithm_of_the_sum_of_exponentials(logits: list[list[float]]) -> None:
    found = energies(np.array(logits))
    assert found == pytest.approx(-torch.logsumexp(torch.tensor(logits, dtype=torch.float64), dim=1).numpy(), rel=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(20, 60))
def test_where_all_directions_but_one_are_kept_the_distance_is_mahalanobis(seed: int, channels: int, number: int) -> None:
    random = np.random.default_rng(seed)
    turned, _ = np.linalg.qr(random.normal(size=(channels, channels)))
    features = random.normal(size=(number, channels)) * random.uniform(0.3, 3, channels) @ turned + random.normal(size=channels)
    fitted = FeatureSpace.fit(features, variance=1.0)
    assert fitted.basis.shape == (channels, channels - 1)
    others = random.normal(0, 5, (7, channels))
    centred = others - features.mean(axis=0)
    whitened = centred @ np.linalg.pinv(np.cov(features.T), hermitian=True)
    last = centred - centred @ fitted.basis @ fitted.basis.T  # its spread is taken without n - 1
    wanted = (whitened * centred).sum(axis=1) + (last**2).sum(axis=1) / fitted.residual**2 * (1 - (number - 1) / number)
    assert fitted.distances(others) ** 2 == pytest.approx(wanted, rel=1e-5)


@given(st.integers(0, 2**32 - 1))
def test_the_mean_lies_nowhere_far_and_every_step_away_from_it_lies_farther(seed: int) -> None:
    random = np.random.default_rng(seed)
    fitted = space(random.normal(size=(40, 8)) * np.arange(1, 9), variance=0.8)
    assert fitted.distances(fitted.mean[None])[0] == pytest.approx(0, abs=1e-6)
    direction = random.normal(size=8)
    found = fitted.distances(fitted.mean + np.arange(1, 6)[:, None] * direction)
    assert found == pytest.approx(found[0] * np.arange(1, 6), rel=1e-9)
    assert found[0] > 0


def test_the_fewest_directions_that_hold_the_variance_are_kept() -> None:
    random = np.random.default_rng(1)
    features = random.normal(size=(500, 6)) * np.array([10, 5, 1, 0.1, 0.1, 0.1])
    assert len(FeatureSpace.fit(features, variance=0.9).scale) == 2
    assert len(FeatureSpace.fit(features, variance=0.9, most=1).scale) == 1


@given(st.integers(0, 1000))
def test_what_rounding_changes_does_not_change_a_distance(seed: int) -> None:
    draw = np.random.default_rng(seed)
    features = 10 + draw.normal(size=(40, 1)) * np.eye(6)[0]  # one direction that says something
    noise, more = (1e-5 * draw.normal(size=(40, 6)) for _ in range(2))
    space = FeatureSpace.fit(features + noise)
    assert np.allclose(space.distances(features + noise), space.distances(features + more), atol=0.05)


def test_features_of_a_network_that_hardly_learned_make_no_space() -> None:
    with pytest.raises(ValueError, match="train the network"):
        FeatureSpace.fit(10 + 1e-5 * np.random.default_rng(0).normal(size=(40, 6)))


def test_features_that_do_not_vary_make_no_space() -> None:
    with pytest.raises(ValueError, match="hardly vary"):
        FeatureSpace.fit(np.ones((10, 4)))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda one: one.pop("scale"), "not mean, basis, scale and residual"),
        (lambda one: one.update(more=np.zeros(1, dtype=np.float32)), "not mean, basis, scale and residual"),
        (lambda one: one.update(basis=one["basis"][:, :1]), "basis is not finite float32 of shape"),
        (lambda one: one.update(mean=one["mean"].astype(np.float64)), "mean is not finite float32"),
        (lambda one: one.update(scale=one["scale"] * np.float32("nan")), "scale is not finite"),
        (lambda one: one.update(residual=np.zeros(1, dtype=np.float32)), "not above 0"),
    ],
)
def test_a_file_that_holds_something_else_is_refused_by_name(spoil: Any, said: str) -> None:
    random = np.random.default_rng(1)
    tensors = dict(safetensors.numpy.load(FeatureSpace.fit(random.normal(size=(30, 5))).written()))
    spoil(tensors)
    with pytest.raises(ValueError, match=said):
        FeatureSpace.read(safetensors.numpy.save(tensors))


def test_the_file_is_the_one_that_the_description_names(tmp_path: Path) -> None:
    data = FeatureSpace.fit(np.random.default_rng(1).normal(size=(30, 5))).written()
    (tmp_path / "features.safetensors").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    named = FeatureDistance(kind="feature_distance", file="features.safetensors", sha256=digest, maximum=1.0)
    assert read_space(tmp_path, named).mean.shape == (5,)
    with pytest.raises(WrongNovelty, match=r"features\.safetensors has SHA-256"):
        read_space(tmp_path, named.model_copy(update={"sha256": SHA}))
    (tmp_path / "features.safetensors").write_bytes(b"no")
    other = named.model_copy(update={"sha256": hashlib.sha256(b"no").hexdigest()})
    with pytest.raises(WrongNovelty, match="no safetensors file"):
        read_space(tmp_path, other)


def colours(seed: int = 0) -> NDArray[np.float64]:
    """Features of images around the colour of the drawn picture, as the network sees it."""
    return np.random.default_rng(seed).normal((0.9, 0.3, 0.0), 0.2, (50, 3))


def test_a_picture_of_another_colour_is_refused_with_figure_and_limit(telling_bundle: Bundle, drawn: Pixels) -> None:
    bundle = LoadedBundle(description=changed(telling_bundle, distance(9.0)), network=MeanColour(), space=space(colours()))
    assert isinstance(analyse_pixels(bundle, drawn)[0], Classification)
    (found,) = analyse_pixels(bundle, np.ascontiguousarray(drawn[..., ::-1] // 2))
    assert isinstance(found, Refusal)
    assert found.reason == "out_of_distribution"
    assert "distance of the features" in found.detail
    assert found.detail.endswith("at most 9")


def test_energy_beyond_its_limit_is_refused_and_at_it_is_not(telling_bundle: Bundle, drawn: Pixels) -> None:
    def judged(maximum: float) -> str:
        description = changed(telling_bundle, {"kind": "energy", "maximum": maximum})
        (found,) = analyse_pixels(LoadedBundle(description=description, network=Constant()), drawn)
        return found.reason if isinstance(found, Refusal) else ""

    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.zeros(len(x), 2)

    energy = -float(np.log(2))
    assert judged(energy) == ""
    assert judged(energy - 1e-9) == "out_of_distribution"


def test_a_mosaic_is_judged_by_the_mean_of_its_windows(telling_bundle: Bundle) -> None:
    description = changed(
        telling_bundle,
        {"kind": "energy", "maximum": -3.0},
        inference={"kind": "windows", "side": 32, "overlap": 0, "share": 0.5, "max_empty": 1, "batch": 3},
        preprocessing=[{"op": "resize", "height": 16, "width": 16, "mode": "bilinear", "antialias": True}],
    )
    pixels = np.zeros((64, 64, 3), dtype=np.uint8)
    pixels[:32] = (255, 0, 1)  # energies -10 above, about -0.7 below: the mean is -5.3
    bundle = LoadedBundle(description=description, network=MeanColour())
    assert isinstance(analyse_pixels(bundle, pixels)[0], Classification)
    (found,) = analyse_pixels(bundle, np.roll(pixels, 1, axis=2)[..., [2, 1, 0]] // 16)
    assert isinstance(found, Refusal)
    assert found.reason == "out_of_distribution"


def test_a_network_without_features_or_with_others_is_named(telling_bundle: Bundle) -> None:
    class Silent(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.zeros(len(x), 2)

    description = changed(telling_bundle, distance(9.0))
    with pytest.raises(WrongNovelty, match="densenet gives no pooled features"):
        LoadedBundle(description=description, network=Silent(), space=space(colours()))
    with pytest.raises(WrongNovelty, match="5 features, the network gives 3"):
        LoadedBundle(description=description, network=MeanColour(), space=space(np.random.default_rng(1).normal(size=(9, 5))))
    with pytest.raises(WrongNovelty, match="were not read"):
        LoadedBundle(description=description, network=MeanColour())


def test_energy_needs_a_classification(tiny_bundle: Bundle) -> None:
    with pytest.raises(ValueError, match="energy is that of a classification"):
        changed(tiny_bundle, {"kind": "energy", "maximum": 0.0})

"""A map is where the network looked, of the class that is watched, and never another image's; the closed form is Grad-CAM's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from derm_networks.efficientnet_lite import EfficientNetLite
from derm_networks.ensemble import EfficientNetLiteEnsemble
from derm_networks.residual import ResidualNetwork
from derm_pacs.domain.bundle import ServingDescription
from derm_pacs.domain.findings import Classification, Saliency
from derm_pacs.inference import weights
from derm_pacs.inference.analyse import LoadedBundle, analyse_pixels
from derm_pacs.inference.explain import WrongExplanation
from derm_pacs.inference.networks import build
from derm_pacs.inference.pixels import Pixels
from derm_pacs.inference.preprocessing import prepare

Bundle = tuple[Path, ServingDescription]
INPUT = (32, 48)


class LooksAt(nn.Module):
    """Its logit for melanoma is the mean brightness of one quarter of the input; that for nevus is its opposite."""

    def __init__(self, rows: slice, columns: slice, *, sign: float = 1.0) -> None:
        super().__init__()
        self.keep = nn.Conv2d(3, 1, 1, bias=False)
        nn.init.constant_(self.keep.weight, 1.0)
        self.pool = nn.AvgPool2d(4)
        self.flat = nn.Flatten()
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.rows, self.columns, self.sign = rows, columns, sign

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        cells = self.pool(self.keep(x))  # (1, 1, 8, 12)
        where = torch.zeros_like(cells)
        where[..., self.rows, self.columns] = 1
        told = self.sign * self.mean(cells * where).flatten(1)
        return torch.cat([-told, told], dim=1)


def explained(description: ServingDescription, network: nn.Module, pixels: Pixels) -> Saliency | None:
    (found,) = analyse_pixels(LoadedBundle(description=description, network=network), pixels)
    assert isinstance(found, Classification)
    return found.saliency


def changed(bundle: Bundle, **fields: Any) -> ServingDescription:
    return ServingDescription.model_validate(bundle[1].model_dump(by_alias=True) | fields)


def layer(name: str) -> dict[str, str]:
    return {"method": "grad_cam", "output": "diagnosis", "layer": name}


def spot(rows: slice, columns: slice) -> NDArray[np.uint8]:
    """A bright place on a darker, noisy ground, in the network's own size."""
    pixels = np.random.default_rng(3).integers(150, 170, (*INPUT, 3), dtype=np.uint8)
    pixels[rows, columns] = (255, 250, 245)
    return pixels


def test_the_grid_is_strongest_where_the_network_found_what_it_looks_for(telling_bundle: Bundle) -> None:
    description = changed(telling_bundle, explanation=layer("pool"))
    whole = slice(0, 8), slice(0, 12)
    found = explained(description, LooksAt(*whole), spot(slice(4, 8), slice(40, 44)))
    assert found is not None
    assert (found.method, found.class_id, found.grid.shape) == ("grad_cam", "melanoma", (8, 12))
    assert found.grid.dtype == np.uint8
    assert int(found.grid.argmax()) == 1 * 12 + 10
    assert int(found.grid.max()) == 255


def test_what_speaks_against_the_watched_class_is_no_map_but_one_for_the_other(telling_bundle: Bundle) -> None:
    against = LooksAt(slice(0, 8), slice(0, 12), sign=-1.0)
    picture = spot(slice(4, 8), slice(40, 44))
    explanation = layer("pool")
    assert explained(changed(telling_bundle, explanation=explanation), against, picture) is None
    unwatched = changed(telling_bundle, explanation=explanation, operating_points=[])
    found = explained(unwatched, against, picture)
    assert found is not None
    assert found.class_id == "nevus", "the most probable class, where no operating point watches one"


def test_a_map_that_is_the_same_everywhere_is_none(telling_bundle: Bundle) -> None:
    class Blind(LooksAt):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * 0

    network = Blind(slice(0, 8), slice(0, 12))
    description = changed(telling_bundle, explanation=layer("pool"))
    assert explained(description, network, spot(slice(4, 8), slice(40, 44))) is None


def test_a_fine_map_is_averaged_to_64_by_64(telling_bundle: Bundle) -> None:
    description = changed(
        telling_bundle,
        explanation=layer("keep"),
        preprocessing=[{"op": "resize", "height": 128, "width": 40, "mode": "bilinear", "antialias": True}],
    )
    found = explained(description, LooksAt(slice(0, 32), slice(0, 10)), spot(slice(4, 8), slice(40, 44)))
    assert found is not None
    assert found.grid.shape == (64, 40)


def test_probabilities_are_the_same_with_and_without_explanation(telling_bundle: Bundle, drawn: Pixels) -> None:
    folder, description = telling_bundle

    def probabilities(described: ServingDescription) -> list[float]:
        network = build(described.network)
        weights.load(folder, described.weights, network)
        bundle = LoadedBundle(description=described, network=network)
        (found,) = (analyse_pixels(bundle, drawn), analyse_pixels(bundle, drawn))[1]
        assert isinstance(found, Classification)
        assert (found.saliency is None) == (described.explanation is None)
        return [one.probability for one in found.probabilities]

    assert probabilities(description) == probabilities(changed(telling_bundle, explanation=None))


def test_maps_of_images_do_not_get_mixed(telling_bundle: Bundle, drawn: Pixels) -> None:
    folder, description = telling_bundle
    network = build(description.network)
    weights.load(folder, description.weights, network)
    bundle = LoadedBundle(description=description, network=network)

    def grid(pixels: Pixels) -> NDArray[np.uint8]:
        (found,) = analyse_pixels(bundle, pixels)
        assert isinstance(found, Classification)
        assert found.saliency is not None
        return found.saliency.grid

    turned = drawn[::-1, ::-1].copy()
    alone = grid(drawn)
    assert not np.array_equal(alone, grid(turned))
    assert np.array_equal(alone, grid(drawn))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("features.9", "the network densenet has no layer 'features.9'"),
        ("class_layers.out", "'class_layers.out' gives no map but values of shape"),
        ("class_layers.pool", "'class_layers.pool' gives no map but values of shape"),
        ("features.norm0", "'features.norm0' cannot be explained: "),
    ],
)
def test_a_layer_that_cannot_explain_is_named(telling_bundle: Bundle, name: str, said: str) -> None:
    description = changed(telling_bundle, explanation=layer(name))
    with pytest.raises(WrongExplanation, match=said):
        LoadedBundle(description=description, network=build(description.network))


def test_a_layer_that_the_network_does_not_use_is_named(telling_bundle: Bundle) -> None:
    description = changed(telling_bundle, explanation=layer("flat"))
    with pytest.raises(WrongExplanation, match="'flat' cannot be explained"):
        LoadedBundle(description=description, network=LooksAt(slice(0, 8), slice(0, 12)))


def test_of_several_outputs_only_the_named_one_is_explained(telling_bundle: Bundle, drawn: Pixels) -> None:
    class Both(LooksAt):
        def forward(self, x: torch.Tensor) -> Any:
            told = super().forward(x)
            return -told, told

    first = telling_bundle[1].outputs[0].model_dump()
    description = changed(
        telling_bundle, outputs=[first | {"id": "other"}, first], explanation=layer("pool"), operating_points=[]
    )
    bundle = LoadedBundle(description=description, network=Both(slice(0, 8), slice(0, 12)))
    other, named = analyse_pixels(bundle, spot(slice(4, 8), slice(40, 44)))
    assert isinstance(other, Classification)
    assert isinstance(named, Classification)
    assert other.saliency is None
    assert named.saliency is not None
    assert named.saliency.class_id == "melanoma"


class MapsOfClasses(nn.Module):
    """A convolution, the mean, a linear layer: the smallest network whose logits are the means of class maps."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.maps = nn.Sequential(nn.Conv2d(3, 7, 5, stride=4, padding=2), nn.ReLU())
        self.fc = nn.Linear(7, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        told: torch.Tensor = self.fc(self.maps(x).mean(dim=(2, 3)))
        return told

    def class_maps(self, x: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nchw,kc->nkhw", self.maps(x), self.fc.weight) + self.fc.bias[:, None, None]

    def class_bias(self) -> torch.Tensor:
        return self.fc.bias


Network = TypeVar("Network", bound=nn.Module)


def settled(make: Callable[[], Network]) -> Network:
    """Make a random network, the same every time, and give its normalisations the statistics of some pictures.

    Without these nothing comes through. With other random weights the whole map may be negative, and there is none to show.
    """
    torch.manual_seed(7)
    network = make()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        for _ in range(2):
            network.train()(torch.randn(4, 3, 96, 128))
    return network.eval()


CAM = {"method": "cam", "output": "diagnosis"}


def grids(bundle: Bundle, network: nn.Module, layer_name: str, pixels: Pixels) -> list[NDArray[np.uint8] | None]:
    """The grid by gradient and that in closed form."""
    found = [
        explained(changed(bundle, explanation=explanation), network.eval(), pixels) for explanation in (layer(layer_name), CAM)
    ]
    return [one if one is None else one.grid for one in found]


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=25)
def test_the_closed_form_is_grad_cam_up_to_scale(telling_bundle: Bundle, seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    by_gradient, closed = grids(telling_bundle, MapsOfClasses(seed), "maps", picture)
    assert (by_gradient is None) == (closed is None)
    if by_gradient is not None and closed is not None:
        assert by_gradient.shape == closed.shape == (8, 12)
        assert np.abs(by_gradient.astype(int) - closed.astype(int)).max() <= 1


@pytest.mark.parametrize(
    ("make", "layer_name"),
    [
        (lambda: EfficientNetLite("lite0", num_classes=2), "head"),
        (lambda: ResidualNetwork(num_classes=2, block="basic", layers=(1, 1, 1, 1)), "layer4"),
    ],
)
def test_the_closed_form_of_the_served_networks_is_grad_cam_of_their_last_maps(
    telling_bundle: Bundle, drawn: Pixels, make: Callable[[], nn.Module], layer_name: str
) -> None:
    large = changed(
        telling_bundle, preprocessing=[{"op": "resize", "height": 96, "width": 128, "mode": "bilinear", "antialias": True}]
    )
    by_gradient, closed = grids((telling_bundle[0], large), settled(make), layer_name, drawn)
    assert by_gradient is not None
    assert closed is not None
    assert by_gradient.shape == closed.shape == (3, 4)
    assert np.abs(by_gradient.astype(int) - closed.astype(int)).max() <= 1


def test_the_map_of_an_ensemble_is_the_sum_of_its_members_maps(telling_bundle: Bundle, drawn: Pixels) -> None:
    ensemble = settled(lambda: EfficientNetLiteEnsemble(variants=["lite0", "lite0"], num_classes=2))
    description = changed(
        telling_bundle, explanation=CAM,
        preprocessing=[{"op": "resize", "height": 96, "width": 128, "mode": "bilinear", "antialias": True}],
    )  # fmt: skip
    found = explained(description, ensemble, drawn)
    assert found is not None
    prepared = prepare(drawn, description.preprocessing)
    with torch.inference_mode():
        maps = sum(
            member.class_maps(prepared)[0, 1] - member.class_bias()[1]  # type: ignore[operator]
            for member in ensemble.members
        )
    heat = torch.relu(torch.as_tensor(maps)).double().numpy()
    assert np.abs(found.grid - heat * 255 / heat.max()).max() <= 0.51


def test_probabilities_are_the_same_with_and_without_class_maps(telling_bundle: Bundle, drawn: Pixels) -> None:
    def probabilities(explanation: dict[str, str] | None) -> list[float]:
        bundle = LoadedBundle(description=changed(telling_bundle, explanation=explanation), network=MapsOfClasses(3))
        (found,) = analyse_pixels(bundle, drawn)
        assert isinstance(found, Classification)
        return [one.probability for one in found.probabilities]

    assert probabilities(CAM) == probabilities(None)


def test_a_network_without_class_maps_or_with_others_is_named(telling_bundle: Bundle) -> None:
    class Three(MapsOfClasses):
        def class_maps(self, x: torch.Tensor) -> torch.Tensor:
            return torch.zeros(1, 3, 8, 12)

    class OnePlace(MapsOfClasses):
        def class_maps(self, x: torch.Tensor) -> torch.Tensor:
            return torch.zeros(1, 2, 1, 1)

    description = changed(telling_bundle, explanation=CAM)
    with pytest.raises(WrongExplanation, match="densenet has no class maps"):
        LoadedBundle(description=description, network=build(description.network))
    for network in (Three(1), OnePlace(1)):
        with pytest.raises(WrongExplanation, match="gives class maps of shape"):
            LoadedBundle(description=description, network=network)

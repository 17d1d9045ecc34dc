"""What a network's outputs mean for the image: probabilities, masks at the image's size, refusals."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage import measure
from torch import nn

from derm_pacs.domain.bundle import ServingDescription
from derm_pacs.domain.findings import Classification, Refusal, Segmentation
from derm_pacs.inference.analyse import LoadedBundle, analyse_image, analyse_pixels, outcomes
from derm_pacs.inference.logits import WrongOutput, forward
from derm_pacs.inference.pixels import Pixels
from derm_pacs.inference.preprocessing import prepare

label: Callable[..., NDArray[np.int64]] = measure.label

CLASSES = [{"id": "nevus", "concept": "nevus"}, {"id": "melanoma", "concept": "melanoma"}]
CLASSIFIED: dict[str, Any] = {
    "kind": "classification", "id": "diagnosis", "activation": "softmax", "temperature": 2.0, "classes": CLASSES,
    "lesion_rule": "mean",
}  # fmt: skip


@pytest.fixture(scope="module")
def described(tiny_bundle: tuple[Path, ServingDescription]) -> ServingDescription:
    return tiny_bundle[1]


def with_(description: ServingDescription, **fields: Any) -> ServingDescription:
    return ServingDescription.model_validate(description.model_dump(by_alias=True) | fields)


def segmented(description: ServingDescription, logits: NDArray[np.float32], rows: int, columns: int) -> Segmentation:
    (found,) = outcomes(torch.from_numpy(logits)[None, None], description, rows=rows, columns=columns)
    assert isinstance(found, Segmentation)
    return found


class Says(nn.Module):
    """A network that says the same of every image and keeps its input."""

    def __init__(self, *logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits
        self.seen: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        self.seen = x
        return self.logits[0] if len(self.logits) == 1 else self.logits


def test_probabilities_are_the_softmax_of_logits_over_temperature(described: ServingDescription) -> None:
    (found,) = outcomes(torch.tensor([[1.0, 3.0]]), with_(described, outputs=[CLASSIFIED]), rows=4, columns=4)
    assert isinstance(found, Classification)
    assert found.probability_of("melanoma") == pytest.approx(1 / (1 + np.exp(-1.0)), abs=1e-15)
    assert sum(one.probability for one in found.probabilities) == pytest.approx(1, abs=1e-15)


@given(st.lists(st.floats(-80, 80, width=32), min_size=2, max_size=2))
@settings(deadline=None, max_examples=50)
def test_probabilities_sum_to_one_and_keep_the_order_of_logits(
    described: ServingDescription, pair: list[float]
) -> None:
    (found,) = outcomes(torch.tensor([pair]), with_(described, outputs=[CLASSIFIED]), rows=4, columns=4)
    assert isinstance(found, Classification)
    one, other = (probability.probability for probability in found.probabilities)
    assert one + other == pytest.approx(1, abs=1e-12)
    # logits that are nearly equal may have equal probabilities, but never the other order
    assert one >= other if pair[0] >= pair[1] else one <= other
    if abs(pair[0] - pair[1]) > 1e-6:
        assert (one > other) == (pair[0] > pair[1])


def test_the_mask_has_the_size_of_the_image_not_of_the_network(described: ServingDescription) -> None:
    logits = np.full((16, 16), -5, dtype=np.float32)
    logits[4:12, 4:12] = 5
    found = segmented(described, logits, 50, 70)
    assert found.mask.shape == (50, 70)
    assert found.mask[25, 35]
    assert not found.mask[0, 0]


def test_only_the_largest_region_is_kept(described: ServingDescription) -> None:
    logits = np.full((20, 20), -5, dtype=np.float32)
    logits[2:5, 2:5] = 5
    logits[10:18, 10:18] = 5
    found = segmented(described, logits, 20, 20).mask
    assert not found[3, 3]
    assert int(found.sum()) == 64


def test_holes_are_filled(described: ServingDescription) -> None:
    logits = np.full((20, 20), -5, dtype=np.float32)
    logits[5:15, 5:15] = 5
    logits[9:11, 9:11] = -5
    assert int(segmented(described, logits, 20, 20).mask.sum()) == 100


def test_a_region_smaller_than_the_least_share_is_none(described: ServingDescription) -> None:
    output = described.outputs[0].model_dump() | {"min_area_fraction": 0.05}
    description = with_(described, outputs=[output])
    logits = np.full((20, 20), -5, dtype=np.float32)
    logits[0:4, 0:4] = 5
    assert not segmented(description, logits, 20, 20).mask.any()
    logits[0:5, 0:4] = 5
    assert int(segmented(description, logits, 20, 20).mask.sum()) == 20


def test_nothing_found_is_an_empty_mask_even_where_no_least_share_is_set(described: ServingDescription) -> None:
    output = described.outputs[0].model_dump() | {"min_area_fraction": 0.0}
    found = segmented(with_(described, outputs=[output]), np.full((8, 8), -5, dtype=np.float32), 8, 8)
    assert found.mask.shape == (8, 8)
    assert not found.mask.any()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_any_mask_is_one_region_without_holes(described: ServingDescription, seed: int) -> None:
    logits = np.random.default_rng(seed).normal(0, 3, (12, 12)).astype(np.float32)
    mask = segmented(described, logits, 30, 41).mask
    assert label(mask, connectivity=2).max() <= 1
    ground = np.pad(~mask, 1, constant_values=True)
    assert label(ground, connectivity=1).max() == 1


def test_several_outputs_come_in_the_order_of_the_description(described: ServingDescription, drawn: Pixels) -> None:
    description = with_(described, outputs=[CLASSIFIED, described.outputs[0].model_dump()])
    bundle = LoadedBundle(description=description, network=Says(torch.zeros(1, 2), torch.zeros(1, 1, 32, 48)))
    found = analyse_pixels(bundle, drawn)
    assert [type(one) for one in found] == [Classification, Segmentation]


@pytest.mark.parametrize(
    "logits",
    [
        (torch.zeros(1, 3),), (torch.zeros(2, 2),), (torch.zeros(1, 2), torch.zeros(1, 2)),
        (torch.tensor([[float("nan"), 0.0]]),), (torch.tensor([[float("inf"), 0.0]]),),
    ],
)  # fmt: skip
def test_a_network_that_gives_something_else_is_an_error_not_a_finding(
    described: ServingDescription, drawn: Pixels, logits: tuple[torch.Tensor, ...]
) -> None:
    bundle = LoadedBundle(description=with_(described, outputs=[CLASSIFIED]), network=Says(*logits))
    with pytest.raises(WrongOutput):
        analyse_pixels(bundle, drawn)


def test_the_network_sees_the_image_upright_and_normalised(described: ServingDescription) -> None:
    """A bright upper left corner stays there; the value is (x / 255 - mean) / std."""
    pixels = np.random.default_rng(1).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    pixels[:32, :48] = (255, 0, 128)
    network = Says(torch.zeros(1, 1, 32, 48))
    analyse_pixels(LoadedBundle(description=described, network=network), pixels)
    assert network.seen is not None
    assert network.seen.shape == (1, 3, 32, 48)
    assert network.seen.dtype == torch.float32
    assert network.seen[0, :, 5, 5].tolist() == pytest.approx([2.0, -2.0, (128 / 255 - 0.5) / 0.25], abs=1e-5)


def refused(bundle: LoadedBundle, pixels: Pixels) -> str:
    (found,) = analyse_pixels(bundle, pixels)
    assert isinstance(found, Refusal)
    return found.reason


def test_images_that_the_bundle_does_not_read_are_refused(described: ServingDescription, drawn: Pixels) -> None:
    bundle = LoadedBundle(description=described, network=Says(torch.zeros(1, 1, 32, 48)))
    assert refused(bundle, drawn[:31]) == "too_small"
    assert refused(bundle, drawn[..., 0]) == "wrong_colour"
    assert refused(bundle, np.repeat(drawn[..., :1], 3, axis=2)) == "wrong_colour"
    assert refused(bundle, drawn // 20) == "poor_quality_dark"
    assert refused(bundle, np.full_like(drawn, 128)) == "poor_quality_contrast"


def test_a_grey_bundle_reads_grey_coded_as_colour_but_not_colour(described: ServingDescription, drawn: Pixels) -> None:
    description = with_(
        described,
        input={"colour": "GREY", "min_short_side": 16, "intended": "confocal mosaics"},
        preprocessing=[{"op": "resize", "height": 32, "width": 48, "mode": "bilinear", "antialias": True},
                       {"op": "normalize", "mean": [0.5], "std": [0.25]}],
    )  # fmt: skip
    network = Says(torch.zeros(1, 1, 32, 48))
    bundle = LoadedBundle(description=description, network=network)
    assert refused(bundle, drawn) == "wrong_colour"
    (from_colour,) = analyse_pixels(bundle, np.repeat(drawn[..., :1], 3, axis=2))
    assert isinstance(from_colour, Segmentation)
    assert network.seen is not None
    assert network.seen.shape == (1, 1, 32, 48)


def test_each_frame_of_an_image_has_its_outcomes(
    described: ServingDescription, drawn: Pixels, make_part10: Any
) -> None:
    bundle = LoadedBundle(description=described, network=Says(torch.ones(1, 1, 32, 48)))
    frames = np.stack([drawn, drawn // 20, drawn])
    found = analyse_image(bundle, make_part10(frames), max_pixels=10**6, max_frames=5)
    assert [one.frame for one in found] == [1, 2, 3]
    assert [type(one.outcomes[0]) for one in found] == [Segmentation, Refusal, Segmentation]


class LooksLeft(nn.Module):
    """Its logit for melanoma is the brightness of the left half, its map each pixel's brightness, doubled on the left."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Size] = []

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.seen.append(x.shape)
        weight = torch.ones_like(x[:, :1])
        weight[..., : x.shape[3] // 2] = 2
        told = x[..., : x.shape[3] // 2].mean(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(told), told], dim=1), x[:, :1] * weight


def test_flips_average_the_logits_of_the_image_and_its_three_mirror_images(described: ServingDescription, drawn: Pixels) -> None:
    outputs = [CLASSIFIED, described.outputs[0].model_dump()]
    network = LooksLeft()
    averaged = with_(described, outputs=outputs, inference={"kind": "whole", "average": "flips"})
    found, drawn_mask = analyse_pixels(LoadedBundle(description=averaged, network=network), drawn)
    assert network.seen == [torch.Size([4, 3, 32, 48])]
    prepared = prepare(drawn, averaged.preprocessing)
    logit = float((prepared[..., :24].mean() + prepared[..., 24:].mean()) / 2)
    assert isinstance(found, Classification)
    assert found.probability_of("melanoma") == pytest.approx(1 / (1 + np.exp(-logit / 2)), abs=1e-6)
    logits = forward(network, prepared, averaged.outputs, flips=True)
    assert logits[1].shape == (1, 1, 32, 48)
    assert torch.allclose(logits[1], prepared[:, :1] * 1.5, atol=1e-6)  # each pixel lies on the left in half of the images
    assert isinstance(drawn_mask, Segmentation)
    assert drawn_mask.mask.shape == drawn.shape[:2]


def test_without_averaging_the_network_sees_the_image_alone(described: ServingDescription, drawn: Pixels) -> None:
    network = LooksLeft()
    description = with_(described, outputs=[CLASSIFIED, described.outputs[0].model_dump()])
    analyse_pixels(LoadedBundle(description=description, network=network), drawn)
    assert network.seen == [torch.Size([1, 3, 32, 48])]


def test_a_mirrored_image_has_the_mirrored_mask_and_the_same_call_where_mirror_images_are_averaged(
    described: ServingDescription, drawn: Pixels
) -> None:
    description = with_(
        described, outputs=[CLASSIFIED, described.outputs[0].model_dump()], inference={"kind": "whole", "average": "flips"}
    )
    bundle = LoadedBundle(description=description, network=LooksLeft())
    call, mask = analyse_pixels(bundle, drawn)
    mirrored_call, mirrored_mask = analyse_pixels(bundle, np.ascontiguousarray(drawn[:, ::-1]))
    assert isinstance(call, Classification)
    assert isinstance(mirrored_call, Classification)
    assert mirrored_call.probability_of("melanoma") == pytest.approx(call.probability_of("melanoma"), abs=1e-6)
    assert isinstance(mask, Segmentation)
    assert isinstance(mirrored_mask, Segmentation)
    assert (mirrored_mask.mask[:, ::-1] == mask.mask).mean() > 0.999


def test_segmentations_of_several_channels_may_share_one_tensor_beside_a_classification(
    described: ServingDescription, drawn: Pixels
) -> None:
    lesion = described.outputs[0].model_dump()
    skin = lesion | {"id": "skin", "channel": 1, "keep": "large"}
    description = with_(described, outputs=[lesion, CLASSIFIED, skin])
    maps = torch.full((1, 2, 32, 48), -5.0)
    maps[:, 0, 4:8, 4:8] = 5
    maps[:, 1, 16:, :8] = 5
    maps[:, 1, 16:, 40:] = 5
    first, second, third = analyse_pixels(
        LoadedBundle(description=description, network=Says(maps, torch.zeros(1, 2))), drawn
    )
    assert [type(one) for one in (first, second, third)] == [Segmentation, Classification, Segmentation]
    assert isinstance(first, Segmentation)
    assert isinstance(third, Segmentation)
    assert first.mask[: first.mask.shape[0] // 2].any()
    assert third.mask[-1, 0]
    assert third.mask[-1, -1], "every region is kept"


def test_an_image_without_skin_is_refused_and_a_grey_one_is_called_grey(described: ServingDescription, drawn: Pixels) -> None:
    quality = described.quality.model_dump() | {"min_skin_fraction": 0.3}
    bundle = LoadedBundle(description=with_(described, quality=quality), network=Says(torch.zeros(1, 1, 32, 48)))
    assert isinstance(analyse_pixels(bundle, drawn)[0], Segmentation)
    assert refused(bundle, np.ascontiguousarray(drawn[..., ::-1])) == "no_skin"
    assert refused(bundle, np.repeat(drawn[..., :1], 3, axis=2)) == "wrong_colour"


def test_an_over_exposed_image_is_refused(described: ServingDescription, drawn: Pixels) -> None:
    quality = described.quality.model_dump() | {"max_bright_fraction": 0.3}
    bundle = LoadedBundle(description=with_(described, quality=quality), network=Says(torch.zeros(1, 1, 32, 48)))
    bright = np.clip(drawn.astype(int) * 3, 0, 255).astype(np.uint8)
    assert refused(bundle, bright) == "poor_quality_bright"

"""Crops from end to end of a runner: found by one bundle, read by another, and believed only where they can be."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from derm_networks.crops import find_crops
from derm_pacs.domain.bundle import ServingDescription
from derm_pacs.domain.findings import Classification, Crops, Rectangle, Refusal, Segmentation
from derm_pacs.inference.answers import Expected, Unbelievable, accept
from derm_pacs.inference.client import Runner
from derm_pacs.inference.messages import ANSWER, ImageAnswer
from tests.inference.conftest import describe, skin

Bundle = tuple[Path, ServingDescription]
Part10 = Callable[..., bytes]


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle that draws lesions and skin by one map, at two thresholds, and searches crops."""
    folder = tmp_path_factory.mktemp("finder")
    masks = [
        {"kind": "segmentation", "id": name, "activation": "sigmoid", "threshold": threshold, "concept": concept, "keep": "large",
         "min_area_fraction": 0.0}
        for name, concept, threshold in (("lesion", "skin_lesion", 0.5), ("skin", "skin", 0.4))
    ]  # fmt: skip
    return folder, describe(folder, outputs=masks, crops={"lesion": "lesion", "skin": "skin", "max_crops": 3})


def runner_for(bundle: Bundle) -> Runner:
    return Runner(bundle[0], bundle[1], timeout_seconds=120, max_pixels=20_000_000, max_frames=4, threads=1)


@pytest.mark.server
def test_a_runner_tells_the_crops_of_its_own_masks_after_them(finder: Bundle, make_part10: Part10) -> None:
    with runner_for(finder) as runner:
        (found,) = runner.analyse(make_part10(skin(120, 160, seed=2)))
    lesion, around, crops = found.outcomes
    assert isinstance(lesion, Segmentation) and isinstance(around, Segmentation) and isinstance(crops, Crops)
    assert crops.output == "lesion"
    searched = find_crops(lesion.mask, around.mask, max_crops=3)
    assert [(one.left, one.top, one.width, one.height) for one in crops.rectangles] == [tuple(one) for one in searched]
    assert crops.rectangles, "the drawn picture has a lesion"


@pytest.mark.server
def test_a_crop_is_read_as_if_it_were_an_image_of_its_own(telling_bundle: Bundle, make_part10: Part10) -> None:
    frames = np.stack([skin(100, 140, seed=1), skin(100, 140, seed=2)])
    left = Rectangle(left=0, top=10, width=64, height=60)
    right = Rectangle(left=70, top=30, width=70, height=70)
    speck = Rectangle(left=5, top=5, width=20, height=90)
    with runner_for(telling_bundle) as runner:
        found = runner.analyse(make_part10(frames), {1: (left, speck), 2: (right,)})
        alone = [runner.analyse(make_part10(cut(frames[0], left))), runner.analyse(make_part10(cut(frames[1], right)))]
    assert [(one.frame, one.crop) for one in found] == [(1, 0), (1, 1), (2, 0)]
    for part, region, whole in ((found[0], left, alone[0]), (found[2], right, alone[1])):
        (said,), (expected,) = part.outcomes, whole[0].outcomes
        assert isinstance(said, Classification) and isinstance(expected, Classification)
        assert said.region == region
        assert said.probabilities == expected.probabilities
        assert (said.saliency is None) == (expected.saliency is None)
        if said.saliency is not None and expected.saliency is not None:
            assert np.array_equal(said.saliency.grid, expected.saliency.grid)
    (refused,) = found[1].outcomes
    assert isinstance(refused, Refusal)
    assert (refused.reason, refused.region) == ("too_small", speck)


def test_a_bundle_that_draws_is_asked_for_no_crop_and_none_is_asked_for_nothing(
    finder: Bundle, telling_bundle: Bundle, make_part10: Part10
) -> None:
    region = Rectangle(left=0, top=0, width=50, height=50)
    with runner_for(finder) as runner, pytest.raises(ValueError, match="tiny is asked for crops"):
        runner.analyse(make_part10(skin(60, 80)), {1: (region,)})
    with runner_for(telling_bundle) as runner, pytest.raises(ValueError, match="can read none"):
        runner.analyse(make_part10(skin(60, 80)), {})


def cut(pixels: NDArray[np.uint8], region: Rectangle) -> NDArray[np.uint8]:
    return pixels[region.top : region.top + region.height, region.left : region.left + region.width]


def said(*outcomes: dict[str, Any], **more: Any) -> ImageAnswer:
    frame = {"frame": 1, "outcomes": list(outcomes)} | more
    answer = ANSWER.validate_json(json.dumps({"kind": "image", "id": 1, "frames": [frame]}))
    assert isinstance(answer, ImageAnswer)
    return answer


def mask(rows: int, columns: int) -> dict[str, Any]:
    return {"kind": "segmentation", "rows": rows, "columns": columns}


def crops(*places: tuple[int, int, int, int]) -> dict[str, Any]:
    names = ("left", "top", "width", "height")
    return {"kind": "crops", "rectangles": [dict(zip(names, place, strict=True)) for place in places]}


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ([crops((10, 0, 11, 5))], "outside of 10 rows and 20 columns"),
        ([crops((0, 6, 5, 5))], "outside of 10 rows and 20 columns"),
        ([crops((0, 0, 5, 5), (0, 0, 5, 5))], "2 crops"),
        ([crops((0, 0, 5, 5), (1, 0, 5, 5), (2, 0, 5, 5), (3, 0, 5, 5))], "4 crops"),
        ([], "2 outcomes of 2 outputs"),
        ([mask(10, 20)], "the crops that the description promises are not told"),
    ],
)
def test_crops_that_cannot_be_are_not_believed(finder: Bundle, told: list[dict[str, Any]], why: str) -> None:
    expected = Expected(finder[1], (1, 10, 20))
    with pytest.raises(Unbelievable, match=why):
        accept(said(mask(10, 20), mask(10, 20), *told), expected, bytes(expected.memory))


@pytest.mark.parametrize("crop", [None, 1])
def test_an_answer_about_another_crop_than_was_asked_for_is_not_believed(
    telling_bundle: Bundle, crop: int | None
) -> None:
    region = Rectangle(left=0, top=0, width=5, height=5)
    expected = Expected(telling_bundle[1], (1, 10, 20), {1: (region,)})
    told = {"kind": "classification", "probabilities": [0.25, 0.75]}
    with pytest.raises(Unbelievable, match="1 crops"):
        accept(said(told, crop=crop), expected, bytes(expected.memory))
    ((found,),) = (one.outcomes for one in accept(said(told, crop=0), expected, bytes(expected.memory)))
    assert isinstance(found, Classification)
    assert found.region == region

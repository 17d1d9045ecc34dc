"""Regions far smaller than the largest are specks; what the border cuts is a lens's edge where the largest lies inside."""

import numpy as np
import pytest
import torch

from derm_networks.regions import DropSmallMaskd, Keep, KeepLargeRegions, KeepLargeRegionsd, filled


def drawn(*squares: tuple[int, int, int]) -> torch.Tensor:
    mask = np.zeros((1, 40, 60), dtype=np.float32)
    for down, across, side in squares:
        mask[0, down : down + side, across : across + side] = 1
    return torch.from_numpy(mask)


def test_two_lesions_stay_and_a_speck_goes() -> None:
    assert torch.equal(KeepLargeRegions(0.2)(drawn((2, 2, 10), (20, 30, 6), (35, 50, 3))), drawn((2, 2, 10), (20, 30, 6)))


def test_pixels_that_touch_at_a_corner_are_one_region() -> None:
    mask = drawn((2, 2, 10), (12, 12, 1))
    assert torch.equal(KeepLargeRegions(0.2)(mask), mask)


def test_each_channel_has_its_own_largest_region_and_an_empty_one_stays_empty() -> None:
    mask = torch.cat([drawn((2, 2, 10)), drawn((2, 2, 2)), drawn()])
    assert torch.equal(KeepLargeRegionsd("pred")({"pred": mask})["pred"], mask)


def test_what_the_border_cuts_goes_where_the_largest_lies_inside() -> None:
    mask = drawn((10, 10, 12), (25, 40, 9), (0, 30, 9), (30, 51, 9))
    assert torch.equal(KeepLargeRegions(inside=True)(mask), drawn((10, 10, 12), (25, 40, 9)))
    assert torch.equal(KeepLargeRegions()(mask), mask)


@pytest.mark.parametrize("place", [(0, 10), (28, 10), (10, 0), (10, 48)], ids=["top", "bottom", "left", "right"])
def test_a_largest_region_at_the_border_stays_and_so_do_the_others(place: tuple[int, int]) -> None:
    mask = drawn((*place, 12), (20, 30, 6), (34, 54, 6))
    assert torch.equal(KeepLargeRegions(inside=True)(mask), mask)


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        ("largest", drawn((10, 10, 12))),
        ("large", drawn((10, 10, 12), (25, 40, 9), (0, 30, 9))),
        ("inside", drawn((10, 10, 12), (25, 40, 9))),
    ],
)
def test_a_bundle_names_what_it_keeps_and_holes_are_filled(keep: Keep, left: torch.Tensor) -> None:
    mask = drawn((10, 10, 12), (25, 40, 9), (0, 30, 9), (35, 2, 2))
    mask[0, 14:17, 14:17] = 0
    assert np.array_equal(filled(mask, keep), left.numpy() > 0)


def test_a_mask_that_covers_too_little_is_emptied_each_channel_by_itself() -> None:
    enough, little = drawn((2, 2, 7)), drawn((2, 2, 6), (20, 20, 1))
    drop = DropSmallMaskd(["a", "b"], min_area_fraction=40 / 2400)
    made = drop({"a": torch.cat([enough, little]), "b": drawn()})
    assert torch.equal(made["a"], torch.cat([enough, drawn()]))
    assert torch.equal(made["b"], drawn())

"""Regions far smaller than the largest are specks."""

import numpy as np
import torch

from derm_networks.regions import KeepLargeRegions, KeepLargeRegionsd


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

"""Drawn mosaics: grey, of any size, the same at every drawing, of three classes that differ."""

import numpy as np
import pytest

from derm_pacs.samples.mosaics import CLASSES, TILE, mosaic

each_class = pytest.mark.parametrize("name", CLASSES)


@each_class
def test_a_mosaic_is_grey_of_the_asked_size_and_the_same_at_every_drawing(name: str) -> None:
    drawn = mosaic(3, name, shape=(200, 330))
    assert drawn.shape == (200, 330)
    assert drawn.dtype == np.uint8
    assert np.array_equal(drawn, mosaic(3, name, shape=(200, 330)))
    assert not np.array_equal(drawn, mosaic(4, name, shape=(200, 330)))


def test_the_classes_are_three_and_no_other_is_drawn() -> None:
    assert set(CLASSES) == {"nevus", "melanoma", "bcc"}
    with pytest.raises(KeyError, match="no class 'wart' is drawn"):
        mosaic(0, "wart")


def test_tiles_are_missing_only_at_the_rim_and_are_black() -> None:
    drawn = mosaic(2, "nevus", shape=(3 * TILE, 4 * TILE))
    tiles = drawn.reshape(3, TILE, 4, TILE).swapaxes(1, 2)
    empty = tiles.max(axis=(2, 3)) == 0
    assert empty.any()
    assert not empty[1, 1:3].any(), "inside nothing is missing"
    assert tiles[~empty].min() >= 10, "what was taken is nowhere empty"


def test_melanomas_hold_more_bright_places_than_naevi() -> None:
    bright = {
        name: np.mean([(mosaic(seed, name, shape=(TILE, TILE)) > 190).mean() for seed in range(4)]) for name in ("melanoma", "nevus")
    }
    assert bright["melanoma"] > bright["nevus"]

"""Sizes are read from the header without trusting it."""

from io import BytesIO
from typing import Any

import numpy as np
import pydicom
import pytest

from derm_pacs.inference.header import NoSize, measure, read
from tests.samples.tiled import part10, tiled

PICTURE = np.zeros((20, 30), dtype=np.uint8)


def header_of(content: bytes) -> Any:
    return measure(read(content, max_bytes=1_000_000, pixels=False))


def test_the_size_is_read_without_the_pixels(make_part10: Any) -> None:
    header = header_of(make_part10(np.zeros((3, 8, 9, 3), dtype=np.uint8)))
    assert (header.frames, header.rows, header.columns, header.samples, header.tiles) == (3, 8, 9, 3, None)
    assert header.decoded_bytes == 3 * 8 * 9 * 3


def test_of_tiles_the_matrix_is_measured_without_the_pixels() -> None:
    header = header_of(part10(tiled(PICTURE, (8, 8))))
    assert (header.frames, header.rows, header.columns, header.decoded_bytes) == (1, 20, 30, 600)
    assert header.tiles.pixels == 12 * 64


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("Rows", 0), ("Columns", None), ("TotalPixelMatrixRows", 0), ("BitsStored", 9), ("NumberOfFrames", 0)],
)
def test_a_size_that_makes_no_sense_is_named_by_its_attribute(keyword: str, value: Any) -> None:
    with pytest.raises(NoSize, match=keyword):
        header_of(part10(tiled(PICTURE, (8, 8), **{keyword: value})))


def test_two_numbers_for_one_size_are_none() -> None:
    dataset = pydicom.dcmread(BytesIO(part10(tiled(PICTURE, (8, 8)))))
    dataset.Rows = [8, 8]
    with pytest.raises(NoSize, match="not one whole number"):
        measure(dataset)

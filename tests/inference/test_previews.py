"""A preview is the frame, averaged over areas, in a size that follows from the frame's size alone."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from derm_pacs.inference.pixels import Pixels
from derm_pacs.inference.previews import LONGER_SIDE, preview, preview_shape, previews

Part10 = Callable[..., bytes]


@given(st.integers(1, 65535), st.integers(1, 65535))
def test_the_longer_side_is_at_most_1024_and_the_shape_is_kept(rows: int, columns: int) -> None:
    shape = preview_shape(rows, columns)
    assert max(shape) == min(LONGER_SIDE, max(rows, columns))
    assert min(shape) >= 1
    scale = max(shape) / max(rows, columns)
    assert all(abs(found - side * scale) <= 0.5 or found == 1 for found, side in zip(shape, (rows, columns), strict=True))


def test_a_small_frame_is_not_enlarged_or_changed(drawn: Pixels) -> None:
    assert np.array_equal(preview(drawn), drawn)


def test_a_large_frame_is_averaged_over_areas() -> None:
    cells = np.random.default_rng(0).integers(0, 250, (512, 1024, 3), dtype=np.uint8)
    fine = np.repeat(np.repeat(cells, 2, axis=0), 2, axis=1)
    fine[::2, ::2] += 4  # one pixel of each four
    assert np.array_equal(preview(fine), cells + 1)


def test_grey_becomes_three_equal_channels() -> None:
    for side in (40, 3000):
        grey = np.random.default_rng(1).integers(0, 256, (side, 30), dtype=np.uint8)
        found = preview(grey)
        assert found.shape == (*preview_shape(side, 30), 3)
        assert bool((found == found[..., :1]).all())
    assert np.array_equal(preview(grey[:40])[..., 0], grey[:40])


@given(st.integers(1, 40), st.integers(1, 40), st.booleans(), st.integers(0, 2**32 - 1))
def test_any_frame_gives_rgb_bytes_of_the_told_shape(rows: int, columns: int, coloured: bool, seed: int) -> None:
    shape = (rows * 60, columns * 60, 3) if coloured else (rows * 60, columns * 60)
    pixels = np.random.default_rng(seed).integers(0, 256, (1, 1, *shape[2:]), dtype=np.uint8)
    found = preview(np.broadcast_to(pixels, shape))
    assert found.dtype == np.uint8
    assert found.shape == (*preview_shape(*shape[:2]), 3)
    assert bool((found == pixels).all()), "an even picture stays what it is"


def test_frames_that_cannot_be_decoded_are_left_out(make_part10: Part10, drawn: Pixels) -> None:
    dataset = pydicom.dcmread(BytesIO(make_part10(np.stack([drawn] * 3))))
    whole = _jpeg(drawn)
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PixelData = encapsulate([whole, b"\xff\xd8 no picture", whole])
    dataset["PixelData"].VR = "OB"
    stream = BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    found = dict(previews(stream.getvalue(), max_pixels=10**6, max_frames=5))
    assert set(found) == {1, 3}
    assert found[1].shape == drawn.shape


@pytest.mark.parametrize("changes", [{"BurnedInAnnotation": "YES"}, {"Rows": 65535, "Columns": 65535}, {"PixelData": b""}])
def test_what_is_not_to_be_read_gives_no_preview(make_part10: Part10, drawn: Pixels, changes: dict[str, object]) -> None:
    assert list(previews(make_part10(drawn, **changes), max_pixels=10**6, max_frames=5)) == []
    assert list(previews(b"no dicom", max_pixels=10**6, max_frames=5)) == []


def _jpeg(pixels: Pixels) -> bytes:
    from PIL import Image  # noqa: PLC0415

    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95)
    return stream.getvalue()

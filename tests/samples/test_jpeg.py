"""JPEG streams are kept as they are, without what the camera says of its owner."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from derm_pacs.domain.errors import Rejected
from derm_pacs.samples import jpeg
from derm_pacs.samples.jpeg import Colour


def photograph(mode: str = "RGB", **options: object) -> bytes:
    generator = np.random.default_rng(7)
    shape = (48, 64) if mode == "L" else (48, 64, len(mode))
    buffer = io.BytesIO()
    Image.fromarray(generator.integers(0, 255, shape, dtype=np.uint8), mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def with_owner() -> bytes:
    exif = Image.Exif()
    exif[0x013B] = "Jane Doe"
    exif[0x8825] = {1: "N", 2: (52.0, 30.0, 0.0)}
    return photograph(exif=exif, comment=b"Jane Doe's arm", restart_marker_rows=1)


def test_the_frame_header_is_read() -> None:
    stream = jpeg.read(photograph())
    assert (stream.rows, stream.columns, stream.colour, stream.baseline) == (48, 64, Colour.YBR, True)
    assert jpeg.read(photograph("L")).colour is Colour.GREY
    assert jpeg.read(photograph(keep_rgb=True)).colour is Colour.RGB
    assert not jpeg.read(photograph(progressive=True)).baseline


def test_owner_place_and_comment_are_dropped_and_every_pixel_stays() -> None:
    data = with_owner()
    stream = jpeg.read(data).data
    assert b"Jane" in data
    assert b"Jane" not in stream
    assert b"Exif" not in stream
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(stream))), np.asarray(Image.open(io.BytesIO(data))))


def test_what_follows_the_picture_is_dropped() -> None:
    data = photograph()
    assert jpeg.read(data + with_owner()).data == jpeg.read(data).data


def test_a_colour_profile_and_the_colour_transform_are_kept() -> None:
    data = photograph(keep_rgb=True, icc_profile=b"a profile")
    assert b"ICC_PROFILE" in jpeg.read(data).data
    assert b"Adobe" in jpeg.read(data).data or jpeg.read(jpeg.read(data).data).colour is Colour.RGB


def test_a_stream_of_four_components_is_refused_with_a_sentence() -> None:
    with pytest.raises(Rejected, match="CMYK"):
        jpeg.read(photograph("CMYK"))


@given(st.data())
def test_a_torn_stream_is_refused_wherever_it_is_torn(data: st.DataObject) -> None:
    whole = photograph()
    cut = data.draw(st.integers(2, len(whole) - 1))
    with pytest.raises(Rejected, match="torn"):
        jpeg.read(whole[:cut])


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tail: bytes) -> None:
    try:
        jpeg.read(b"\xff\xd8\xff" + tail)
    except Rejected:
        return

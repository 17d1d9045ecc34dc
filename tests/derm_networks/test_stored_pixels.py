"""Stored values become 8 bits by one rule; an image that is not read says why, without quoting who is on it."""

from collections.abc import Callable

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import MPEG2MPML, ExplicitVRLittleEndian

from derm_networks.stored_pixels import (
    BurnedIn,
    ForeignColour,
    NoPixelData,
    Unread,
    check_colour,
    check_header,
    check_pixel_data,
    converted,
)


def grey(bits: int, **more: object) -> Dataset:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.PhotometricInterpretation = "MONOCHROME2"
    made.BitsAllocated, made.BitsStored = 16 if bits > 8 else 8, bits
    for keyword, value in more.items():
        setattr(made, keyword, value)
    return made


@pytest.mark.parametrize(
    ("stored", "header", "expected"),
    [
        (np.array([3, 90], np.uint8), grey(8, WindowCenter=50, WindowWidth=10), [3, 90]),
        (np.array([3, 90], np.uint8), grey(8, PhotometricInterpretation="MONOCHROME1"), [252, 165]),
        (np.array([0, 4095], np.uint16), grey(12), [0, 255]),
        (np.array([-32768, 32767], np.int16), grey(16, PixelRepresentation=1), [0, 255]),
        (np.array([0, 1000, 2000], np.uint16), grey(16, WindowCenter=1000.5, WindowWidth=1001), [0, 128, 255]),
    ],
)
def test_eight_bits_stay_as_stored_and_deeper_grey_goes_through_its_window_or_its_range(
    stored: np.ndarray[tuple[int], np.dtype[np.generic]], header: Dataset, expected: list[int]
) -> None:
    assert converted(stored, {"photometric_interpretation": "MONOCHROME2"}, header).tolist() == expected


@pytest.mark.parametrize(
    ("check", "kind", "said"),
    [
        (lambda: check_header(grey(8, BurnedInAnnotation="YES")), BurnedIn, r"\(0028,0301\) is YES"),
        (lambda: check_header(video()), Unread, "MPEG2 .* is not read"),
        (lambda: check_pixel_data(grey(8)), NoPixelData, r"\(7FE0,0010\) is missing or empty"),
        (lambda: check_pixel_data(grey(8, FloatPixelData=b"1234")), Unread, "floating-point"),
        (lambda: check_colour("CMYK"), ForeignColour, "CMYK is not read"),
    ],
)
def test_what_is_not_read_says_why(check: Callable[[], None], kind: type[Unread], said: str) -> None:
    with pytest.raises(Unread, match=said) as refused:
        check()
    assert refused.type is kind


def video() -> Dataset:
    made = grey(8)
    made.file_meta.TransferSyntaxUID = MPEG2MPML
    return made

"""Reads the frame header of a JPEG stream and drops what a camera writes beside the picture, without re-encoding.

ITU-T T.81 annex B (markers), JFIF, Adobe's APP14 (colour transform). EXIF holds the place and the owner of the
camera: it is dropped, the coded picture stays as it is, byte for byte.
"""

from dataclasses import dataclass
from enum import StrEnum

from derm_pacs.domain.errors import Rejected
from derm_pacs.domain.reasons import UNDECODABLE

_START = b"\xff\xd8"
_SCAN = 0xDA
_END = 0xD9
_INSIDE_CODED_DATA = frozenset({0x00, 0xFF, *range(0xD0, 0xD8)})  # stuffed byte, fill, restarts
_KEPT_APPLICATION_SEGMENTS = frozenset({0xE0, 0xE2, 0xEE})  # JFIF, ICC profile, Adobe
_COMMENT = 0xFE
_FRAME_HEADERS = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_BASELINE = 0xC0


class Colour(StrEnum):
    """What the components of the stream mean."""

    GREY = "MONOCHROME2"
    YBR = "YBR_FULL_422"
    RGB = "RGB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A JPEG stream and what its frame header says."""

    baseline: bool
    """Whether it is coded as baseline with 8 bits; progressive and extended streams are not."""
    rows: int
    columns: int
    colour: Colour
    data: bytes
    """The stream without EXIF, comments and other application segments."""


def is_jpeg(data: bytes) -> bool:
    """Return whether the bytes begin as a JPEG stream does."""
    return data.startswith(_START + b"\xff")


def read(data: bytes) -> Stream:
    """Read the first picture of a JPEG stream; raises `Rejected` where it is torn or of four components."""
    kept = [_START]
    frame: tuple[int, bytes] | None = None
    adobe_transform: int | None = None
    at = len(_START)
    while True:
        marker, end = _segment(data, at)
        body = data[at + 4 : end]
        if marker in _FRAME_HEADERS:
            frame = (marker, body)
        if marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12:
            adobe_transform = body[11]
        if marker == _SCAN:
            end = _coded_until(data, end)
        is_application = 0xE0 <= marker <= 0xEF
        if marker != _COMMENT and (not is_application or marker in _KEPT_APPLICATION_SEGMENTS):
            kept.append(data[at:end])
        if marker == _END:  # what follows is another picture, or none of ours
            break
        at = end
    if frame is None or len(frame[1]) < 6:
        raise Rejected(UNDECODABLE, "the JPEG stream has no frame header")
    marker, header = frame
    precision, components = header[0], header[5]
    return Stream(
        baseline=marker == _BASELINE and precision == 8,
        rows=int.from_bytes(header[1:3], "big"),
        columns=int.from_bytes(header[3:5], "big"),
        colour=_colour(components, bytes(header[6::3][:components]), adobe_transform),
        data=b"".join(kept),
    )


def _segment(data: bytes, at: int) -> tuple[int, int]:
    """Return the marker of the segment at `at` and where the segment ends."""
    if at + 2 <= len(data) and data[at] == 0xFF and data[at + 1] == _END:
        return _END, at + 2
    if at + 4 > len(data) or data[at] != 0xFF:
        raise Rejected(UNDECODABLE, "the JPEG stream is torn")
    return data[at + 1], at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def _coded_until(data: bytes, at: int) -> int:
    """Return where the entropy-coded data that begins at `at` ends: at the next marker that is no restart."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            raise Rejected(UNDECODABLE, "the JPEG stream is torn: its end is missing")
        if data[at + 1] not in _INSIDE_CODED_DATA:
            return at
        at += 1 if data[at + 1] == 0xFF else 2


def _colour(components: int, identifiers: bytes, adobe_transform: int | None) -> Colour:
    if components == 1:
        return Colour.GREY
    if components != 3:
        raise Rejected(UNDECODABLE, f"a JPEG of {components} components (CMYK) is no photograph; save it as RGB")
    if identifiers == b"RGB" or adobe_transform == 0:
        return Colour.RGB
    return Colour.YBR


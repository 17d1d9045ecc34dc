"""Masks read back from a SEG's bytes, without the code that wrote them.

Every frame says which source frame and which segment it is of, so nothing depends on the order in which it was written.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import unpack_bits
from pydicom.uid import RLELossless

from derm_pacs.domain.findings import Mask

LABEL_MAP = "LABELMAP"


class Unreadable(ValueError):
    """The SEG cannot be read as one; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredMask:
    """One segment over one source frame."""

    image_uid: str
    frame: int
    """Of the source, 1-based; 1 of a tiled image."""
    segment: Dataset
    """Its item of the Segment Sequence."""
    numbers: tuple[int, ...]
    """Frames of the SEG (1-based) that hold it."""
    mask: Mask


def masks(seg: Dataset) -> tuple[StoredMask, ...]:
    """Return what a SEG holds; raises `Unreadable`."""
    try:
        return tuple(_masks(seg))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error


def _masks(seg: Dataset) -> Iterator[StoredMask]:
    pixels = _pixels(seg)
    groups = list(seg.PerFrameFunctionalGroupsSequence)
    if len(groups) != len(pixels):
        raise Unreadable(f"{len(groups)} functional groups for {len(pixels)} frames")
    described = {int(item.SegmentNumber): item for item in seg.SegmentSequence}
    tiled = str(seg.get("DimensionOrganizationType", "")).startswith("TILED")
    held: dict[tuple[str, int, int], list[int]] = {}
    for number, item in enumerate(groups, 1):
        source = _source(item)
        frame = 1 if tiled else int(source.get("ReferencedFrameNumber") or 1)
        for segment in _segments(seg, item, pixels[number - 1]):
            held.setdefault((str(source.ReferencedSOPInstanceUID), frame, segment), []).append(number)
    for (uid, frame, segment), numbers in held.items():
        inside = segment if seg.SegmentationType == LABEL_MAP else _most(seg)
        parts = {number: _inside(pixels[number - 1], inside) for number in numbers}
        if not tiled and len(parts) != 1:
            raise Unreadable(f"segment {segment} has {len(parts)} frames for one source frame")
        yield StoredMask(
            image_uid=uid, frame=frame, segment=described[segment], numbers=tuple(numbers),
            mask=_matrix(seg, groups, parts) if tiled else parts[numbers[0]],
        )


def _source(groups: Dataset) -> Dataset:
    item: Dataset = groups.DerivationImageSequence[0].SourceImageSequence[0]
    return item


def _segments(seg: Dataset, groups: Dataset, pixels: NDArray[np.uint8]) -> list[int]:
    if seg.SegmentationType == LABEL_MAP:
        return [int(value) for value in np.unique(pixels) if value != seg.PixelPaddingValue]
    return [int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber)]


def _most(seg: Dataset) -> int:
    return 1 if seg.SegmentationType == "BINARY" else int(seg.MaximumFractionalValue)


def _inside(pixels: NDArray[np.uint8], inside: int) -> Mask:
    mask: Mask = pixels == inside
    return mask


def _pixels(seg: Dataset) -> NDArray[np.uint8]:
    """Return (frames, rows, columns) as stored."""
    shape = (int(seg.NumberOfFrames), int(seg.Rows), int(seg.Columns))
    if seg.BitsAllocated == 1:
        stored = np.asarray(unpack_bits(seg.PixelData), dtype=np.uint8)
        if len(seg.PixelData) != -(-int(np.prod(shape)) // 16) * 2:
            raise Unreadable("Pixel Data has not the length of its frames")
        return stored[: int(np.prod(shape))].reshape(shape)
    if seg.file_meta.TransferSyntaxUID == RLELossless:
        decoded, _ = get_decoder(RLELossless).as_array(seg, decoding_plugin="pydicom")
        return np.asarray(decoded, dtype=np.uint8).reshape(shape)
    stored = np.frombuffer(seg.PixelData, dtype=np.uint8)
    if stored.size != int(np.prod(shape)) + int(np.prod(shape)) % 2:
        raise Unreadable("Pixel Data has not the length of its frames")
    return stored[: int(np.prod(shape))].reshape(shape)


def _matrix(seg: Dataset, groups: list[Dataset], parts: Mapping[int, Mask]) -> Mask:
    """Lay tiles into the total pixel matrix."""
    matrix = np.zeros((int(seg.TotalPixelMatrixRows), int(seg.TotalPixelMatrixColumns)), dtype=np.bool_)
    for number, part in parts.items():
        position = groups[number - 1].PlanePositionSlideSequence[0]
        row = int(position.RowPositionInTotalImagePixelMatrix) - 1
        column = int(position.ColumnPositionInTotalImagePixelMatrix) - 1
        if row < 0 or column < 0:
            raise Unreadable("a tile begins before the total pixel matrix")
        place = matrix[row : row + part.shape[0], column : column + part.shape[1]]
        if part[place.shape[0] :].any() or part[:, place.shape[1] :].any():
            raise Unreadable("a tile holds something outside the total pixel matrix")
        place |= part[: place.shape[0], : place.shape[1]]
    return matrix

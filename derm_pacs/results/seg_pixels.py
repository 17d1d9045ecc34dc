"""The pixels of a SEG: bits, or bytes that are run-length encoded where that is allowed and smaller.

Orthanc 1.10.1 with GDCM 3.0.21 (Debian 12) may end when a viewer asks it for a grey image in RLE as a whole, anybody's:
a thread of its web server runs out of stack in GDCM's writer. That holds for fractional SEGs, not for label maps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from derm_pacs.domain.edition import SegKind
from derm_pacs.domain.findings import Mask

MAXIMUM = 255
"""Maximum Fractional Value; a mask has no shares, so a pixel holds it or 0."""
LABEL = 1
"""What a label map holds inside its one segment."""

_ENCODER = "pylibjpeg"  # one encoder, so that the same masks give the same bytes everywhere


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tile:
    """A window of a mask: what one frame of a SEG holds, filled up with nothing where it reaches over the edge."""

    mask: Mask
    row: int
    column: int
    rows: int
    columns: int

    @property
    def window(self) -> Mask:
        """The part of the mask that lies in the tile."""
        return self.mask[self.row : self.row + self.rows, self.column : self.column + self.columns]

    @property
    def pixels(self) -> Mask:
        """The (rows, columns) of the tile."""
        part = self.window
        if part.shape == (self.rows, self.columns):
            return part
        whole = np.zeros((self.rows, self.columns), dtype=np.bool_)
        whole[: part.shape[0], : part.shape[1]] = part
        return whole


def put_pixels(document: Dataset, tiles: Sequence[Tile], kind: SegKind, *, rle: bool) -> None:
    """Write the image pixel module and the transfer syntax of frames that are all of one size.

    `rle` allows run-length encoding, which is taken where it is smaller; bits cannot be encoded so (PS3.5 section G.2
    counts in bytes).
    """
    document.SamplesPerPixel = 1
    document.PhotometricInterpretation = "MONOCHROME2"
    document.Rows, document.Columns = tiles[0].rows, tiles[0].columns
    document.BitsAllocated = document.BitsStored = 1 if kind is SegKind.BINARY else 8
    document.HighBit = document.BitsStored - 1
    document.PixelRepresentation = 0
    document.NumberOfFrames = len(tiles)
    document.file_meta = FileMetaDataset()
    document.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    encoded = _run_lengths(tiles, kind) if rle and kind is not SegKind.BINARY else None
    if encoded is not None:
        document.file_meta.TransferSyntaxUID = RLELossless
        document.PixelData = encoded
        document["PixelData"].is_undefined_length = True
    else:
        document.PixelData = _bits(tiles) if kind is SegKind.BINARY else _even(b"".join(_bytes(tiles, kind)))
    document["PixelData"].VR = "OB"


def _bits(tiles: Sequence[Tile]) -> bytes:
    """Pack frames one behind the other, the first pixel in the lowest bit, also over the ends of frames (PS3.5 8.2)."""
    parts: list[bytes] = []
    carried: Mask = np.zeros(0, dtype=np.bool_)
    for tile in tiles:
        bits = np.concatenate([carried, tile.pixels.ravel()]) if carried.size else tile.pixels.ravel()
        whole = bits.size - bits.size % 8
        parts.append(np.packbits(bits[:whole], bitorder="little").tobytes())
        carried = bits[whole:]
    parts.append(np.packbits(carried, bitorder="little").tobytes())
    return _even(b"".join(parts))


def _bytes(tiles: Sequence[Tile], kind: SegKind) -> Iterator[bytes]:
    inside = MAXIMUM if kind is SegKind.FRACTIONAL else LABEL
    for tile in tiles:
        yield (tile.pixels.astype(np.uint8) * np.uint8(inside)).tobytes()


def _run_lengths(tiles: Sequence[Tile], kind: SegKind) -> bytes | None:
    """Return the encapsulated frames, None where they are not smaller than the frames as they are."""
    encoder = get_encoder(RLELossless)
    frames = [
        encoder.encode(
            one, encoding_plugin=_ENCODER, rows=tiles[0].rows, columns=tiles[0].columns, number_of_frames=1,
            samples_per_pixel=1, bits_allocated=8, bits_stored=8, pixel_representation=0,
            photometric_interpretation="MONOCHROME2",
        )
        for one in _bytes(tiles, kind)
    ]  # fmt: skip
    encoded = encapsulate(frames)
    return encoded if len(encoded) < len(tiles) * tiles[0].rows * tiles[0].columns else None


def _even(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)

"""The header of a Part 10 file, read without trusting it: sizes are known before anything is decoded."""

import zlib
from dataclasses import dataclass
from io import BytesIO

from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_file_meta_info
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from derm_pacs.domain.tiling import Tiling, is_tiled

_PREAMBLE = 132  # 128 bytes and "DICM" (PS3.10 section 7.1)
_MOST = 2**31 - 1


class InflatesTooFar(ValueError):
    """A deflated data set is longer than the limit once inflated."""


class NoSize(ValueError):
    """The header says no size, or one that makes no sense; the text names the attribute and quotes nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHeader:
    """What the pixel module says of the decoded image's size (PS3.3 C.7.6.3, C.7.6.6).

    Of tiles, rows and columns are those of the total pixel matrix (PS3.3 C.8.12.14), and it is one frame.
    """

    rows: int
    columns: int
    samples: int
    """Channels once decoded: 3 for a palette image."""
    frames: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    photometric: str
    tiles: "Tiles | None" = None
    """How the matrix is stored, None for an image that is not tiled."""

    @property
    def decoded_bytes(self) -> int:
        """Bytes of all frames decoded."""
        return self.rows * self.columns * self.samples * self.frames * max(1, self.bits_allocated // 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiles:
    """The stored frames of a tiled image."""

    tiling: Tiling
    stored: int
    """Tiles that the file holds."""
    organization: str
    """Dimension Organization Type, empty where the image does not say it."""

    @property
    def pixels(self) -> int:
        """Pixels of all stored tiles."""
        return self.stored * self.tiling.tile_rows * self.tiling.tile_columns


def read(part10: bytes, *, max_bytes: int, pixels: bool) -> Dataset:
    """Read a Part 10 file; a deflated one is inflated to at most `max_bytes`.

    `pixels` False stops before Pixel Data. The result's `file_meta` names the transfer syntax in which the data set now
    is. Raises `InflatesTooFar`, and for a broken file every kind of exception that pydicom knows.
    """
    return dcmread(BytesIO(_inflated(part10, max_bytes)), stop_before_pixels=not pixels)


def measure(dataset: Dataset) -> ImageHeader:
    """Return the sizes.

    Raises `NoSize`, and for a broken file every kind of exception that pydicom knows: it reads values when asked for them.
    """
    photometric = dataset.get("PhotometricInterpretation")
    if not isinstance(photometric, str) or not photometric:
        raise NoSize("Photometric Interpretation (0028,0004) is missing")
    allocated = _count(dataset, "BitsAllocated", "0028,0100", most=64)
    rows = _count(dataset, "Rows", "0028,0010", most=65535)
    columns = _count(dataset, "Columns", "0028,0011", most=65535)
    frames = _count(dataset, "NumberOfFrames", "0028,0008", most=_MOST, default=1)
    tiles = _tiles(dataset, rows, columns, frames)
    return ImageHeader(
        rows=tiles.tiling.rows if tiles else rows,
        columns=tiles.tiling.columns if tiles else columns,
        samples=3 if photometric == "PALETTE COLOR" else _count(dataset, "SamplesPerPixel", "0028,0002", most=4),
        frames=1 if tiles else frames,
        tiles=tiles,
        bits_allocated=allocated,
        bits_stored=_count(dataset, "BitsStored", "0028,0101", most=allocated, default=allocated),
        signed=dataset.get("PixelRepresentation") == 1,
        photometric=photometric,
    )


def _tiles(dataset: Dataset, rows: int, columns: int, frames: int) -> Tiles | None:
    organization = str(dataset.get("DimensionOrganizationType") or "")
    has_matrix = "TotalPixelMatrixColumns" in dataset
    if not is_tiled(str(dataset.get("SOPClassUID", "")), organization, has_matrix=has_matrix, frames=frames):
        return None
    tiling = Tiling(
        rows=_count(dataset, "TotalPixelMatrixRows", "0048,0007", most=_MOST),
        columns=_count(dataset, "TotalPixelMatrixColumns", "0048,0006", most=_MOST),
        tile_rows=rows,
        tile_columns=columns,
    )
    return Tiles(tiling=tiling, stored=frames, organization=organization)


def _inflated(part10: bytes, max_bytes: int) -> bytes:
    """Return the file with its data set as it is, or inflated and renamed to Explicit VR Little Endian."""
    if part10[128:_PREAMBLE] != b"DICM":
        raise ValueError("no DICM after the preamble")
    stream = BytesIO(part10)
    stream.seek(_PREAMBLE)
    meta = read_dataset(stream, is_implicit_VR=False, is_little_endian=True, stop_when=_after_meta)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return part10
    inflator = zlib.decompressobj(-zlib.MAX_WBITS)
    body = inflator.decompress(stream.read(), max_bytes + 1)
    if len(body) > max_bytes:
        raise InflatesTooFar(f"the inflated data set is longer than {max_bytes} bytes")
    plain = FileMetaDataset(meta)
    plain.TransferSyntaxUID = ExplicitVRLittleEndian
    written = DicomBytesIO(part10[:_PREAMBLE])
    written.seek(_PREAMBLE)
    write_file_meta_info(written, plain)
    return written.getvalue() + body


def _after_meta(tag: BaseTag, vr: str | None, length: int) -> bool:  # noqa: ARG001 pydicom gives all three
    return tag.group != 2


def _count(dataset: Dataset, keyword: str, tag: str, *, most: int, default: int | None = None) -> int:
    value = dataset.get(keyword)
    if value is None or value == "":
        if default is not None:
            return default
        raise NoSize(f"{keyword} ({tag}) is missing")
    if isinstance(value, str) or not isinstance(value, int):
        raise NoSize(f"{keyword} ({tag}) is not one whole number")
    if not 1 <= value <= most:
        raise NoSize(f"{keyword} ({tag}) is {value}, not 1 to {most}")
    return int(value)

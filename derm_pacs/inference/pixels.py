"""Part 10 bytes to frames of 8-bit RGB or grey pixels, or the reason why not; nothing raises.

The tiles of a tiled image become one frame: its total pixel matrix.

One decoder a transfer syntax, so that the same file gives the same pixels wherever it is read. Sizes are checked
against the header before a decoder sees the data, because decoders allocate what the header claims.

How stored values become 0..255:
- 8 bits stored: as they are. Networks are trained on pixels as stored, so window, rescale and ICC are not applied.
- other depths of grey with a linear window: the first window (PS3.3 C.11.2.1.2.1), after rescale slope and intercept.
- all others: linear from the range that Bits Stored allows (signed or unsigned), rounded.
- a palette of 16 bits: its upper 8 bits. MONOCHROME1: inverted, so that high values are bright.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import UID

from derm_pacs.domain.findings import Refusal
from derm_pacs.domain.reasons import (
    BURNED_IN,
    EMPTY_PIXELS,
    IMAGE_TOO_LARGE,
    TOO_MANY_FRAMES,
    UNDECODABLE,
    WRONG_COLOUR,
)
from derm_pacs.inference.header import ImageHeader, InflatesTooFar, NoSize, measure, read
from derm_pacs.inference.outcomes import refusal
from derm_pacs.inference.tiles import assembled, corners

_HEADER_BYTES = 16 * 1024 * 1024  # what a deflated data set may hold beside its pixels
_TILES_TO_MATRIX = 4  # tiles reach over the edge of a matrix at most to its fourfold where it is larger than one tile

DECODERS: Mapping[str, str] = MappingProxyType(
    {
        "1.2.840.10008.1.2": "",
        "1.2.840.10008.1.2.1": "",
        "1.2.840.10008.1.2.1.99": "",
        "1.2.840.10008.1.2.2": "",
        "1.2.840.10008.1.2.4.50": "pillow",
        "1.2.840.10008.1.2.4.51": "gdcm",
        "1.2.840.10008.1.2.4.57": "gdcm",
        "1.2.840.10008.1.2.4.70": "gdcm",
        "1.2.840.10008.1.2.4.80": "pyjpegls",
        "1.2.840.10008.1.2.4.81": "pyjpegls",
        "1.2.840.10008.1.2.4.90": "pylibjpeg",
        "1.2.840.10008.1.2.4.91": "pylibjpeg",
        "1.2.840.10008.1.2.4.201": "pylibjpeg",
        "1.2.840.10008.1.2.4.202": "pylibjpeg",
        "1.2.840.10008.1.2.4.203": "pylibjpeg",
        "1.2.840.10008.1.2.5": "pylibjpeg",
    }
)
"""Decoder by transfer syntax UID, in pydicom's names; empty where pydicom itself reads the pixels."""

_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")

Pixels = NDArray[np.uint8]
"""(rows, columns, 3) RGB or (rows, columns) grey, 0..255."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One decoded frame."""

    number: int
    """1-based."""
    pixels: Pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecoded:
    """One frame that is not there, or the whole image (as frame 1)."""

    number: int
    refusal: Refusal


def frames(part10: bytes, *, max_pixels: int, max_frames: int) -> Iterator[Frame | Undecoded]:
    """Decode frame by frame; a file that cannot be decoded at all gives one `Undecoded` with number 1.

    `max_pixels` bounds the sum over all frames, where a pixel stands for three bytes.
    """
    opened = _open(part10, max_pixels=max_pixels, max_frames=max_frames)
    if isinstance(opened, Refusal):
        yield Undecoded(number=1, refusal=opened)
        return
    dataset, header = opened
    for index in range(header.frames):
        decoded = _frame(dataset, header, index) if header.tiles is None else _matrix(dataset, header)
        if isinstance(decoded, Refusal):
            yield Undecoded(number=index + 1, refusal=decoded)
        else:
            yield Frame(number=index + 1, pixels=decoded)


def size_limit(header: ImageHeader, *, max_pixels: int, max_frames: int) -> Refusal | None:
    """Return the refusal of an image that is larger than the limits allow."""
    if header.frames > max_frames:
        return refusal(TOO_MANY_FRAMES, f"{header.frames} frames, at most {max_frames}")
    if header.decoded_bytes > 3 * max_pixels or header.rows * header.columns > max_pixels:
        return refusal(
            IMAGE_TOO_LARGE,
            f"{header.columns} x {header.rows} pixels, {header.frames} frames, {header.decoded_bytes} bytes; "
            f"at most {max_pixels} pixels of 3 bytes",
        )
    if header.tiles is not None and header.tiles.pixels > _TILES_TO_MATRIX * max_pixels:
        return refusal(
            IMAGE_TOO_LARGE, f"{header.tiles.stored} tiles hold {header.tiles.pixels} pixels, at most "
            f"{_TILES_TO_MATRIX} times {max_pixels}",
        )  # fmt: skip
    return None


def _open(part10: bytes, *, max_pixels: int, max_frames: int) -> tuple[Dataset, ImageHeader] | Refusal:
    try:
        dataset = read(part10, max_bytes=3 * max_pixels + _HEADER_BYTES, pixels=True)
        refused = _by_content(dataset)
        if refused is not None:
            return refused
        header = measure(dataset)
    except InflatesTooFar as error:
        return refusal(IMAGE_TOO_LARGE, str(error))
    except NoSize as error:
        return refusal(UNDECODABLE, str(error))
    except Exception as error:  # noqa: BLE001 pydicom raises every kind on broken files, with texts that quote values
        return refusal(UNDECODABLE, f"the header cannot be read: {type(error).__name__}")
    if header.photometric not in _GREY + _COLOUR:
        return refusal(WRONG_COLOUR, f"photometric interpretation {header.photometric} is not read")
    return size_limit(header, max_pixels=max_pixels, max_frames=max_frames) or (dataset, header)


def _by_content(dataset: Dataset) -> Refusal | None:
    if str(dataset.get("BurnedInAnnotation", "")).strip().upper() == "YES":
        return refusal(BURNED_IN, "Burned In Annotation (0028,0301) is YES")
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        return refusal(UNDECODABLE, "floating-point pixel data is not read")
    if "PixelData" not in dataset or not dataset["PixelData"].value:
        return refusal(EMPTY_PIXELS, "Pixel Data (7FE0,0010) is missing or empty")
    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
    if syntax not in DECODERS:
        return refusal(UNDECODABLE, f"transfer syntax {syntax.name or 'none'} is not read")
    return None


def _frame(dataset: Dataset, header: ImageHeader, index: int) -> Pixels | Refusal:
    """Decode one frame; decoders of several makers raise whatever they like."""
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        stored, about = get_decoder(syntax).as_array(dataset, index=index, decoding_plugin=DECODERS[str(syntax)])
        return _converted(stored, about, dataset, header)
    except MemoryError:
        return refusal(IMAGE_TOO_LARGE, f"no memory to decode {header.columns} x {header.rows} pixels")
    except Exception as error:  # noqa: BLE001
        return refusal(UNDECODABLE, f"frame {index + 1}: {type(error).__name__}: {error}")


def _matrix(dataset: Dataset, header: ImageHeader) -> Pixels | Refusal:
    """Decode all tiles, one at a time, into the total pixel matrix."""
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        places = corners(dataset, header)
        decoder, plugin = get_decoder(syntax), DECODERS[str(syntax)]
        if syntax.is_encapsulated:
            stored = decoder.iter_array(dataset, decoding_plugin=plugin)
        else:  # pydicom's iterator takes the second frame for RGB where chrominance is halved, and finds too few bytes
            stored = (decoder.as_array(dataset, index=index, decoding_plugin=plugin) for index in range(len(places)))
        return assembled((_converted(*one, dataset, header) for one in stored), places, header)
    except MemoryError:
        return refusal(IMAGE_TOO_LARGE, f"no memory to decode {header.columns} x {header.rows} pixels")
    except Exception as error:  # noqa: BLE001
        return refusal(UNDECODABLE, f"tiled image: {type(error).__name__}: {error}")


def _converted(stored: NDArray[Any], about: Mapping[str, Any], dataset: Dataset, header: ImageHeader) -> Pixels:
    """Return decoded values as RGB or grey, 0..255; raises `ValueError` for a colour that is not converted."""
    if header.photometric == "PALETTE COLOR":
        return _palette(stored, dataset)
    if about["photometric_interpretation"] not in (*_GREY, "RGB"):
        raise ValueError(f"{about['photometric_interpretation']} is not converted to RGB")
    scaled = _scaled(stored, dataset, header)
    return 255 - scaled if header.photometric == "MONOCHROME1" else scaled


def _palette(stored: NDArray[Any], dataset: Dataset) -> Pixels:
    coloured = apply_color_lut(stored, dataset)
    if coloured.dtype == np.uint8:
        return coloured
    return (coloured >> 8).astype(np.uint8)


def _scaled(stored: NDArray[Any], dataset: Dataset, header: ImageHeader) -> Pixels:
    if header.bits_stored == 8 and stored.dtype == np.uint8:
        return np.asarray(stored, dtype=np.uint8)
    window = _window(dataset) if header.photometric in _GREY else None
    if window is not None:
        centre, width = window
        slope, intercept = float(dataset.get("RescaleSlope") or 1), float(dataset.get("RescaleIntercept") or 0)
        unit = (stored * slope + intercept - (centre - 0.5)) / (width - 1) + 0.5
    else:
        low = -(1 << header.bits_stored - 1) if header.signed else 0
        unit = (stored.astype(np.float64) - low) / ((1 << header.bits_stored) - 1)
    return np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)


def _window(dataset: Dataset) -> tuple[float, float] | None:
    """Return centre and width of the first window where it is linear and wider than 1."""
    centre, width = (_first(dataset.get(keyword)) for keyword in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None or width <= 1 or dataset.get("VOILUTFunction", "LINEAR") != "LINEAR":
        return None
    return centre, width


def _first(value: Any) -> float | None:
    if value is None or value == "":
        return None
    return float(value if isinstance(value, int | float | str) else value[0])

"""How the stored pixels of a DICOM image become 8-bit RGB or grey: one rule for the service, training and evaluation.

One decoder a transfer syntax, so that the same file gives the same pixels wherever it is read.

How stored values become 0..255:
- 8 bits stored: as they are. Networks are trained on pixels as stored, so window, rescale and ICC are not applied.
- other depths of grey with a linear window: the first window (PS3.3 C.11.2.1.2.1), after rescale slope and intercept.
- all others: linear from the range that Bits Stored allows (signed or unsigned), rounded.
- a palette of 16 bits: its upper 8 bits. MONOCHROME1: inverted, so that high values are bright.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import UID

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


class Unread(ValueError):
    """An image that is not read; the text says why and quotes no identifier."""


class BurnedIn(Unread):
    """The image says that text is burned into its pixels."""


class NoPixelData(Unread):
    """Pixel Data is missing or empty."""


class ForeignColour(Unread):
    """A photometric interpretation that is not read."""


def check_header(dataset: Dataset) -> None:
    """Raise `BurnedIn`, or `Unread` for a transfer syntax that is not read."""
    if str(dataset.get("BurnedInAnnotation", "")).strip().upper() == "YES":
        raise BurnedIn("Burned In Annotation (0028,0301) is YES")
    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
    if syntax not in DECODERS:
        raise Unread(f"transfer syntax {syntax.name or 'none'} is not read")


def check_pixel_data(dataset: Dataset) -> None:
    """Raise `NoPixelData`, or `Unread` for pixels that are no whole numbers."""
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        raise Unread("floating-point pixel data is not read")
    if "PixelData" not in dataset or not dataset["PixelData"].value:
        raise NoPixelData("Pixel Data (7FE0,0010) is missing or empty")


def check_colour(photometric: str) -> None:
    """Raise `ForeignColour` for a photometric interpretation that is not read."""
    if photometric not in _GREY + _COLOUR:
        raise ForeignColour(f"photometric interpretation {photometric} is not read")


def decode(dataset: Dataset, index: int) -> Pixels:
    """Return one frame, from 0; decoders of several makers raise whatever they like."""
    syntax = dataset.file_meta.TransferSyntaxUID
    stored, about = get_decoder(syntax).as_array(dataset, index=index, decoding_plugin=DECODERS[str(syntax)])
    return converted(stored, about, dataset)


def converted(stored: NDArray[Any], about: Mapping[str, Any], dataset: Dataset) -> Pixels:
    """Return decoded values as RGB or grey, 0..255; `about` is what pydicom's decoder says of them.

    Raises `Unread` for a colour that the decoder did not convert.
    """
    photometric = dataset.PhotometricInterpretation
    if photometric == "PALETTE COLOR":
        return _palette(stored, dataset)
    if about["photometric_interpretation"] not in (*_GREY, "RGB"):
        raise Unread(f"{about['photometric_interpretation']} is not converted to RGB")
    scaled = _scaled(stored, dataset)
    return 255 - scaled if photometric == "MONOCHROME1" else scaled


def _palette(stored: NDArray[Any], dataset: Dataset) -> Pixels:
    coloured = apply_color_lut(stored, dataset)
    if coloured.dtype == np.uint8:
        return coloured
    return (coloured >> 8).astype(np.uint8)


def _scaled(stored: NDArray[Any], dataset: Dataset) -> Pixels:
    bits = int(dataset.get("BitsStored") or dataset.BitsAllocated)
    if bits == 8 and stored.dtype == np.uint8:
        return np.asarray(stored, dtype=np.uint8)
    window = _window(dataset) if dataset.PhotometricInterpretation in _GREY else None
    if window is not None:
        centre, width = window
        slope, intercept = float(dataset.get("RescaleSlope") or 1), float(dataset.get("RescaleIntercept") or 0)
        unit = (stored * slope + intercept - (centre - 0.5)) / (width - 1) + 0.5
    else:
        low = -(1 << bits - 1) if dataset.get("PixelRepresentation") == 1 else 0
        unit = (stored.astype(np.float64) - low) / ((1 << bits) - 1)
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

"""Part 10 bytes to frames of 8-bit RGB or grey pixels, or the reason why not; nothing raises.

The tiles of a tiled image become one frame: its total pixel matrix.

Sizes are checked against the header before a decoder sees the data, because decoders allocate what the header claims.
How stored values become 0..255 is told once for the service and for training, in `derm_networks.stored_pixels`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pydicom import Dataset
from pydicom.pixels.decoders.base import get_decoder

from derm_networks.stored_pixels import (
    DECODERS,
    BurnedIn,
    ForeignColour,
    NoPixelData,
    Pixels,
    Unread,
    check_colour,
    check_header,
    check_pixel_data,
    converted,
    decode,
)
from derm_pacs.domain.findings import Refusal
from derm_pacs.domain.reasons import (
    BURNED_IN,
    EMPTY_PIXELS,
    IMAGE_TOO_LARGE,
    TOO_MANY_FRAMES,
    UNDECODABLE,
    WRONG_COLOUR,
    Reason,
)
from derm_pacs.inference.header import ImageHeader, InflatesTooFar, NoSize, measure, read
from derm_pacs.inference.outcomes import refusal
from derm_pacs.inference.tiles import assembled, corners

__all__ = ["Frame", "Pixels", "Undecoded", "frames", "size_limit"]

_HEADER_BYTES = 16 * 1024 * 1024  # what a deflated data set may hold beside its pixels
_TILES_TO_MATRIX = 4  # tiles reach over the edge of a matrix at most to its fourfold where it is larger than one tile

_REASONS: Mapping[type[Unread], Reason] = MappingProxyType(
    {BurnedIn: BURNED_IN, NoPixelData: EMPTY_PIXELS, ForeignColour: WRONG_COLOUR, Unread: UNDECODABLE}
)


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
        check_header(dataset)
        check_pixel_data(dataset)
        header = measure(dataset)
        check_colour(header.photometric)
    except InflatesTooFar as error:
        return refusal(IMAGE_TOO_LARGE, str(error))
    except NoSize as error:
        return refusal(UNDECODABLE, str(error))
    except Unread as error:
        return refusal(_REASONS[type(error)], str(error))
    except Exception as error:  # noqa: BLE001 pydicom raises every kind on broken files, with texts that quote values
        return refusal(UNDECODABLE, f"the header cannot be read: {type(error).__name__}")
    return size_limit(header, max_pixels=max_pixels, max_frames=max_frames) or (dataset, header)


def _frame(dataset: Dataset, header: ImageHeader, index: int) -> Pixels | Refusal:
    try:
        return decode(dataset, index)
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
        return assembled((converted(*one, dataset) for one in stored), places, header)
    except MemoryError:
        return refusal(IMAGE_TOO_LARGE, f"no memory to decode {header.columns} x {header.rows} pixels")
    except Exception as error:  # noqa: BLE001
        return refusal(UNDECODABLE, f"tiled image: {type(error).__name__}: {error}")

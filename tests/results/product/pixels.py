"""Pictures drawn here, stored in every colour and coding that a codec can make (PS3.3 C.7.6.3, PS3.5 section 8)."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import convert_color_space
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from derm_pacs.domain.findings import Mask
from tests.results.product.axes import Colour, Compression

Samples = NDArray[np.uint8] | NDArray[np.uint16]

SYNTAX: dict[Compression, UID] = {
    Compression.NONE: ExplicitVRLittleEndian, Compression.RLE: RLELossless, Compression.JPEG: JPEGBaseline8Bit,
    Compression.JPEG_LS: JPEGLSLossless, Compression.JPEG_2000: JPEG2000Lossless,
}  # fmt: skip
_ENCODER = {Compression.RLE: "pylibjpeg", Compression.JPEG_LS: "pyjpegls", Compression.JPEG_2000: "pylibjpeg"}
_SKIN, _BROWN = (224, 178, 158), (112, 70, 52)
_LEVELS = 64  # colours of the palette


def lesion(rows: int, columns: int, frame: int = 1) -> Mask:
    """An ellipse with a ragged edge, another in each frame."""
    row, column = np.mgrid[:rows, :columns]
    middle = (0.5 * rows, (0.4 + 0.05 * frame) * columns)
    angle = np.arctan2(row - middle[0], column - middle[1])
    radius = np.hypot((row - middle[0]) / (0.3 * rows), (column - middle[1]) / (0.24 * columns))
    inside: Mask = radius < 1 + 0.08 * np.sin(7 * angle)
    return inside


def picture(rows: int, columns: int, frame: int) -> NDArray[np.uint8]:
    """Skin with a brown lesion and grain: (rows, columns, 3) RGB."""
    mask = lesion(rows, columns, frame)
    grain = np.random.default_rng(frame).normal(0, 5, (rows, columns, 1))
    return np.clip(np.where(mask[..., None], _BROWN, _SKIN) + grain, 0, 255).astype(np.uint8)


def store(image: Dataset, pictures: list[NDArray[np.uint8]], colour: Colour, compression: Compression) -> None:
    """Put the pictures into the data set in a colour and a coding, with the attributes of the pixel module."""
    stored = [_in_colour(one, colour) for one in pictures]
    image.Rows, image.Columns = pictures[0].shape[:2]
    image.SamplesPerPixel = 1 if stored[0].ndim == 2 else 3
    image.PhotometricInterpretation = colour.photometric
    image.BitsAllocated = image.BitsStored = 8 * stored[0].itemsize
    image.HighBit, image.PixelRepresentation = image.BitsStored - 1, 0
    if image.SamplesPerPixel == 3:
        image.PlanarConfiguration = 0
    if colour is Colour.PALETTE:
        _add_palette(image)
    image.LossyImageCompression = "00"
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if compression is Compression.JPEG:
        _store_jpeg(image, stored, pictures, colour)
        return
    value = b"".join(_halved(one) if colour is Colour.YBR_FULL_422 else one.tobytes() for one in stored)
    image.PixelData = value + b"\0" * (len(value) % 2)
    image["PixelData"].VR = "OW" if image.BitsAllocated > 8 else "OB"
    if compression is not Compression.NONE:
        image.compress(SYNTAX[compression], encoding_plugin=_ENCODER[compression], generate_instance_uid=False)
        image.file_meta.TransferSyntaxUID = SYNTAX[compression]


def _in_colour(rgb: NDArray[np.uint8], colour: Colour) -> Samples:
    grey = np.asarray(Image.fromarray(rgb).convert("L"))
    match colour:
        case Colour.RGB | Colour.YBR_RCT:  # the coder of JPEG 2000 transforms RGB itself
            return rgb
        case Colour.YBR_FULL | Colour.YBR_FULL_422:
            return np.asarray(convert_color_space(rgb, "RGB", "YBR_FULL"))
        case Colour.MONOCHROME1:
            return 255 - grey
        case Colour.MONOCHROME2:
            return grey
        case Colour.PALETTE:
            dark, light = (np.dot(end, (0.299, 0.587, 0.114)) for end in (_BROWN, _SKIN))
            return np.asarray(np.clip((grey - dark) / (light - dark), 0, 1) * (_LEVELS - 1), np.uint8)
        case Colour.GREY_16:
            return grey.astype(np.uint16) * 257


def _halved(ybr: Samples) -> bytes:
    """Return two luminances and one pair of chrominances for every two pixels of a row (PS3.3 C.7.6.3.1.2)."""
    pairs = ybr.reshape(-1, 2, 3)
    return np.stack([pairs[:, 0, 0], pairs[:, 1, 0], pairs[:, 0, 1], pairs[:, 0, 2]], axis=-1).tobytes()


def _add_palette(image: Dataset) -> None:
    """Brown to skin in `_LEVELS` entries of 16 bits (PS3.3 C.7.6.3.1.5)."""
    for name, dark, light in zip(("Red", "Green", "Blue"), _BROWN, _SKIN, strict=True):
        setattr(image, f"{name}PaletteColorLookupTableDescriptor", [_LEVELS, 0, 16])
        entries = np.linspace(dark, light, _LEVELS) * 257
        setattr(image, f"{name}PaletteColorLookupTableData", entries.astype("<u2").tobytes())


def _store_jpeg(image: Dataset, stored: list[Samples], pictures: list[NDArray[np.uint8]], colour: Colour) -> None:
    frames = []
    for one, rgb in zip(stored, pictures, strict=True):
        with io.BytesIO() as buffer:
            if colour.is_grey:
                Image.fromarray(one).save(buffer, "JPEG", quality=95)
            else:  # the coder makes Y, Cb, Cr of RGB itself; 2 halves chrominance along the rows
                halves = 1 if colour is Colour.YBR_FULL_422 else 0
                Image.fromarray(rgb).save(buffer, "JPEG", quality=95, subsampling=halves, keep_rgb=colour is Colour.RGB)
            frames.append(buffer.getvalue())
    image.PixelData = encapsulate(frames)
    image["PixelData"].VR, image["PixelData"].is_undefined_length = "OB", True
    image.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    image.LossyImageCompression = "01"
    image.LossyImageCompressionRatio = f"{sum(one.nbytes for one in stored) / sum(map(len, frames)):.2f}"
    image.LossyImageCompressionMethod = "ISO_10918_1"

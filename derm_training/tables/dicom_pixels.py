"""The pixels of one DICOM file as the service sees them: read by its rule, refused where it refuses."""

from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from derm_networks.stored_pixels import Unread, check_colour, check_header, check_pixel_data, decode

HEAD = (
    "SOPInstanceUID", "PatientID", "NumberOfFrames", "Rows", "Columns", "Manufacturer", "ManufacturerModelName", "BurnedInAnnotation",
    "PhotometricInterpretation", "TotalPixelMatrixRows", "TotalPixelMatrixColumns",
)  # fmt: skip
"""What of a header is looked at before the pixels are."""


def is_dicom(file: Path) -> bool:
    """Whether the file begins as part 10, section 7.1, says: 128 bytes, then DICM."""
    with file.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def read_head(file: Path) -> Dataset:
    """Return the attributes of `HEAD`; for a broken file pydicom raises what it likes."""
    return pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(HEAD))


def dicom_size(file: Path) -> tuple[int, int]:
    """Return width and height; raises ValueError naming the file where it says none."""
    try:
        head = read_head(file)
        return int(head.Columns), int(head.Rows)
    except Exception as wrong:  # pydicom raises every kind on broken files
        raise ValueError(f"{file}: Rows (0028,0010) and Columns (0028,0011) cannot be read; take its line out") from wrong


def why_not(head: Dataset) -> str:
    """Return why an image with this header takes no part, empty where it does: what the service refuses, and more than one picture."""
    if "Rows" not in head:
        return "without pixels"
    if int(head.get("NumberOfFrames") or 1) > 1:
        return "of several frames"
    if any(head.get(f"TotalPixelMatrix{side}", head.get(side)) != head.get(side) for side in ("Rows", "Columns")):
        return "that are a tile of a larger picture"
    try:
        check_header(head)
        check_colour(str(head.get("PhotometricInterpretation", "")))
    except Unread as refused:
        return f"that the service refuses as well ({refused})"
    return ""


def read_dicom_rgb(file: Path) -> NDArray[np.uint8]:
    """Return (height, width, 3) uint8 of the only frame, grey in three equal channels.

    Raises ValueError naming the file and why it is not read: what the service refuses, several frames, broken pixels.
    """
    try:
        dataset = pydicom.dcmread(file)
        if reason := why_not(dataset):
            raise Unread(reason)
        check_pixel_data(dataset)
        pixels = decode(dataset, 0)
    except Unread as refused:
        raise ValueError(f"{file} is among the images that are not read: {refused}; take its line out, or export the image anew from its source") from refused
    except Exception as wrong:  # decoders of several makers raise whatever they like
        raise ValueError(f"{file}: its pixels cannot be read ({type(wrong).__name__}); convert it to an uncompressed syntax") from wrong
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels

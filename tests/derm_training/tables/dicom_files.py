"""DICOM files of a few pixels, written for tests of tables and of their pixels."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, VLPhotographicImageStorage, generate_uid


def dicom(file: Path, pixels: NDArray[np.generic], photometric: str = "RGB", **more: object) -> str:
    """Write pixels (rows, columns[, 3]) and return the SOP Instance UID."""
    made = Dataset()
    made.SOPClassUID = VLPhotographicImageStorage
    made.SOPInstanceUID = generate_uid()
    made.Rows, made.Columns = pixels.shape[:2]
    made.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    if pixels.ndim == 3:
        made.PlanarConfiguration = 0
    made.PhotometricInterpretation = photometric
    made.BitsAllocated = made.BitsStored = 8 * pixels.dtype.itemsize
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = 0
    made.PixelData = pixels.tobytes()
    for name, value in more.items():
        setattr(made, name, value)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(file, enforce_file_format=True)
    return str(made.SOPInstanceUID)

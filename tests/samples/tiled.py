"""Synthetic tiled confocal images (Confocal Microscopy Tiled Pyramidal Image, PS3.3 A.88), cut from drawn pixels."""

import io
from collections.abc import Collection
from typing import Any

import numpy as np
import pydicom
from highdicom.utils import compute_plane_position_tiled_full
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from derm_pacs.domain.tiling import CONFOCAL_TILED, Tiling

STUDY = "1.2.826.0.1.3680043.10.999.1"
ORIENTATION = (0.0, -1.0, 0.0, -1.0, 0.0, 0.0)
ORIGIN = (20.0, 40.0)
SPACING = (0.002, 0.001)


def tiled(
    pixels: NDArray[np.uint8], tile: tuple[int, int], *, full: bool = True, missing: Collection[int] = (),
    syntax: UID = ExplicitVRLittleEndian, **attributes: Any,
) -> Dataset:
    """Cut (rows, columns[, 3]) pixels into tiles of (rows, columns), TILED_FULL or TILED_SPARSE without the `missing`.

    Sparse tiles are stored last first. `attributes` replace attributes of the data set; None deletes.
    """
    tiling = Tiling(rows=pixels.shape[0], columns=pixels.shape[1], tile_rows=tile[0], tile_columns=tile[1])
    order = range(tiling.count) if full else [n for n in reversed(range(tiling.count)) if n not in missing]
    image = _header(pixels, tiling, full=full)
    image.NumberOfFrames = len(order)
    if not full:
        image.PerFrameFunctionalGroupsSequence = [_placed(tiling, index) for index in order]
    stored = np.stack([_tile(pixels, tiling, index) for index in order])
    image.PixelData = stored.tobytes() + b"\0" * (stored.size % 2)
    for keyword, value in attributes.items():
        if value is None:
            del image[keyword]
        else:
            setattr(image, keyword, value)
    if syntax != ExplicitVRLittleEndian:
        image.compress(syntax, generate_instance_uid=False)
    return image


def part10(image: Dataset) -> bytes:
    """Return the data set as a file."""
    with io.BytesIO() as buffer:
        pydicom.dcmwrite(buffer, image, enforce_file_format=True)
        return buffer.getvalue()


def _tile(pixels: NDArray[np.uint8], tiling: Tiling, index: int) -> NDArray[np.uint8]:
    """Return one tile; what reaches over the edge is 200, so that it is seen where it does not belong."""
    row, column = tiling.corner(index)
    tile = np.full((tiling.tile_rows, tiling.tile_columns, *pixels.shape[2:]), 200, dtype=np.uint8)
    part = pixels[row : row + tiling.tile_rows, column : column + tiling.tile_columns]
    tile[: part.shape[0], : part.shape[1]] = part
    return tile


def _placed(tiling: Tiling, index: int) -> Dataset:
    row, column = tiling.corner(index)
    groups, content = Dataset(), Dataset()
    content.DimensionIndexValues = [row // tiling.tile_rows + 1, column // tiling.tile_columns + 1]
    groups.FrameContentSequence = [content]
    groups.PlanePositionSlideSequence = compute_plane_position_tiled_full(
        row // tiling.tile_rows + 1, column // tiling.tile_columns + 1, *ORIGIN, tiling.tile_rows, tiling.tile_columns,
        ORIENTATION, SPACING,
    )  # fmt: skip
    return groups


def _header(pixels: NDArray[np.uint8], tiling: Tiling, *, full: bool) -> Dataset:
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SpecificCharacterSet = "ISO_IR 192"
    image.SOPClassUID, image.SOPInstanceUID = CONFOCAL_TILED, f"{STUDY}.7.1"
    image.StudyInstanceUID, image.SeriesInstanceUID = STUDY, f"{STUDY}.5"
    image.PatientName, image.PatientID, image.PatientBirthDate, image.PatientSex = "Muster^Erika", "P-1", "19700101", "F"
    image.StudyDate, image.StudyTime, image.StudyID, image.AccessionNumber = "20261120", "093000", "S1", "A1"
    image.ReferringPhysicianName = "Doctor^Some"
    image.Modality, image.SeriesNumber, image.InstanceNumber = "CFM", 1, 1
    image.Manufacturer, image.SeriesDescription = "Drawn", "SYNTHETIC confocal mosaic"
    image.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    image.LossyImageCompression = "00"
    coloured = pixels.ndim == 3
    image.SamplesPerPixel = 3 if coloured else 1
    image.PhotometricInterpretation = "RGB" if coloured else "MONOCHROME2"
    if coloured:
        image.PlanarConfiguration = 0
    image.Rows, image.Columns = tiling.tile_rows, tiling.tile_columns
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit, image.PixelRepresentation = 7, 0
    image.FrameOfReferenceUID, image.PositionReferenceIndicator = f"{STUDY}.9", "SLIDE_CORNER"
    image.TotalPixelMatrixRows, image.TotalPixelMatrixColumns = tiling.rows, tiling.columns
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = ORIGIN
    image.TotalPixelMatrixOriginSequence = [origin]
    image.ImageOrientationSlide = list(ORIENTATION)
    image.DimensionOrganizationType = "TILED_FULL" if full else "TILED_SPARSE"
    measures, shared = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = list(SPACING), 0.005
    shared.PixelMeasuresSequence = [measures]
    image.SharedFunctionalGroupsSequence = [shared]
    return image

"""Synthetic sources as Part 10 files: one for each combination of the product. All drawn here, none a person's."""

import hashlib
import io
import warnings
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset

from tests.results.product import pixels
from tests.results.product.axes import (
    CONFOCAL,
    MULTI_FRAME_CAPTURES,
    PIXEL,
    Combination,
    Frames,
    Name,
    Site,
    SopClass,
    Spacing,
    Type2,
)
from tests.results.product.names import NAMES

ROWS, COLUMNS = 44, 60
TILE_ROWS, TILE_COLUMNS = 32, 40  # the last tiles of row and column reach beyond the matrix
MODALITY = {
    SopClass.DERMOSCOPIC: "DMS", SopClass.PHOTOGRAPHIC: "XC", SopClass.CONFOCAL: "CFM", SopClass.TILED: "CFM",
}  # fmt: skip

_TYPE_2 = (
    "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName",
    "PatientID", "PatientName",
)  # fmt: skip


def uid(*parts: object) -> str:
    """Return a UID that follows from the parts."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16])}"


def dataset(combination: Combination) -> Dataset:
    """Return the source of a combination as a data set."""
    image = _of_patient_and_study(combination)
    image.SOPClassUID, image.SOPInstanceUID = combination.sop_class.value, uid("image", combination)
    image.StudyInstanceUID, image.SeriesInstanceUID = uid("study", combination), uid("series", combination)
    image.Modality = MODALITY.get(combination.sop_class, "OT")
    image.SeriesNumber, image.InstanceNumber = 1, 1
    image.Manufacturer, image.ManufacturerModelName = "Drawn", "no camera"
    image.DeviceSerialNumber, image.SoftwareVersions = "1", "1"
    image.ImageType = ["ORIGINAL", "PRIMARY"]
    image.PatientOrientation = ""
    image.BurnedInAnnotation = "NO"
    _add_class(image, combination)
    pixels.store(image, _pictures(combination), combination.colour, combination.compression)
    _add_spacing(image, combination)
    if combination.site is Site.NAMED:
        _add_site(image, combination)
    return image


def part10(combination: Combination) -> bytes:
    """Return the source as a file."""
    with warnings.catch_warnings(), io.BytesIO() as buffer:
        warnings.simplefilter("ignore")  # illegal values are the point
        pydicom.dcmwrite(buffer, dataset(combination), enforce_file_format=True)
        return buffer.getvalue()


def frame_count(combination: Combination) -> int:
    """Return how many frames are analysed: tiles are one picture."""
    return 1 if combination.sop_class is SopClass.TILED else combination.frames.value


def _of_patient_and_study(combination: Combination) -> Dataset:
    image, name = Dataset(), NAMES[combination.name]
    image.file_meta = FileMetaDataset()
    if name.character_set is not None:
        image.SpecificCharacterSet = name.character_set
    image.PatientName, image.PatientID = name.patient, name.identifier
    image.PatientBirthDate, image.PatientSex = "19700101", "F"
    image.StudyDate, image.StudyTime = "20261120", "093000"
    image.StudyID, image.AccessionNumber, image.ReferringPhysicianName = "S1", "A1", name.words
    image.StudyDescription = image.InstitutionName = image.PatientComments = name.words
    image.SeriesDescription = f"SYNTHETIC {name.words}"
    # the name is an axis of its own, so it goes only where it says nothing
    emptied = _TYPE_2 if combination.name is Name.PLAIN else _TYPE_2[:-2]
    for keyword in emptied if combination.type2 is not Type2.FILLED else ():
        if combination.type2 is Type2.MISSING:
            delattr(image, keyword)
        else:
            setattr(image, keyword, "")
    return image


def _pictures(combination: Combination) -> list[NDArray[np.uint8]]:
    if combination.sop_class is SopClass.TILED and combination.frames is Frames.SEVERAL:
        whole = np.zeros((2 * TILE_ROWS, 2 * TILE_COLUMNS, 3), np.uint8)
        whole[:ROWS, :COLUMNS] = pixels.picture(ROWS, COLUMNS, 1)
        return [
            np.ascontiguousarray(whole[row : row + TILE_ROWS, column : column + TILE_COLUMNS])
            for row in (0, TILE_ROWS) for column in (0, TILE_COLUMNS)
        ]  # fmt: skip
    return [pixels.picture(ROWS, COLUMNS, frame) for frame in range(1, combination.frames.value + 1)]


def _add_class(image: Dataset, combination: Combination) -> None:
    sop_class = combination.sop_class
    if combination.frames is Frames.SEVERAL or sop_class in (*MULTI_FRAME_CAPTURES, *CONFOCAL):
        image.NumberOfFrames = len(_pictures(combination))
    match sop_class:
        case SopClass.DERMOSCOPIC:
            image.RecognizableVisualFeatures = "NO"
            image.LightSourcePolarization = image.ContactMethod = ""
            image.EmitterColorTemperature = image.OpticalMagnificationFactor = None
            image.AcquisitionContextSequence = []
        case SopClass.PHOTOGRAPHIC:
            image.AcquisitionContextSequence = []
        case SopClass.CONFOCAL | SopClass.TILED:
            _add_confocal(image, combination)
        case _:
            image.ConversionType = "DI"
            if sop_class in MULTI_FRAME_CAPTURES:
                if combination.frames is Frames.SEVERAL:
                    image.FrameIncrementPointer, image.FrameTime = 0x00181063, 40
                if combination.colour.photometric == "MONOCHROME2":
                    image.PresentationLUTShape = "IDENTITY"
                    image.RescaleSlope, image.RescaleIntercept, image.RescaleType = 1, 0, "US"


def _add_confocal(image: Dataset, combination: Combination) -> None:
    image.AcquisitionContextSequence = []
    image.FrameOfReferenceUID = uid("frame of reference", combination)
    image.PositionReferenceIndicator = ""
    image.ConfocalMode, image.TissueLocation = "REFLECTANCE", "IN_VIVO"
    orientation, shared = Dataset(), Dataset()
    orientation.ImageOrientationPatient = [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]
    shared.PlaneOrientationSequence = [orientation]
    image.SharedFunctionalGroupsSequence = [shared]
    if combination.sop_class is SopClass.TILED:
        image.TotalPixelMatrixRows, image.TotalPixelMatrixColumns = ROWS, COLUMNS
        image.DimensionOrganizationType = "TILED_FULL"
        image.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
        image.ImageOrientationSlide = [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]
        origin = Dataset()
        origin.XOffsetInSlideCoordinateSystem = origin.YOffsetInSlideCoordinateSystem = 1.0
        image.TotalPixelMatrixOriginSequence = [origin]
        return
    image.PerFrameFunctionalGroupsSequence = []
    for depth in range(combination.frames.value):
        position, groups = Dataset(), Dataset()
        position.ImagePositionPatient = [0.0, 0.0, 0.005 * depth]
        groups.PlanePositionSequence = [position]
        image.PerFrameFunctionalGroupsSequence.append(groups)


def _add_spacing(image: Dataset, combination: Combination) -> None:
    if combination.spacing is Spacing.ABSENT:
        return
    true = PIXEL.get(combination.spacing)
    if true and combination.sop_class in CONFOCAL:
        measures = Dataset()
        measures.PixelSpacing, measures.SliceThickness = list(true), 0.005
        image.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = [measures]
        return
    image.PixelSpacing = list(true or (0.3, 0.3))
    if true:
        image.PixelSpacingCalibrationType, image.PixelSpacingCalibrationDescription = "FIDUCIAL", "ruler"


def _add_site(image: Dataset, combination: Combination) -> None:
    image.AnatomicRegionSequence = [_code("66643007", "Skin of back")]
    image.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [_code("7771000", "Left")]
    image.ImageLaterality = "L"
    image.TrackingUID = uid("lesion", combination)
    image.TrackingID = NAMES[combination.name].words


def _code(value: str, meaning: str) -> Any:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item

"""Wraps a photograph into a DICOM instance of the class that a dermatoscope or camera would send.

Dermoscopic Photography (PS3.3 A.32.11, C.8.12.13), VL Photographic (A.32.4) and, for confocal pictures, Secondary
Capture (A.8). A baseline JPEG is encapsulated as it is, everything else is stored uncompressed.
"""

import hashlib
import io
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DermoscopicPhotographyImageStorage,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    SecondaryCaptureImageStorage,
    VLPhotographicImageStorage,
)

from derm_networks.upright import plain
from derm_pacs.domain.errors import Rejected
from derm_pacs.domain.identifiers import derived_uid
from derm_pacs.domain.reasons import UNDECODABLE, WRONG_COLOUR
from derm_pacs.samples import jpeg

_ORIENTATION = 0x0112  # EXIF tag


class Kind(StrEnum):
    """What a photograph shows."""

    DERMOSCOPIC = "dermoscopic"
    CLINICAL = "clinical"
    CONFOCAL = "confocal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A coded concept."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """A lesion that a device knows again at the next visit."""

    uid: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """Whose picture it is, of which study and when; empty text means unknown."""

    patient_id: str
    patient_name: str
    study_uid: str
    study_description: str
    series_description: str
    at: datetime
    """When the study was made, aware; its offset goes into TimezoneOffsetFromUTC."""
    birth_date: str = ""
    sex: str = ""
    series_number: int = 1
    site: Code | None = None
    """Anatomic region."""
    laterality: str = ""
    """L or R where the region is one of a pair."""
    lesion: Tracked | None = None
    """The lesion, where the device tracks it."""
    pixel_millimetres: float | None = None
    """Side of a pixel at the skin, where that is known."""
    synthetic: bool = False
    """Whether the picture is drawn and not taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """What goes into the pixel data element."""

    rows: int
    columns: int
    photometric: str
    value: bytes
    """Encapsulated, or rows of uncompressed samples."""
    transfer_syntax: UID
    lossy_ratio: float | None
    """Uncompressed by compressed size where a JPEG stood behind it, None where nothing is known of a loss."""


def wrap(image: Path, kind: Kind, label: Label) -> Dataset:
    """Wrap a JPEG or PNG file; the same file, kind and label give the same instance.

    Raises `Rejected` with a sentence for what is no such file, DICOM included: that can be sent as it is.
    """
    data = image.read_bytes()
    return wrap_bytes(data, kind, label)


def wrap_bytes(data: bytes, kind: Kind, label: Label) -> Dataset:
    """Do what `wrap` does with the bytes of a file."""
    if data[128:132] == b"DICM":
        raise Rejected(UNDECODABLE, "this is a DICOM file already: send it as it is")
    pixels = _pixels(data)
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = _CLASS[kind]
    ds.StudyInstanceUID = label.study_uid
    ds.SeriesInstanceUID = derived_uid(("series", label.study_uid, kind, str(label.series_number)))
    ds.SOPInstanceUID = derived_uid(("instance", ds.SeriesInstanceUID, label.patient_id, hashlib.sha256(data).hexdigest()))
    _add_patient_and_study(ds, label)
    _add_series_and_equipment(ds, kind, label)
    _add_image(ds, pixels, label)
    if kind is Kind.DERMOSCOPIC:
        _add_dermoscopic(ds, label)
    if kind is Kind.CONFOCAL:
        ds.ConversionType = "SYN" if label.synthetic else "WSD"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pixels.transfer_syntax
    return ds


def part10(ds: Dataset) -> bytes:
    """Return the data set as a DICOM file."""
    buffer = io.BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


_CLASS = {
    Kind.DERMOSCOPIC: DermoscopicPhotographyImageStorage,
    Kind.CLINICAL: VLPhotographicImageStorage,
    Kind.CONFOCAL: SecondaryCaptureImageStorage,
}
_MODALITY = {Kind.DERMOSCOPIC: "DMS", Kind.CLINICAL: "XC", Kind.CONFOCAL: "CFM"}


def _pixels(data: bytes) -> Pixels:
    stream = jpeg.read(data) if jpeg.is_jpeg(data) else None
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as picture:
            turned = picture.getexif().get(_ORIENTATION, 1) != 1
            picture.load()  # a stream that nobody can decode is refused here and not in the PACS
            upright = ImageOps.exif_transpose(picture)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        raise Rejected(UNDECODABLE, "neither a JPEG nor a PNG that can be decoded") from error
    if stream is not None and stream.baseline and not turned:
        channels = 1 if stream.colour is jpeg.Colour.GREY else 3
        return Pixels(
            rows=stream.rows, columns=stream.columns, photometric=stream.colour, value=encapsulate([stream.data]),
            transfer_syntax=JPEGBaseline8Bit, lossy_ratio=stream.rows * stream.columns * channels / len(stream.data),
        )  # fmt: skip
    try:
        samples = np.asarray(plain(upright))
    except ValueError as lost:
        raise Rejected(WRONG_COLOUR, f"the picture {lost}") from lost
    ratio = None if stream is None else samples.size / len(stream.data)
    value = samples.tobytes()
    return Pixels(
        rows=samples.shape[0], columns=samples.shape[1], photometric="MONOCHROME2" if samples.ndim == 2 else "RGB",
        value=value + b"\x00" * (len(value) % 2), transfer_syntax=ExplicitVRLittleEndian, lossy_ratio=ratio,
    )  # fmt: skip


def _add_patient_and_study(ds: Dataset, label: Label) -> None:
    ds.PatientName, ds.PatientID = label.patient_name, label.patient_id
    ds.PatientBirthDate, ds.PatientSex = label.birth_date, label.sex
    ds.StudyDate, ds.StudyTime = label.at.strftime("%Y%m%d"), label.at.strftime("%H%M%S")
    ds.TimezoneOffsetFromUTC = label.at.strftime("%z")
    ds.ReferringPhysicianName = ds.AccessionNumber = ""
    ds.StudyID = "1"
    ds.StudyDescription = label.study_description


def _add_series_and_equipment(ds: Dataset, kind: Kind, label: Label) -> None:
    ds.Modality = _MODALITY[kind]
    ds.SeriesNumber = label.series_number
    ds.SeriesDescription = label.series_description
    if label.laterality:
        ds.Laterality = label.laterality
    ds.SeriesDate, ds.SeriesTime = ds.StudyDate, ds.StudyTime
    # Whoever took a foreign picture is not known; enhanced equipment (type 1) is said to be unknown in words.
    ds.Manufacturer = "SYNTHETIC" if label.synthetic else "UNKNOWN"
    ds.ManufacturerModelName = "drawn, no camera" if label.synthetic else "UNKNOWN"
    ds.DeviceSerialNumber = "NONE" if label.synthetic else "UNKNOWN"
    ds.SoftwareVersions = "derm-pacs wrap"


def _add_image(ds: Dataset, pixels: Pixels, label: Label) -> None:
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.InstanceNumber = 1
    ds.PatientOrientation = ""
    ds.ContentDate, ds.ContentTime = ds.StudyDate, ds.StudyTime
    if ds.SOPClassUID != SecondaryCaptureImageStorage:
        ds.AcquisitionContextSequence = []
    if label.synthetic:
        ds.BurnedInAnnotation = "NO"
    if label.site is not None:
        region = Dataset()
        region.CodeValue, region.CodingSchemeDesignator = label.site.value, label.site.scheme
        region.CodeMeaning = label.site.meaning
        ds.AnatomicRegionSequence = [region]
    if label.pixel_millimetres is not None:
        ds.PixelSpacing = [label.pixel_millimetres, label.pixel_millimetres]
        ds.PixelSpacingCalibrationType = "GEOMETRY"  # of the optics: a bare Pixel Spacing would say nothing of the skin
        ds.PixelSpacingCalibrationDescription = "known distance"
    ds.Rows, ds.Columns = pixels.rows, pixels.columns
    ds.PhotometricInterpretation = pixels.photometric
    ds.SamplesPerPixel = 1 if pixels.photometric == "MONOCHROME2" else 3
    if ds.SamplesPerPixel == 3:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.LossyImageCompression = "00" if label.synthetic else ""
    if pixels.lossy_ratio is not None:
        ds.LossyImageCompression = "01"
        ds.LossyImageCompressionRatio = f"{pixels.lossy_ratio:.2f}"
        ds.LossyImageCompressionMethod = "ISO_10918_1"
    ds.PixelData = pixels.value
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = pixels.transfer_syntax.is_encapsulated


def _add_dermoscopic(ds: Dataset, label: Label) -> None:
    # Type 1: nobody has looked whether a foreign picture shows a face or a fingerprint, so it may.
    ds.RecognizableVisualFeatures = "NO" if label.synthetic else "YES"
    ds.LightSourcePolarization = "NON_POLARIZED" if label.synthetic else ""
    ds.EmitterColorTemperature = None
    ds.ContactMethod = "CONTACT" if label.synthetic else ""
    if label.synthetic:
        ds.ImmersionMedia = "ULTRASOUND_GEL"
    ds.OpticalMagnificationFactor = None
    if label.lesion is not None:
        ds.TrackingUID, ds.TrackingID = label.lesion.uid, label.lesion.name

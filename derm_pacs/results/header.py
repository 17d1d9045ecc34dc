"""What all our objects have in common: what highdicom is shown of the source, and how an object is finished.

highdicom is shown a stand-in: it refuses real senders' values that it does not like (an unknown sex, an illegal
date) and logs names, so the patient and study attributes are put in afterwards, as the source has them.
"""

import hashlib
import io
from collections.abc import Sequence
from typing import TypedDict

import pydicom
from pydicom import DataElement, Dataset, FileMetaDataset
from pydicom.config import RAISE
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as DicomSequence
from pydicom.valuerep import validate_value

from derm_pacs.domain.codes import Code
from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.marks import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, MANUFACTURER, PURPOSE
from derm_pacs.results.coded import concept
from derm_pacs.results.identity import PRODUCT_VERSION, Naming
from derm_pacs.results.source import TYPE_2, SourceImage

_EQUIPMENT = ("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions", "StationName")
_LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
_OURS = "derm-pacs result composer"


def stand_in(image: SourceImage, sop_class_uid: str | None = None) -> Dataset:
    """Return what highdicom is shown of a source image: one frame without geometry, patient and study left empty."""
    shown = Dataset()
    shown.SOPClassUID = sop_class_uid or image.sop_class_uid
    shown.SOPInstanceUID = image.uid
    shown.SeriesInstanceUID = image.series_uid
    shown.StudyInstanceUID = image.study_uid
    shown.Modality = image.modality
    shown.Rows, shown.Columns = image.rows, image.columns
    shown.SpecificCharacterSet = "ISO_IR 192"
    for keyword in TYPE_2:
        setattr(shown, keyword, "")
    shown.update(lossy(image))
    return shown


def lossy(image: SourceImage) -> Dataset:
    """Return what the source says of lossy compression, as far as it is legal; what was lost stays lost in our objects."""
    told = Dataset()
    for keyword in _LOSSY:
        # Empty says that nothing is known (type 2 in photographs), which is no legal word where the attribute is type 1.
        if keyword in image.dataset and not image.dataset[keyword].is_empty and _is_legal(image.dataset[keyword]):
            setattr(told, keyword, image.dataset[keyword].value)
    return told


class Equipment(TypedDict):
    """The equipment arguments of highdicom's constructors."""

    manufacturer: str
    manufacturer_model_name: str
    software_versions: str
    device_serial_number: str


def ours(naming: Naming) -> Equipment:
    """Return the equipment arguments of every object of ours (PS3.3 C.7.5.2: all four are of Type 1 in a SEG)."""
    return {
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": _OURS,
        "software_versions": PRODUCT_VERSION,
        "device_serial_number": naming.identity.installation_uid,
    }


def finish(
    document: Dataset, form: Form, naming: Naming, images: Sequence[SourceImage], bundles: Sequence[str]
) -> Composed:
    """Put in what the source says of patient and study, date everything from the case, and write the Part 10 file.

    `images` are those that the object is about; the first gives patient and study. `bundles` name what took part. The
    document's own File Meta Information says the transfer syntax that it is written in.
    """
    for element in images[0].copied_elements():
        document[element.tag] = element
    document.SpecificCharacterSet = "ISO_IR 192"
    document.TimezoneOffsetFromUTC = naming.offset
    for stem in ("InstanceCreation", "Content", "Series"):
        setattr(document, f"{stem}Date", naming.date)
        setattr(document, f"{stem}Time", naming.time)
    document.ContributingEquipmentSequence = _equipment(images[0], document, naming, bundles)
    document.file_meta = _file_meta(document)
    with io.BytesIO() as buffer:
        pydicom.dcmwrite(buffer, document, enforce_file_format=True)
        data = buffer.getvalue()
    return Composed(
        form=form,
        sop_class_uid=str(document.SOPClassUID),
        sop_instance_uid=str(document.SOPInstanceUID),
        series_instance_uid=str(document.SeriesInstanceUID),
        transfer_syntax_uid=str(document.file_meta.TransferSyntaxUID),
        sha256=hashlib.sha256(data).hexdigest(),
        about=tuple(image.uid for image in images),
        data=data,
    )


def _file_meta(document: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = document.SOPClassUID
    meta.MediaStorageSOPInstanceUID = document.SOPInstanceUID
    meta.TransferSyntaxUID = document.file_meta.TransferSyntaxUID
    meta.ImplementationClassUID = pydicom.uid.UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return meta


def _equipment(image: SourceImage, document: Dataset, naming: Naming, bundles: Sequence[str]) -> DicomSequence:
    """Return who contributed: the camera as the source names it, highdicom, and ourselves with the bundles."""
    now = f"{naming.date}{naming.time}{naming.offset}"
    items: list[Dataset] = []
    if image.dataset.get("Manufacturer"):
        camera = _purpose("109101", "DCM", "Acquisition Equipment")
        for keyword in _EQUIPMENT:
            if image.dataset.get(keyword) and _is_legal(image.dataset[keyword]):
                setattr(camera, keyword, image.dataset[keyword].value)
        camera.ContributionDescription = "Acquisition equipment of the source image"
        items.append(camera)
    for item in document.get("ContributingEquipmentSequence") or []:
        item.ContributionDateTime = now
        items.append(item)
    own = _purpose(*PURPOSE)
    own.Manufacturer = MANUFACTURER
    own.ManufacturerModelName = _OURS
    own.SoftwareVersions = PRODUCT_VERSION
    own.DeviceSerialNumber = naming.identity.installation_uid
    own.ContributionDateTime = now
    own.ContributionDescription = ("AI result, research use: " + ", ".join(bundles))[:1024]
    items.append(own)
    return DicomSequence(items)


def _is_legal(element: DataElement) -> bool:
    """Say whether the sender's value may stand in an element of ours."""
    values = element.value if isinstance(element.value, MultiValue) else [element.value]
    try:
        for value in values:
            validate_value(element.VR, str(value), RAISE)
    except ValueError:
        return False
    return True


def _purpose(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [
        concept(Code(name="purpose", value=value, scheme=scheme, meaning=meaning, source="P"))
    ]
    return item

"""The printed report as an Encapsulated PDF (PS3.3 A.45.1), for viewers and archives that show documents."""

from collections.abc import Mapping
from copy import deepcopy

from pydicom import Dataset, FileMetaDataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.findings import Preview
from derm_pacs.results.arrange import Arrangement
from derm_pacs.results.coded import concept
from derm_pacs.results.header import finish, ours
from derm_pacs.results.identity import Naming
from derm_pacs.results.pdf_report import TITLE, render
from derm_pacs.results.picture_words import HONESTY


def compose(arrangement: Arrangement, naming: Naming, previews: Mapping[tuple[str, int], Preview]) -> Composed:
    """Make the report of a case; there is always one, also when it only says why nothing was analysed."""
    about = [image.uid for image in arrangement.images]
    document = Dataset()
    document.SOPClassUID = EncapsulatedPDFStorage
    document.SOPInstanceUID = naming.instance_uid(Form.PDF, about, 0)
    document.StudyInstanceUID = arrangement.images[0].study_uid
    document.SeriesInstanceUID = naming.series_uid(Form.PDF, about, 0)
    document.SeriesNumber = naming.series_number(Form.PDF, 0)
    document.SeriesDescription = naming.series_description(Form.PDF)
    document.InstanceNumber = 1
    document.Modality = "DOC"
    equipment = ours(naming)
    document.Manufacturer = equipment["manufacturer"]
    document.ManufacturerModelName = equipment["manufacturer_model_name"]
    document.SoftwareVersions = equipment["software_versions"]
    document.DeviceSerialNumber = equipment["device_serial_number"]
    document.ConversionType = "WSD"
    document.BurnedInAnnotation = "YES"
    document.RecognizableVisualFeatures = "NO"
    document.AcquisitionDateTime = ""
    document.DocumentTitle = f"{TITLE}. {HONESTY}"
    document.ConceptNameCodeSequence = [concept("imaging_report")]
    document.VerificationFlag = "UNVERIFIED"
    document.MIMETypeOfEncapsulatedDocument = "application/pdf"
    document.SourceInstanceSequence = [_reference(image.sop_class_uid, image.uid) for image in arrangement.images]
    first = arrangement.images[0].dataset
    if "RequestAttributesSequence" in first:
        document.RequestAttributesSequence = deepcopy(first.RequestAttributesSequence)
    file = render(arrangement, naming, previews)
    document.EncapsulatedDocumentLength = len(file)
    document.EncapsulatedDocument = file + b"\0" * (len(file) % 2)
    document.file_meta = FileMetaDataset()
    document.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    bundles = [f"{run.bundle.name} {run.bundle.version}" for run in arrangement.runs]
    return finish(document, Form.PDF, naming, arrangement.images, bundles)


def _reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    return item

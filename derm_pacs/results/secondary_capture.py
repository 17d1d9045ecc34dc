"""The picture as a Secondary Capture: the one form that every viewer shows (PS3.3 A.8.1).

One picture a frame, one series a picture. Modality is the source's: for OT, viewers lay a cine bar over the image.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy

from pydicom import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, SecondaryCaptureImageStorage

from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.findings import Preview
from derm_pacs.results.arrange import Arrangement, Frame
from derm_pacs.results.coded import concept
from derm_pacs.results.header import finish, ours, stand_in
from derm_pacs.results.identity import Naming
from derm_pacs.results.picture import Picture, draw
from derm_pacs.results.picture_card import Card
from derm_pacs.results.picture_words import HONESTY, algorithm, card, runs_of
from derm_pacs.results.source import SourceImage

PHOTOGRAPH = "XC"
"""Modality of a picture whose source names none that viewers draw as an image."""
_MOST_WORDS = 10000
"""Of Image Comments, an LT of at most 10240 characters."""
_MOST_DERIVATION = 1024
_LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")


def compose(
    arrangement: Arrangement, naming: Naming, previews: Mapping[tuple[str, int], Preview]
) -> Iterator[Composed]:
    """Make the picture of each frame that is told, also where it only says why the frame was not analysed."""
    for ordinal, frame in enumerate(arrangement.frames):
        shown = card_of(frame, arrangement, naming, previews)
        document = _document(frame, naming, ordinal, shown)
        _put_pixels(document, draw(shown), naming)
        bundles = [f"{run.bundle.name} {run.bundle.version}" for run in runs_of(frame)]
        yield finish(document, Form.PICTURE, naming, [frame.image], bundles)


def card_of(
    frame: Frame, arrangement: Arrangement, naming: Naming, previews: Mapping[tuple[str, int], Preview]
) -> Card:
    """Return what the picture of a frame shows."""
    return card(frame, arrangement, previews.get((frame.image.uid, frame.number)), naming.identity.revision)


def words_of(shown: Card) -> str:
    """Return the words of a picture as its Image Comments hold them, for who cannot see it and for our own last look."""
    return "\n".join(" ".join(word.split()) for word in shown.words() if word)[:_MOST_WORDS].rstrip()


def modality(image: SourceImage) -> str:
    """Return the modality of a picture."""
    return PHOTOGRAPH if image.modality in ("", "OT") else image.modality


def laterality(image: SourceImage) -> str:
    """Return L or R where the image says which side it shows, else nothing, which says that it is not known (PS3.3 C.7.3.1)."""
    if image.site is not None and image.site.laterality is not None:
        return image.site.laterality.meaning[:1].upper()
    said = str(image.dataset.get("ImageLaterality") or image.dataset.get("Laterality") or "")
    return said if said in ("L", "R") else ""


def _document(frame: Frame, naming: Naming, ordinal: int, shown: Card) -> Dataset:
    about = [frame.image.uid]
    document = Dataset()
    document.SOPClassUID = SecondaryCaptureImageStorage
    document.SOPInstanceUID = naming.instance_uid(Form.PICTURE, about, frame.number)
    document.StudyInstanceUID = frame.image.study_uid
    document.SeriesInstanceUID = naming.series_uid(Form.PICTURE, about, frame.number)
    document.SeriesNumber = naming.series_number(Form.PICTURE, ordinal)
    document.SeriesDescription = naming.series_description(Form.PICTURE, frame.lesion.number)
    document.InstanceNumber = 1
    document.Modality = modality(frame.image)
    document.Laterality = laterality(frame.image)
    document.PatientOrientation = ""
    equipment = ours(naming)
    document.Manufacturer = equipment["manufacturer"]
    document.ManufacturerModelName = equipment["manufacturer_model_name"]
    document.SoftwareVersions = equipment["software_versions"]
    document.DeviceSerialNumber = equipment["device_serial_number"]
    document.ConversionType = "WSD"
    document.ImageType = ["DERIVED", "SECONDARY", "AI_RESULT"]
    document.BurnedInAnnotation = "YES"
    document.RecognizableVisualFeatures = "NO"
    made_by = "; ".join(algorithm(run) for run in runs_of(frame)) or "no algorithm"
    document.DerivationDescription = f"{HONESTY}. Drawn over a reduced copy of the source image by {made_by}"[:_MOST_DERIVATION]
    document.ImageComments = words_of(shown)
    document.SourceImageSequence = [_source(frame)]
    lossy = stand_in(frame.image)
    for keyword in _LOSSY:
        if keyword in lossy:
            setattr(document, keyword, lossy[keyword].value)
    if "RequestAttributesSequence" in frame.image.dataset:
        document.RequestAttributesSequence = deepcopy(frame.image.dataset.RequestAttributesSequence)
    return document


def _source(frame: Frame) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = frame.image.sop_class_uid
    item.ReferencedSOPInstanceUID = frame.image.uid
    if frame.reference:
        item.ReferencedFrameNumber = frame.number
    item.PurposeOfReferenceCodeSequence = [concept("source_for_processing")]
    return item


def _put_pixels(document: Dataset, picture: Picture, naming: Naming) -> None:
    """Put the pixels in, RLE compressed where the destination takes it and it is smaller."""
    document.Rows, document.Columns = picture.shape[:2]
    document.SamplesPerPixel, document.PhotometricInterpretation, document.PlanarConfiguration = 3, "RGB", 0
    document.BitsAllocated = document.BitsStored = 8
    document.HighBit, document.PixelRepresentation = 7, 0
    document.file_meta = FileMetaDataset()
    if Form.PICTURE in naming.edition.rle:
        document.file_meta.TransferSyntaxUID = RLELossless
        document.compress(RLELossless, picture, encoding_plugin="pylibjpeg", generate_instance_uid=False)
        if len(document.PixelData) < picture.nbytes:
            return
    document.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    document.PlanarConfiguration = 0
    document.PixelData = picture.tobytes()
    document["PixelData"].VR = "OB"
    document["PixelData"].is_undefined_length = False

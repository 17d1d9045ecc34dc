"""SEG of an image: one segment for each region that a bundle found, one frame for each source frame in which it did.

All frames of a multi-frame image are in one object, since viewers list objects, and a stack of confocal images would
give dozens. Each frame names the source frame that it was derived from, which is what viewers go by: OHIF 3.13.2 draws
each on its own. Of a tiled image the mask of the total pixel matrix is cut into tiles of the image's own size, and those
that are empty are left out.

A label map gives each pixel one label, and our regions overlap (the lesion lies within the skin, two bundles outline
one lesion); so that no mask is cut, each segment has a label map of its own.

The objects are written attribute by attribute: highdicom refuses frames of images without plane positions, and what it
writes of time, equipment and identifiers at random would have to be written again. Its descriptions of segments are
used, and tests read with it what is written here.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

from pydicom import Dataset

from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.edition import SegKind
from derm_pacs.domain.findings import Run
from derm_pacs.results.arrange import Arrangement, Frame
from derm_pacs.results.header import finish, lossy, ours
from derm_pacs.results.identity import Naming
from derm_pacs.results.seg_frames import StoredFrame, put_frames, stored_frames
from derm_pacs.results.seg_pixels import MAXIMUM, put_pixels
from derm_pacs.results.seg_segments import Segment, background, description, overlap, segments
from derm_pacs.results.source import SourceImage

RegionKey = tuple[str, int, int]
"""SOP Instance UID of the image, frame (1-based), place of the region in `Frame.found` (from 0)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegPlace:
    """Where a region's mask is."""

    seg: Composed
    frames: tuple[int, ...]
    """Frames of the SEG (1-based) that hold it; several only where the image is tiled."""
    segment: int
    """Number of its segment."""


def compose(arrangement: Arrangement, naming: Naming) -> tuple[tuple[Composed, ...], Mapping[RegionKey, SegPlace]]:
    """Make the SEGs of all images on which something was found, and say where each region's mask is."""
    objects: list[Composed] = []
    places: dict[RegionKey, SegPlace] = {}
    for image in arrangement.images:
        found = segments([frame for frame in arrangement.frames if frame.image.uid == image.uid])
        together = [(one,) for one in found] if naming.edition.seg is SegKind.LABELMAP else [found]
        for share in together:
            if share:
                stored = stored_frames(share, image.tiling)
                made = _seg(image, share, stored, naming, len(objects))
                objects.append(made)
                places |= _places(stored, made)
    return tuple(objects), places


def _places(stored: Sequence[StoredFrame], seg: Composed) -> dict[RegionKey, SegPlace]:
    frames: dict[tuple[RegionKey, int], list[int]] = {}
    for number, one in enumerate(stored, 1):
        frame = one.found.frame
        frames.setdefault(((frame.image.uid, frame.number, one.found.index), one.segment), []).append(number)
    return {
        key: SegPlace(seg=seg, frames=tuple(numbers), segment=segment) for (key, segment), numbers in frames.items()
    }


def _seg(
    image: SourceImage, share: Sequence[Segment], stored: Sequence[StoredFrame], naming: Naming, ordinal: int
) -> Composed:
    """Make one object; `ordinal` counts the revision's SEGs from 0."""
    edition = naming.edition
    about = [image.uid, *(share[0].key if edition.seg is SegKind.LABELMAP else ())]
    document = _document(image, about, naming, ordinal, share[0].found[0].frame)
    document.SegmentSequence = [description(one, number) for number, one in enumerate(share, 1)]
    document.SegmentationType = edition.seg.value.upper()
    document.SegmentsOverlap = "YES" if overlap(share) else "NO"
    if edition.seg is SegKind.FRACTIONAL:
        document.SegmentationFractionalType = "PROBABILITY"
        document.MaximumFractionalValue = MAXIMUM
    if edition.seg is SegKind.LABELMAP:
        document.PixelPaddingValue = 0
        document.SegmentSequence.insert(0, background())
    uid = naming.dimension_organization_uid(document.SOPInstanceUID)
    put_frames(document, image, stored, edition.seg, edition.seg_geometry, uid)
    put_pixels(document, [one.tile for one in stored], edition.seg, rle=Form.SEG in edition.rle)
    bundles = sorted({f"{one.bundle.name} {one.bundle.version}" for one in _runs(share)})
    return finish(document, Form.SEG, naming, [image], bundles)


def _runs(share: Sequence[Segment]) -> list[Run]:
    return [found.region.run for one in share for found in one.found]


def _document(image: SourceImage, about: Sequence[str], naming: Naming, ordinal: int, frame: Frame) -> Dataset:
    """Return the object without its segments, frames and pixels; patient, study and times are put in by `finish`."""
    document = Dataset()
    document.SOPClassUID = naming.edition.sop_class(Form.SEG)
    document.SOPInstanceUID = naming.instance_uid(Form.SEG, about, 0)
    document.Modality = "SEG"
    document.SeriesInstanceUID = naming.series_uid(Form.SEG, about, 0)
    document.SeriesNumber = naming.series_number(Form.SEG, ordinal)
    document.SeriesDescription = naming.series_description(Form.SEG, frame.lesion.number)
    equipment = ours(naming)
    document.Manufacturer, document.ManufacturerModelName = equipment["manufacturer"], equipment["manufacturer_model_name"]
    document.SoftwareVersions = equipment["software_versions"]
    document.DeviceSerialNumber = equipment["device_serial_number"]
    document.ImageType = ["DERIVED", "PRIMARY"]
    document.InstanceNumber = 1
    document.PatientOrientation = ""
    document.ContentLabel, document.ContentDescription, document.ContentCreatorName = "AI_OUTLINE", "", ""
    document.LossyImageCompression = "00"
    document.update(lossy(image))
    _name_source(document, image)
    if "RequestAttributesSequence" in image.dataset:
        document.RequestAttributesSequence = deepcopy(image.dataset.RequestAttributesSequence)
    return document


def _name_source(document: Dataset, image: SourceImage) -> None:
    """Write the common instance reference; each frame names its source frame itself."""
    instance, series = Dataset(), Dataset()
    instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID = image.sop_class_uid, image.uid
    series.SeriesInstanceUID = image.series_uid
    series.ReferencedInstanceSequence = [instance]
    document.ReferencedSeriesSequence = [series]

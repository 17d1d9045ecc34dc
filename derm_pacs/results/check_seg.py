"""The last look at SEGs: masks, segments, references and geometry, read from the bytes and held against the findings."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from derm_pacs.domain.codes import code
from derm_pacs.domain.composed import Form
from derm_pacs.domain.edition import Edition, SegGeometry, SegKind
from derm_pacs.domain.identifiers import is_legal_uid
from derm_pacs.results.arrange import SKIN, Arrangement, Frame, Region
from derm_pacs.results.seg_readback import StoredMask, Unreadable, masks
from derm_pacs.results.source import SourceImage
from derm_pacs.results.spacing import functional_group

RegionKey = tuple[str, int, int]
"""SOP Instance UID of the image, frame (1-based), place of the region in `Frame.found` (from 0)."""

SegReference = tuple[str, int]
"""SOP Instance UID of a SEG and the number by which a report names a mask in it: of its frame, or of its segment where the
image is tiled."""

Plane = tuple[Sequence[float] | None, ...]
"""Spacing, orientation and position; None where it is not said."""

_PLANE = (
    ("PixelMeasuresSequence", "PixelSpacing", "spacing"),
    ("PlaneOrientationSequence", "ImageOrientationPatient", "orientation"),
    ("PlanePositionSequence", "ImagePositionPatient", "position"),
)
_ANY_SLIDE = (0.0, -1.0, 0.0, -1.0, 0.0, 0.0)
_TOLERANCE = 1e-9


def seg_faults(segs: Sequence[Dataset], arrangement: Arrangement, edition: Edition) -> Iterator[str]:
    """Yield what is wrong with the SEGs of a composition: too few, too many, or others than the findings and edition say."""
    try:
        stored = [(seg, masks(seg)) for seg in segs]
    except Unreadable as error:
        yield f"a SEG cannot be read: {error}"
        return
    images = {image.uid: image for image in arrangement.images}
    for seg, held in stored:
        about = {one.image_uid for one in held}
        if len(about) != 1 or not about <= set(images):
            yield "a SEG is not about one image of the study"
            return
        image = images[about.pop()]
        yield from _kind_faults(seg, edition)
        yield from _reference_faults(seg, image)
        yield from _geometry_faults(seg, image, edition)
    yield from _mask_faults([one for _, held in stored for one in held], arrangement)


def places(segs: Mapping[str, Dataset], arrangement: Arrangement) -> Mapping[RegionKey, SegReference]:
    """Return where the mask of each found region is, read from SEGs (by SOP Instance UID) that have no faults."""
    found: dict[RegionKey, SegReference] = {}
    for uid, seg in segs.items():
        tiled = "TotalPixelMatrixRows" in seg
        for one in masks(seg):
            for key, _, region in _regions(arrangement):
                if key[:2] == (one.image_uid, one.frame) and key not in found and _is_of(one, region):
                    found[key] = (uid, int(one.segment.SegmentNumber) if tiled else one.numbers[0])
                    break
    return found


def _regions(arrangement: Arrangement) -> Iterator[tuple[RegionKey, Frame, Region]]:
    for frame in arrangement.frames:
        for index, region in enumerate(frame.found):
            yield (frame.image.uid, frame.number, index), frame, region


def _is_of(one: StoredMask, region: Region) -> bool:
    """Say whether a stored mask is this region's: the same bundle, the same kind of region, the same pixels."""
    bundle = region.run.bundle
    algorithm = _first(one.segment, "SegmentationAlgorithmIdentificationSequence")
    kind = _first(one.segment, "SegmentedPropertyTypeCodeSequence")
    wanted = code(region.segmentation.concept)
    parameters = algorithm.get("AlgorithmParameters", "")
    return (
        (algorithm.get("AlgorithmName"), algorithm.get("AlgorithmVersion")) == (bundle.name, bundle.version)
        and bundle.content_hash in parameters
        and repr(region.segmentation.threshold) in parameters
        and (kind.get("CodeValue"), kind.get("CodingSchemeDesignator")) == (wanted.value, wanted.scheme)
        and np.array_equal(one.mask, region.segmentation.mask)
    )


def _mask_faults(stored: Sequence[StoredMask], arrangement: Arrangement) -> Iterator[str]:
    left = list(stored)
    for (uid, number, _), frame, region in _regions(arrangement):
        own = [one for one in left if (one.image_uid, one.frame) == (uid, number) and _is_of(one, region)]
        if not own:
            yield f"no segment holds the mask {region.segmentation.output} of {uid} frame {number}"
            continue
        left.remove(own[0])
        yield from _segment_faults(own[0].segment, frame, region)
    for one in left:
        yield f"segment {one.segment.get('SegmentNumber')} holds a mask that nobody found on {one.image_uid} frame {one.frame}"


def _segment_faults(segment: Dataset, frame: Frame, region: Region) -> Iterator[str]:
    is_skin = region.segmentation.concept == SKIN
    label = code(region.segmentation.concept).meaning if is_skin else frame.lesion.label
    category = code("anatomical_structure" if is_skin else "abnormal_structure")
    site = frame.image.site
    said = {
        "label": (segment.get("SegmentLabel"), label),
        "category": (_code(segment, "SegmentedPropertyCategoryCodeSequence"), (category.value, category.scheme)),
        "algorithm type": (segment.get("SegmentAlgorithmType"), "AUTOMATIC"),
        "tracking": ((segment.get("TrackingUID"), segment.get("TrackingID")), frame.tracking(region)),
        "anatomic region": (
            _code(segment, "AnatomicRegionSequence"), (site.region.value, site.region.scheme) if site else None,
        ),
        "side": (
            _code(_first(segment, "AnatomicRegionSequence"), "AnatomicRegionModifierSequence"),
            (site.laterality.value, site.laterality.scheme) if site and site.laterality else None,
        ),
        "colour": (len(segment.get("RecommendedDisplayCIELabValue") or ()), 3),
    }  # fmt: skip
    for what, (stored, wanted) in said.items():
        if stored != wanted:
            yield f"the {what} of the segment {label} of {frame.image.uid} is not the finding's"


def _kind_faults(seg: Dataset, edition: Edition) -> Iterator[str]:
    """Check type, depth, numbering and transfer syntax."""
    if seg.SegmentationType != edition.seg.value.upper():
        yield f"a SEG is {seg.SegmentationType}, not {edition.seg}"
    bits = 1 if edition.seg is SegKind.BINARY else 8
    if (seg.BitsAllocated, seg.BitsStored, seg.HighBit, seg.SamplesPerPixel) != (bits, bits, bits - 1, 1):
        yield "a SEG has another depth than its kind"
    if edition.seg is SegKind.FRACTIONAL and seg.get("SegmentationFractionalType") != "PROBABILITY":
        yield "a fractional SEG does not say PROBABILITY"
    first = 0 if edition.seg is SegKind.LABELMAP else 1
    numbers = [int(item.SegmentNumber) for item in seg.SegmentSequence]
    if numbers != list(range(first, first + len(numbers))):
        yield "the segments of a SEG are not numbered one by one"
    syntax = seg.file_meta.TransferSyntaxUID
    native = int(seg.NumberOfFrames) * seg.Rows * seg.Columns
    encoded = Form.SEG in edition.rle and edition.seg is not SegKind.BINARY
    if syntax == RLELossless and not (encoded and len(seg.PixelData) < native):
        yield "a SEG is run-length encoded where it may not be, or gains nothing by it"
    elif syntax not in (RLELossless, ExplicitVRLittleEndian):
        yield "a SEG is in a transfer syntax that it may not have"


def _reference_faults(seg: Dataset, image: SourceImage) -> Iterator[str]:
    """Check that every frame names its one image, whose frame exists, and why."""
    named = (image.sop_class_uid, image.uid)
    for groups in seg.PerFrameFunctionalGroupsSequence:
        derivation = groups.DerivationImageSequence[0]
        if _code(derivation, "DerivationCodeSequence") != _row("segmentation"):
            yield "a frame does not say that it is a segmentation"
        for item in derivation.SourceImageSequence:
            if (item.get("ReferencedSOPClassUID"), item.get("ReferencedSOPInstanceUID")) != named:
                yield "a frame is derived from another image, or names another class"
            if _code(item, "PurposeOfReferenceCodeSequence") != _row("source_for_processing"):
                yield "a frame does not say what its source was for"
            number = item.get("ReferencedFrameNumber")
            if image.stored_frames == 1 and number is not None:
                yield "a frame of an image is named that has but one"
            if image.stored_frames > 1 and not 1 <= int(number or (image.tiling is not None)) <= image.stored_frames:
                yield "a frame names no frame of its image that exists"
        if image.tiling:
            yield from _tile_faults(groups, image)
    series = [(one.SeriesInstanceUID, [item.ReferencedSOPInstanceUID for item in one.ReferencedInstanceSequence])
              for one in seg.get("ReferencedSeriesSequence") or []]  # fmt: skip
    if series != [(image.series_uid, [image.uid])]:
        yield "the Referenced Series Sequence is not the image's"


def _tile_faults(groups: Dataset, image: SourceImage) -> Iterator[str]:
    """Check that a tile names just those tiles of the image that it covers."""
    position = groups.PlanePositionSlideSequence[0]
    row = int(position.RowPositionInTotalImagePixelMatrix) - 1
    column = int(position.ColumnPositionInTotalImagePixelMatrix) - 1
    rows, columns = int(image.dataset.Rows), int(image.dataset.Columns)
    covered = [
        number for number, (top, left) in enumerate(image.corners, 1)
        if abs(top - row) < rows and abs(left - column) < columns
    ]  # fmt: skip
    named = [item.get("ReferencedFrameNumber") for item in groups.DerivationImageSequence[0].SourceImageSequence]
    if image.stored_frames > 1 and [one for one in named if one is not None] != covered:
        yield "a tile names other tiles of its image than it covers"


def _geometry_faults(seg: Dataset, image: SourceImage, edition: Edition) -> Iterator[str]:
    """Check that what is known is the image's, and that what is not known is what the edition says."""
    sources = [one.DerivationImageSequence[0].SourceImageSequence[0] for one in seg.PerFrameFunctionalGroupsSequence]
    numbers = [1 if image.tiling else int(one.get("ReferencedFrameNumber") or 1) for one in sources]
    uid = str(image.dataset.get("FrameOfReferenceUID") or "")
    placed = is_legal_uid(uid) and (image.tiling is not None or all(_own(image, number) for number in numbers))
    if (seg.get("FrameOfReferenceUID") or "") != (uid if placed else ""):
        yield "the Frame of Reference is not the image's"
    for stored, number in enumerate(numbers, 1):
        own = _own(image, number) if placed and image.tiling is None else None
        for fault in _plane_faults(seg, stored, own or _partly(image, number, edition)):
            yield f"frame {stored}: {fault}"
    if image.tiling is not None:
        if (seg.TotalPixelMatrixRows, seg.TotalPixelMatrixColumns) != (image.rows, image.columns):
            yield "the total pixel matrix is not the image's"
        if not _near(_values(seg, "ImageOrientationSlide"), _values(image.dataset, "ImageOrientationSlide") or _ANY_SLIDE):
            yield "the orientation on the slide is not the image's"


def _plane_faults(seg: Dataset, stored: int, wanted: Plane) -> Iterator[str]:
    for (sequence, keyword, what), value in zip(_PLANE, wanted, strict=True):
        if not _near(_values(functional_group(seg, stored, sequence), keyword), value):
            yield f"the {what} is neither the image's nor what stands for none"


def _own(image: SourceImage, number: int) -> Plane | None:
    """Return spacing, orientation and position of a frame where the image says all three."""
    plane = tuple(
        _values(functional_group(image.dataset, number, sequence) or image.dataset, keyword) for sequence, keyword, _ in _PLANE
    )
    return plane if all(plane) else None


def _partly(image: SourceImage, number: int, edition: Edition) -> Plane:
    """Return what stands for a plane that the image does not say whole."""
    true, stands = image.spacing(number), edition.seg_geometry is SegGeometry.PLACEHOLDER
    said = _values(functional_group(image.dataset, number, "PlaneOrientationSequence"), "ImageOrientationPatient")
    spacing = [true.row, true.column] if true else [1.0, 1.0] if stands else None
    orientation = said or ([1, 0, 0, 0, 1, 0] if stands else None)
    return spacing, orientation, None


def _near(stored: Sequence[float] | None, wanted: Sequence[float] | None) -> bool:
    if stored is None or wanted is None:
        return stored is wanted
    return len(stored) == len(wanted) and bool(np.allclose(stored, wanted, rtol=_TOLERANCE, atol=_TOLERANCE))


def _values(item: Dataset | None, keyword: str) -> list[float] | None:
    value = item.get(keyword) if item is not None else None
    return [float(one) for one in value] if value else None


def _first(item: Dataset, keyword: str) -> Dataset:
    items = item.get(keyword)
    first: Dataset = items[0] if items else Dataset()
    return first


def _code(item: Dataset, keyword: str) -> tuple[str, str] | None:
    one = _first(item, keyword)
    return (str(one.CodeValue), str(one.CodingSchemeDesignator)) if "CodeValue" in one else None


def _row(name: str) -> tuple[str, str]:
    row = code(name)
    return row.value, row.scheme

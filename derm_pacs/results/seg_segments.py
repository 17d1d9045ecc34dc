"""The segments of a SEG: what was found in which frames, and how DICOM describes it (PS3.3 C.8.20.2, TID 4019)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
from pydicom import Dataset

from derm_pacs.domain.codes import code
from derm_pacs.domain.findings import Mask
from derm_pacs.results.arrange import SKIN, Frame, Region
from derm_pacs.results.coded import concept

_LESION_COLOUR = CIELabColor(60.0, 75.0, 45.0)
_SKIN_COLOUR = CIELabColor(75.0, -45.0, 40.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """A region in a frame."""

    frame: Frame
    index: int
    """Place of the region in `Frame.found`, from 0."""

    @property
    def region(self) -> Region:
        """The region itself."""
        return self.frame.found[self.index]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segment:
    """What one output of one bundle found in the frames of one image."""

    key: tuple[str, ...]
    """What tells it from the image's other segments."""
    found: tuple[Found, ...]
    """In the order of frames, at least one."""


def segments(frames: Sequence[Frame]) -> tuple[Segment, ...]:
    """Return the segments of the frames of one image, in the order in which they are first told."""
    found: dict[tuple[str, ...], list[Found]] = {}
    for frame in frames:
        seen: Counter[tuple[str, ...]] = Counter()
        for index, region in enumerate(frame.found):
            said = (region.run.bundle.content_hash, region.segmentation.output, region.segmentation.concept)
            found.setdefault((*said, str(seen[said])), []).append(Found(frame=frame, index=index))
            seen[said] += 1
    return tuple(Segment(key=key, found=tuple(own)) for key, own in found.items())


def overlap(together: Sequence[Segment]) -> bool:
    """Say whether two of the segments hold one pixel of one frame."""
    taken: dict[int, Mask] = {}
    for segment in together:
        for found in segment.found:
            mask, before = found.region.segmentation.mask, taken.get(found.frame.number)
            if before is not None and bool((before & mask).any()):
                return True
            taken[found.frame.number] = mask if before is None else before | mask
    return False


def description(segment: Segment, number: int) -> SegmentDescription:
    """Describe a segment under a number."""
    frame, region = segment.found[0].frame, segment.found[0].region
    bundle = region.run.bundle
    is_skin = region.segmentation.concept == SKIN
    tracking_uid, tracking_id = frame.tracking(region)
    site = frame.image.site
    item = SegmentDescription(
        segment_number=number,
        segment_label=code(region.segmentation.concept).meaning if is_skin else frame.lesion.label,
        segmented_property_category=concept("anatomical_structure" if is_skin else "abnormal_structure"),
        segmented_property_type=concept(region.segmentation.concept),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=bundle.name,
            version=bundle.version,
            family=concept("artificial_intelligence"),
            parameters={"sha256": bundle.content_hash, "threshold": repr(region.segmentation.threshold)},
        ),
        tracking_uid=tracking_uid,
        tracking_id=tracking_id,
        anatomic_regions=[concept(site.region)] if site else None,
        display_color=_SKIN_COLOUR if is_skin else _LESION_COLOUR,
    )
    if site and site.laterality:
        item.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [concept(site.laterality)]
    return item


def background() -> Dataset:
    """Describe what a label map holds where there is no segment: number 0, as highdicom does."""
    item = SegmentDescription(
        segment_number=1,
        segment_label="Background",
        segmented_property_category=concept("background"),
        segmented_property_type=concept("background"),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name="none", version="none", family=concept("artificial_intelligence")
        ),
        display_color=CIELabColor(0.0, 0.0, 0.0),
    )
    item.SegmentNumber = 0
    del item.SegmentationAlgorithmIdentificationSequence
    return item

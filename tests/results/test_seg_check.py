"""The last look at segmentation objects: each thing that can be wrong is noticed, by itself."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import JPEG2000Lossless, RLELossless

from derm_pacs.domain.composed import Form
from derm_pacs.domain.edition import SegGeometry, SegKind
from derm_pacs.domain.errors import Defect
from derm_pacs.domain.findings import CaseFindings
from derm_pacs.results import source as source_image
from derm_pacs.results.arrange import Arrangement, arrange
from derm_pacs.results.check_seg import places, seg_faults
from derm_pacs.results.seg_readback import Unreadable, masks
from tests.results.seg_cases import PlacedSource, TiledSource, seg_edition, segs_of, usual_case

pytestmark = pytest.mark.server  # computes for long: each test composes whole studies

Spoil = Callable[[Dataset], None]


def arranged(kit: Any, case: CaseFindings, source: Any) -> Arrangement:
    return arrange(case, {source.uid: source_image.read(source.part10)}, kit.identity().installation_uid)


def faults(kit: Any, source: Any, spoil: Spoil, kind: SegKind = SegKind.BINARY, **other: Any) -> list[str]:
    """What is said of the first SEG once it is spoilt; before that nothing is said."""
    edition = seg_edition(kind, **other)
    case = usual_case(source)
    segs = segs_of(kit.composed(case, source, edition=edition))
    arrangement = arranged(kit, case, source)
    assert list(seg_faults(segs, arrangement, edition)) == []
    spoil(segs[0])
    return list(seg_faults(segs, arrangement, edition))


def flip_a_pixel(seg: Dataset) -> None:
    pixels = bytearray(seg.PixelData)
    pixels[len(pixels) // 2] ^= 1 if seg.BitsAllocated == 1 else 0xFF
    seg.PixelData = bytes(pixels)


def swap_segments(seg: Dataset) -> None:
    for groups in seg.PerFrameFunctionalGroupsSequence:
        item = groups.SegmentIdentificationSequence[0]
        item.ReferencedSegmentNumber = 3 - item.ReferencedSegmentNumber


def lose_a_frame(seg: Dataset) -> None:
    seg.PerFrameFunctionalGroupsSequence = list(seg.PerFrameFunctionalGroupsSequence)[:-1]


def cut_pixels(seg: Dataset) -> None:
    seg.PixelData = seg.PixelData[:-2]


def of_segment(keyword: str, value: Any) -> Spoil:
    return lambda seg: setattr(seg.SegmentSequence[0], keyword, value)


def of_object(keyword: str, value: Any) -> Spoil:
    return lambda seg: setattr(seg, keyword, value)


def of_source(keyword: str, value: Any) -> Spoil:
    def spoil(seg: Dataset) -> None:
        item = seg.PerFrameFunctionalGroupsSequence[-1].DerivationImageSequence[0].SourceImageSequence[0]
        setattr(item, keyword, value)

    return spoil


def of_code(sequence: str, value: str) -> Spoil:
    return lambda seg: setattr(seg.SegmentSequence[0][sequence].value[0], "CodeValue", value)


def of_algorithm(keyword: str, value: Any) -> Spoil:
    return lambda seg: setattr(seg.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0], keyword, value)


def of_shared(sequence: str, keyword: str, value: Any) -> Spoil:
    return lambda seg: setattr(seg.SharedFunctionalGroupsSequence[0][sequence].value[0], keyword, value)


def of_place(sequence: str, keyword: str, value: Any) -> Spoil:
    return lambda seg: setattr(seg.PerFrameFunctionalGroupsSequence[0][sequence].value[0], keyword, value)


def without_derivation_code(seg: Dataset) -> None:
    seg.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].DerivationCodeSequence[0].CodeValue = "113040"


def without_purpose(seg: Dataset) -> None:
    item = seg.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
    del item.PurposeOfReferenceCodeSequence


def in_another_syntax(seg: Dataset) -> None:
    seg.file_meta.TransferSyntaxUID = JPEG2000Lossless


def without_positions(seg: Dataset) -> None:
    for groups in seg.PerFrameFunctionalGroupsSequence:
        del groups.PlanePositionSequence


def without_shared_geometry(seg: Dataset) -> None:
    seg.SharedFunctionalGroupsSequence = [Dataset()]


SPOILT: list[tuple[str, Spoil, str]] = [
    ("a pixel", flip_a_pixel, "no segment holds the mask"),
    ("segments", swap_segments, "no segment holds the mask"),
    ("a frame lost", lose_a_frame, "cannot be read"),
    ("pixels cut off", cut_pixels, "cannot be read"),
    ("more frames said", of_object("NumberOfFrames", 3), "cannot be read"),
    ("label", of_segment("SegmentLabel", "Lesion 2"), "label"),
    ("category", of_code("SegmentedPropertyCategoryCodeSequence", "91723000"), "category"),
    ("kind of region", of_code("SegmentedPropertyTypeCodeSequence", "52988006"), "no segment holds the mask"),
    ("algorithm's type", of_segment("SegmentAlgorithmType", "MANUAL"), "algorithm type"),
    ("tracking", of_segment("TrackingUID", "1.2.3"), "tracking"),
    ("tracking identifier", of_segment("TrackingID", "mole"), "tracking"),
    ("site", of_code("AnatomicRegionSequence", "43067004"), "anatomic region"),
    ("side", lambda seg: delattr(seg.SegmentSequence[0].AnatomicRegionSequence[0], "AnatomicRegionModifierSequence"), "side"),
    ("colour", of_segment("RecommendedDisplayCIELabValue", None), "colour"),
    ("algorithm", of_algorithm("AlgorithmName", "another"), "no segment holds the mask"),
    ("version", of_algorithm("AlgorithmVersion", "2"), "no segment holds the mask"),
    ("hash", of_algorithm("AlgorithmParameters", "threshold=0.5"), "no segment holds the mask"),
    ("threshold", of_algorithm("AlgorithmParameters", "a" * 64), "no segment holds the mask"),
    ("numbering", of_segment("SegmentNumber", 3), "cannot be read"),
    ("type", of_object("SegmentationType", "FRACTIONAL"), "cannot be read"),
    ("depth", of_object("HighBit", 7), "another depth"),
    ("syntax", in_another_syntax, "transfer syntax"),
    ("run lengths", lambda seg: setattr(seg.file_meta, "TransferSyntaxUID", RLELossless), "run-length encoded"),
    ("source", of_source("ReferencedSOPInstanceUID", "1.2.3"), "not about one image"),
    ("source's class", of_source("ReferencedSOPClassUID", "1.2.840.10008.5.1.4.1.1.2"), "names another class"),
    ("frame of one", of_source("ReferencedFrameNumber", 1), "that has but one"),
    ("derivation", without_derivation_code, "is a segmentation"),
    ("purpose", without_purpose, "what its source was for"),
    ("series", of_object("ReferencedSeriesSequence", []), "Referenced Series Sequence"),
    ("frame of reference", of_object("FrameOfReferenceUID", "1.2.3"), "Frame of Reference"),
    ("spacing", of_shared("PixelMeasuresSequence", "PixelSpacing", [0.5, 0.5]), "spacing"),
    ("orientation", of_shared("PlaneOrientationSequence", "ImageOrientationPatient", [0, 1, 0, 1, 0, 0]), "orientation"),
    ("no placeholder", without_shared_geometry, "spacing"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "said"), [one[1:] for one in SPOILT], ids=[one[0] for one in SPOILT])
def test_what_is_wrong_with_an_object_of_one_frame_is_noticed(kit: Any, spoil: Spoil, said: str) -> None:
    told = faults(kit, kit.Source(attributes=kit.BASIC | kit.skin_of_back()), spoil)
    assert any(said in one for one in told), told


@pytest.mark.parametrize("kind", [SegKind.FRACTIONAL, SegKind.LABELMAP])
def test_a_changed_pixel_is_noticed_in_every_kind(kit: Any, kind: SegKind) -> None:
    assert faults(kit, kit.Source(), flip_a_pixel, kind)


@pytest.mark.parametrize(
    ("kind", "spoil", "said"),
    [
        (SegKind.FRACTIONAL, of_object("SegmentationFractionalType", "OCCUPANCY"), "PROBABILITY"),
        (SegKind.FRACTIONAL, of_object("MaximumFractionalValue", 128), "no segment holds the mask"),
        (SegKind.LABELMAP, lambda seg: seg.SegmentSequence.pop(0), "numbered"),
        (SegKind.LABELMAP, of_object("PixelPaddingValue", 1), "no segment holds the mask"),
    ],
)  # fmt: skip
def test_what_only_one_kind_has_is_checked_there(kit: Any, kind: SegKind, spoil: Spoil, said: str) -> None:
    told = faults(kit, kit.Source(), spoil, kind)
    assert any(said in one for one in told), told


def test_run_lengths_that_may_be_but_gain_nothing_are_noticed(kit: Any) -> None:
    def enlarge(seg: Dataset) -> None:
        seg.PixelData += bytes(2 * seg.Rows * seg.Columns * int(seg.NumberOfFrames))

    told = faults(kit, kit.Source(), enlarge, SegKind.FRACTIONAL, rle=True)
    assert any("gains nothing" in one or "cannot be read" in one for one in told), told


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (of_source("ReferencedFrameNumber", 2), "frames for one source frame"),
        (of_source("ReferencedFrameNumber", 4), "no frame of its image that exists"),
        (of_source("ReferencedFrameNumber", 0), "frames for one source frame"),
        (of_place("PlanePositionSequence", "ImagePositionPatient", [0, 0, 0]), "position"),
        (of_shared("PixelMeasuresSequence", "PixelSpacing", [1, 1]), "spacing"),
        (of_object("FrameOfReferenceUID", None), "Frame of Reference"),
        (without_positions, "position"),
    ],
)
def test_what_is_wrong_with_a_stack_is_noticed(kit: Any, spoil: Spoil, said: str) -> None:
    told = faults(kit, PlacedSource(), spoil)
    assert any(said in one for one in told), told


MOVED = ("PlanePositionSlideSequence", "RowPositionInTotalImagePixelMatrix")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (of_place(*MOVED, 2), "mask"),
        (of_place(*MOVED, 0), "before the total pixel matrix"),
        (of_place(*MOVED, 70), "outside the total pixel matrix"),
        (of_source("ReferencedFrameNumber", 1), "other tiles"),
        (of_source("ReferencedFrameNumber", 99), "no frame of its image"),
        (of_object("ImageOrientationSlide", [1, 0, 0, 0, 1, 0]), "orientation on the slide"),
        (of_object("TotalPixelMatrixRows", 71), "mask"),
        (of_shared("PixelMeasuresSequence", "PixelSpacing", [1, 1]), "spacing"),
    ],
)
def test_what_is_wrong_with_tiles_is_noticed(kit: Any, spoil: Spoil, said: str) -> None:
    told = faults(kit, TiledSource(), spoil)
    assert any(said in one for one in told), told


def test_a_placeholder_where_none_is_wished_is_noticed(kit: Any) -> None:
    source = kit.Source()
    segs = segs_of(kit.composed(usual_case(source), source, edition=seg_edition(SegKind.BINARY)))
    none = seg_edition(SegKind.BINARY, SegGeometry.NONE)
    told = list(seg_faults(segs, arranged(kit, usual_case(source), source), none))
    assert any("spacing" in one for one in told)
    assert any("orientation" in one for one in told)


@pytest.mark.parametrize("kind", [SegKind.FRACTIONAL, SegKind.LABELMAP])
def test_another_kind_than_the_editions_is_noticed(kit: Any, kind: SegKind) -> None:
    source = kit.Source()
    segs = segs_of(kit.composed(usual_case(source), source))
    assert any("is BINARY" in one for one in seg_faults(segs, arranged(kit, usual_case(source), source), seg_edition(kind)))


def test_a_missing_and_a_superfluous_object_are_noticed(kit: Any) -> None:
    source = kit.Source()
    edition = seg_edition(SegKind.LABELMAP)
    segs = segs_of(kit.composed(usual_case(source), source, edition=edition))
    arrangement = arranged(kit, usual_case(source), source)
    assert any("no segment holds" in one for one in seg_faults(segs[:1], arrangement, edition))
    assert any("nobody found" in one for one in seg_faults([*segs, segs[0]], arrangement, edition))


def test_a_mask_of_another_image_is_noticed(kit: Any) -> None:
    one, other = kit.Source(number=1), kit.Source(number=2)
    segs = segs_of(kit.composed(usual_case(other), other))
    told = list(seg_faults(segs, arranged(kit, usual_case(one), one), seg_edition(SegKind.BINARY)))
    assert told == ["a SEG is not about one image of the study"]


def test_places_are_read_from_the_objects(kit: Any) -> None:
    source = kit.Source(sop_class=kit.MULTI_FRAME_CAPTURE, frames=2)
    (seg,) = segs_of(kit.composed(usual_case(source), source))
    found = places({seg.SOPInstanceUID: seg}, arranged(kit, usual_case(source), source))
    uid = seg.SOPInstanceUID
    assert found == {
        (source.uid, 1, 0): (uid, 1), (source.uid, 2, 0): (uid, 2),
        (source.uid, 1, 1): (uid, 3), (source.uid, 2, 1): (uid, 4),
    }  # fmt: skip


def test_two_equal_masks_of_two_bundles_have_two_places(kit: Any) -> None:
    source = kit.Source()
    bundle = replace(kit.SEGMENTER.bundle, name="another", content_hash="c" * 64)
    other = replace(kit.SEGMENTER, bundle=bundle)
    case = CaseFindings(
        runs=(kit.SEGMENTER, other),
        findings=tuple(source.finding(one * 64, [kit.outlined(source.mask)]) for one in "ac"),
    )
    segs = {one.SOPInstanceUID: one for one in segs_of(kit.composed(case, source))}
    assert sorted(number for _, number in places(segs, arranged(kit, case, source)).values()) == [1, 2]


@pytest.mark.parametrize("kind", list(SegKind))
def test_what_is_no_segmentation_is_unreadable(kit: Any, kind: SegKind) -> None:
    source = kit.Source()
    seg = segs_of(kit.composed(usual_case(source), source, edition=seg_edition(kind)))[0]
    assert np.array_equal(masks(seg)[0].mask, source.mask)
    for keyword in ("PixelData", "PerFrameFunctionalGroupsSequence", "SegmentSequence", "SegmentationType", "Rows"):
        spoilt = Dataset(seg)
        spoilt.file_meta = seg.file_meta
        del spoilt[keyword]
        with pytest.raises(Unreadable):
            masks(spoilt)


def test_the_last_look_at_a_case_holds_a_spoilt_object(kit: Any) -> None:
    source = kit.Source()
    objects = kit.composed(usual_case(source), source)
    data = bytearray(objects[0].data)
    data[-3] ^= 4
    spoilt = replace(objects[0], data=bytes(data), sha256=hashlib.sha256(data).hexdigest())
    assert objects[0].form is Form.SEG
    with pytest.raises(Defect, match="no segment holds the mask"):
        kit.checked((spoilt, *objects[1:]), usual_case(source), source)

"""The segmentation objects: the masks, pixel by pixel, in the form that viewers open."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import Dataset

from derm_pacs.domain.composed import Form
from derm_pacs.domain.findings import CaseFindings
from derm_pacs.results.check import check
from derm_pacs.results.compose import compose


def segs(kit: Any, case: CaseFindings, *sources: Any) -> list[Dataset]:
    parts = {one.uid: one.part10 for one in sources}
    objects = compose(case, parts, kit.identity(), kit.edition(), {})
    check(objects, case, parts, kit.identity(), kit.edition(), {})
    return [pydicom.dcmread(io.BytesIO(one.data)) for one in objects if one.form is Form.SEG]


def test_the_mask_is_stored_bit_by_bit(kit: Any) -> None:
    source = kit.Source(rows=61, columns=83)
    (seg,) = segs(kit, kit.whole_case([source]), source)
    assert seg.SegmentationType == "BINARY"
    assert np.array_equal(seg.pixel_array.astype(bool), source.mask)


def test_without_geometry_the_placeholders_are_written_and_no_frame_of_reference(kit: Any) -> None:
    source = kit.Source()
    (seg,) = segs(kit, kit.whole_case([source]), source)
    shared = seg.SharedFunctionalGroupsSequence[0]
    assert list(shared.PixelMeasuresSequence[0].PixelSpacing) == [1, 1]
    assert list(shared.PlaneOrientationSequence[0].ImageOrientationPatient) == [1, 0, 0, 0, 1, 0]
    assert "FrameOfReferenceUID" not in seg
    assert seg.PatientOrientation is None or seg.PatientOrientation == ""


def test_with_geometry_the_images_own_is_written(kit: Any) -> None:
    source = kit.Source(sop_class=kit.CONFOCAL, grey=True)
    (seg,) = segs(kit, kit.whole_case([source]), source)
    shared = seg.SharedFunctionalGroupsSequence[0]
    assert list(shared.PixelMeasuresSequence[0].PixelSpacing) == [0.002, 0.001]
    assert list(shared.PlaneOrientationSequence[0].ImageOrientationPatient) == [0, 1, 0, 1, 0, 0]


@pytest.mark.parametrize("sop_class", ["CONFOCAL", "MULTI_FRAME_CAPTURE"])
def test_each_frame_names_its_image_class_and_frame(kit: Any, sop_class: str) -> None:
    source = kit.Source(sop_class=getattr(kit, sop_class), frames=2)
    for number, seg in enumerate(segs(kit, kit.whole_case([source]), source), 1):
        groups = [*seg.SharedFunctionalGroupsSequence, *seg.PerFrameFunctionalGroupsSequence]
        items = [item for one in groups for each in one.get("DerivationImageSequence") or [] for item in each.SourceImageSequence]
        assert items
        for item in (*items, *seg.SourceImageSequence):
            assert item.ReferencedSOPClassUID == source.sop_class
            assert item.ReferencedSOPInstanceUID == source.uid
            assert item.ReferencedFrameNumber == number


def test_skin_and_lesion_are_two_segments_of_one_object_each_with_its_own_lesion_name(kit: Any) -> None:
    source = kit.Source(attributes=kit.BASIC | {"TrackingUID": "1.2.3", "TrackingID": "mole 7"})
    skin = replace(kit.outlined(np.ones_like(source.mask)), output="skin", concept="skin")
    case = CaseFindings(runs=(kit.SEGMENTER,), findings=(source.finding("a" * 64, [skin, kit.outlined(source.mask)]),))
    (seg,) = segs(kit, case, source)
    assert [(one.SegmentNumber, one.SegmentLabel) for one in seg.SegmentSequence] == [(1, "Lesion 1"), (2, "Skin")]
    assert [one.SegmentedPropertyTypeCodeSequence[0].CodeValue for one in seg.SegmentSequence] == ["95324001", "39937001"]
    assert seg.SegmentSequence[0].TrackingUID == "1.2.3"
    assert seg.SegmentSequence[1].TrackingUID != "1.2.3"
    assert np.array_equal(seg.pixel_array.astype(bool), [source.mask, np.ones_like(source.mask)])


def test_a_segment_names_the_algorithm_by_name_version_and_hash(kit: Any) -> None:
    source = kit.Source()
    (seg,) = segs(kit, kit.whole_case([source]), source)
    algorithm = seg.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("skin_lesion_deeplabv3plus", "1.0.0")
    assert "a" * 64 in algorithm.AlgorithmParameters


def test_lossy_compression_of_the_source_is_told_on_and_an_illegal_method_is_not(kit: Any) -> None:
    lossy = {"LossyImageCompression": "01", "LossyImageCompressionRatio": "12.5", "LossyImageCompressionMethod": "ISO_10918_1"}
    source = kit.Source(attributes=kit.BASIC | lossy)
    (seg,) = segs(kit, kit.whole_case([source]), source)
    assert (seg.LossyImageCompression, seg.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    odd = kit.Source(attributes=kit.BASIC | lossy | {"LossyImageCompressionMethod": "JPEG, quality 80 %"})
    (seg,) = segs(kit, kit.whole_case([odd]), odd)
    assert seg.LossyImageCompression == "01"
    assert "LossyImageCompressionMethod" not in seg

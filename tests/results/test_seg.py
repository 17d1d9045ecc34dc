"""The segmentation objects: the masks, pixel by pixel, in the kind and form that a destination takes."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from derm_pacs.domain.composed import Form
from derm_pacs.domain.edition import SegGeometry, SegKind
from derm_pacs.domain.findings import CaseFindings
from derm_pacs.results import readback
from tests.results.seg_cases import PlacedSource, seg_edition, segs_of, usual_case


def segs(kit: Any, case: CaseFindings, *sources: Any, **other: Any) -> list[Dataset]:
    objects = kit.composed(case, *sources, **other)
    kit.checked(objects, case, *sources, **other)
    return segs_of(objects)


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


@pytest.mark.parametrize("kind", list(SegKind))
def test_a_destination_may_have_the_legal_form_without_any_geometry(kit: Any, kind: SegKind) -> None:
    source = kit.Source()
    for seg in segs(kit, kit.whole_case([source]), source, edition=seg_edition(kind, SegGeometry.NONE)):
        assert not seg.SharedFunctionalGroupsSequence[0]
        assert "FrameOfReferenceUID" not in seg
        assert "PatientOrientation" in seg


@pytest.mark.parametrize("geometry", list(SegGeometry))
def test_with_geometry_the_images_own_is_written_whatever_is_wished(kit: Any, geometry: SegGeometry) -> None:
    source = kit.Source(sop_class=kit.CONFOCAL, grey=True)
    (seg,) = segs(kit, kit.whole_case([source]), source, edition=seg_edition(SegKind.BINARY, geometry))
    shared = seg.SharedFunctionalGroupsSequence[0]
    assert list(shared.PixelMeasuresSequence[0].PixelSpacing) == [0.002, 0.001]
    assert shared.PixelMeasuresSequence[0].SliceThickness == 0.005
    assert list(shared.PlaneOrientationSequence[0].ImageOrientationPatient) == [0, 1, 0, 1, 0, 0]


def test_a_calibrated_spacing_is_written_with_the_thickness_without_which_highdicom_does_not_open_it(kit: Any) -> None:
    calibrated = {"PixelSpacing": [0.02, 0.03], "PixelSpacingCalibrationType": "FIDUCIAL"}
    source = kit.Source(attributes=kit.BASIC | calibrated)
    (seg,) = segs(kit, kit.whole_case([source]), source, edition=seg_edition(SegKind.BINARY, SegGeometry.NONE))
    (shared,) = seg.SharedFunctionalGroupsSequence
    assert list(shared.PixelMeasuresSequence[0].PixelSpacing) == [0.02, 0.03]
    assert shared.PixelMeasuresSequence[0].SliceThickness == 1
    assert "PlaneOrientationSequence" not in shared
    assert highdicom.seg.Segmentation.from_dataset(seg).number_of_segments == 1


def test_a_bare_pixel_spacing_is_the_cameras_and_is_not_written(kit: Any) -> None:
    source = kit.Source(attributes=kit.BASIC | {"PixelSpacing": [0.02, 0.03]})
    (seg,) = segs(kit, kit.whole_case([source]), source)
    assert list(seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing) == [1, 1]


@pytest.mark.parametrize("kind", list(SegKind))
def test_a_stack_with_positions_gives_its_frame_of_reference_and_positions(kit: Any, kind: SegKind) -> None:
    source = PlacedSource()
    for seg in segs(kit, usual_case(source), source, edition=seg_edition(kind)):
        assert seg.FrameOfReferenceUID == f"{kit.STUDY}.9"
        depths = {
            int(one.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber):
                float(one.PlanePositionSequence[0].ImagePositionPatient[2])
            for one in seg.PerFrameFunctionalGroupsSequence
        }  # fmt: skip
        assert depths == {1: 0, 2: 0.1, 3: 0.2}


@pytest.mark.parametrize("sop_class", ["CONFOCAL", "MULTI_FRAME_CAPTURE"])
def test_one_object_holds_all_frames_and_each_names_its_image_class_and_frame(kit: Any, sop_class: str) -> None:
    source = kit.Source(sop_class=getattr(kit, sop_class), frames=3)
    (seg,) = segs(kit, kit.whole_case([source]), source)
    items = [
        one.DerivationImageSequence[0].SourceImageSequence[0] for one in seg.PerFrameFunctionalGroupsSequence
    ]
    assert {(one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID) for one in items} == {(source.sop_class, source.uid)}
    assert [int(one.ReferencedFrameNumber) for one in items] == [1, 2, 3]
    assert len(seg.SegmentSequence) == 1
    assert np.array_equal(seg.pixel_array.astype(bool), [source.mask] * 3)


def test_a_frame_in_which_nothing_was_found_is_left_out(kit: Any) -> None:
    source = kit.Source(sop_class=kit.MULTI_FRAME_CAPTURE, frames=3)
    empty = np.zeros_like(source.mask)
    outlines = [source.finding("a" * 64, [kit.outlined(mask)], n) for n, mask in enumerate([empty, source.mask, empty], 1)]
    (seg,) = segs(kit, CaseFindings(runs=(kit.SEGMENTER,), findings=tuple(outlines)), source)
    (groups,) = seg.PerFrameFunctionalGroupsSequence
    assert groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber == 2
    assert np.array_equal(seg.pixel_array.astype(bool), source.mask)


def test_an_image_on_which_nothing_was_found_has_no_object(kit: Any) -> None:
    source = kit.Source()
    case = CaseFindings(runs=(kit.SEGMENTER,), findings=(source.finding("a" * 64, [kit.outlined(source.mask & False)]),))
    assert segs(kit, case, source) == []


def test_skin_and_lesion_are_two_segments_of_one_object_each_with_its_own_lesion_name(kit: Any) -> None:
    source = kit.Source(attributes=kit.BASIC | {"TrackingUID": "1.2.3", "TrackingID": "mole 7"})
    (seg,) = segs(kit, usual_case(source), source)
    assert [(one.SegmentNumber, one.SegmentLabel) for one in seg.SegmentSequence] == [(1, "Lesion 1"), (2, "Skin")]
    assert [one.SegmentedPropertyTypeCodeSequence[0].CodeValue for one in seg.SegmentSequence] == ["95324001", "39937001"]
    assert seg.SegmentSequence[0].TrackingUID == "1.2.3"
    assert seg.SegmentSequence[1].TrackingUID != "1.2.3"
    assert seg.SegmentsOverlap == "YES"
    assert np.array_equal(seg.pixel_array.astype(bool), [source.mask, np.ones_like(source.mask)])


def test_segments_beside_one_another_are_said_not_to_overlap(kit: Any) -> None:
    source = kit.Source()
    skin = replace(kit.outlined(~source.mask), output="skin", concept="skin")
    case = CaseFindings(runs=(kit.SEGMENTER,), findings=(source.finding("a" * 64, [skin, kit.outlined(source.mask)]),))
    assert segs(kit, case, source)[0].SegmentsOverlap == "NO"


def test_a_fractional_object_holds_nothing_but_zero_and_the_maximum(kit: Any) -> None:
    source = kit.Source()
    (seg,) = segs(kit, kit.whole_case([source]), source, edition=seg_edition(SegKind.FRACTIONAL))
    assert (seg.SegmentationType, seg.SegmentationFractionalType) == ("FRACTIONAL", "PROBABILITY")
    assert seg.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.4"
    assert np.array_equal(seg.pixel_array, np.where(source.mask, seg.MaximumFractionalValue, 0))


def test_each_region_has_a_label_map_of_its_own_so_that_none_is_cut(kit: Any) -> None:
    source = kit.Source(sop_class=kit.MULTI_FRAME_CAPTURE, frames=2)
    lesion, skin = segs(kit, usual_case(source), source, edition=seg_edition(SegKind.LABELMAP))
    for seg, label in ((lesion, "Lesion 1"), (skin, "Skin")):
        assert seg.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.7"
        assert [(one.SegmentNumber, one.SegmentLabel) for one in seg.SegmentSequence] == [(0, "Background"), (1, label)]
        assert "SegmentIdentificationSequence" not in seg.PerFrameFunctionalGroupsSequence[0]
    assert lesion.SOPInstanceUID != skin.SOPInstanceUID
    assert lesion.SeriesInstanceUID != skin.SeriesInstanceUID
    assert np.array_equal(lesion.pixel_array, [source.mask, np.roll(source.mask, 3, axis=1)])
    assert skin.pixel_array.all()


@pytest.mark.parametrize("kind", list(SegKind))
def test_run_lengths_are_taken_where_they_are_allowed_and_smaller(kit: Any, kind: SegKind) -> None:
    source = kit.Source()
    for rle in (True, False):
        (seg,) = segs(kit, kit.whole_case([source]), source, edition=seg_edition(kind, rle=rle))
        wanted = RLELossless if rle and kind is not SegKind.BINARY else ExplicitVRLittleEndian
        assert seg.file_meta.TransferSyntaxUID == wanted
        assert np.array_equal(seg.pixel_array > 0, source.mask)


def test_noise_that_run_lengths_make_larger_stays_native(kit: Any) -> None:
    source = kit.Source(rows=64, columns=64)
    noise = np.indices((64, 64)).sum(axis=0) % 2 == 1
    case = CaseFindings(runs=(kit.SEGMENTER,), findings=(source.finding("a" * 64, [kit.outlined(noise)]),))
    (seg,) = segs(kit, case, source, edition=seg_edition(SegKind.FRACTIONAL, rle=True))
    assert seg.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


@pytest.mark.parametrize("kind", list(SegKind))
def test_equal_findings_give_equal_bytes_and_another_kind_another_object(kit: Any, kind: SegKind) -> None:
    source = kit.Source(sop_class=kit.MULTI_FRAME_CAPTURE, frames=2)
    made = [kit.composed(usual_case(source), source, edition=seg_edition(kind, rle=True)) for _ in range(2)]
    assert [one.data for one in made[0]] == [one.data for one in made[1]]
    others = [
        kit.composed(usual_case(source), source, edition=seg_edition(other, geometry))
        for other in SegKind for geometry in SegGeometry if other is not kind
    ]  # fmt: skip
    uids = [{seg.SOPInstanceUID for seg in segs_of(one)} for one in (made[0], *others)]
    assert sum(map(len, uids)) == len(set().union(*uids))


def test_a_segment_names_the_algorithm_by_name_version_and_hash(kit: Any) -> None:
    source = kit.Source()
    (seg,) = segs(kit, kit.whole_case([source]), source)
    algorithm = seg.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("skin_lesion_deeplabv3plus", "1.0.0")
    assert algorithm.AlgorithmFamilyCodeSequence[0].CodeValue == "123110"
    assert "a" * 64 in algorithm.AlgorithmParameters


def test_a_segment_lies_where_the_image_says(kit: Any) -> None:
    source = kit.Source(attributes=kit.BASIC | kit.skin_of_back())
    (seg,) = segs(kit, kit.whole_case([source]), source)
    region = seg.SegmentSequence[0].AnatomicRegionSequence[0]
    assert region.CodeValue == "66643007"
    assert region.AnatomicRegionModifierSequence[0].CodeValue == "7771000"


def test_lossy_compression_of_the_source_is_told_on_and_an_illegal_method_is_not(kit: Any) -> None:
    lossy = {"LossyImageCompression": "01", "LossyImageCompressionRatio": "12.5", "LossyImageCompressionMethod": "ISO_10918_1"}
    source = kit.Source(attributes=kit.BASIC | lossy)
    (seg,) = segs(kit, kit.whole_case([source]), source)
    assert (seg.LossyImageCompression, seg.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    odd = kit.Source(attributes=kit.BASIC | lossy | {"LossyImageCompressionMethod": "JPEG, quality 80 %"})
    (seg,) = segs(kit, kit.whole_case([odd]), odd)
    assert seg.LossyImageCompression == "01"
    assert "LossyImageCompressionMethod" not in seg


def test_a_source_that_does_not_know_whether_it_was_compressed_leaves_no_empty_word_behind(kit: Any) -> None:
    empty = {"LossyImageCompression": "", "LossyImageCompressionRatio": None, "LossyImageCompressionMethod": ""}
    source = kit.Source(attributes=kit.BASIC | empty)
    (seg,) = segs(kit, kit.whole_case([source]), source)
    assert seg.LossyImageCompression == "00"
    assert "LossyImageCompressionRatio" not in seg
    assert "LossyImageCompressionMethod" not in seg


@pytest.mark.parametrize("kind", [SegKind.BINARY, SegKind.LABELMAP])
def test_the_report_names_the_frame_of_the_object_in_which_the_mask_is(kit: Any, kind: SegKind) -> None:
    source = kit.Source(sop_class=kit.MULTI_FRAME_CAPTURE, frames=2)
    objects = kit.composed(usual_case(source), source, edition=seg_edition(kind))
    referred = segment_references(objects)
    pixels = {seg.SOPInstanceUID: np.atleast_3d(seg.pixel_array) for seg in segs_of(objects)}
    held = [pixels[uid][number - 1] > 0 for uid, number in referred]
    everywhere = np.ones_like(source.mask)
    wanted = [source.mask, everywhere, np.roll(source.mask, 3, axis=1), everywhere]
    assert np.array_equal(held, wanted)


def segment_references(objects: Sequence[Any]) -> list[tuple[str, int]]:
    report = next(one for one in objects if one.form is Form.REPORT_SR)
    return [group.seg for group in readback.groups(report.data) if group.seg]


UNKNOWN_CLASS = {
    # Debian's dciodvfy of 2022 does not know the label map class, hence neither its background segment 0 nor its rules
    "Information Object Not found",
    "SegmentNumber not monotonically increasing",
}
UNKNOWN_SOURCE = {
    # nor does it know 77.1.8 as a class of multi-frame images
    "Shall not be present for Referenced SOP Class that is not multi-frame",
}


@pytest.mark.parametrize("geometry", list(SegGeometry))
@pytest.mark.parametrize("kind", list(SegKind))
@pytest.mark.parametrize("source", ["dermoscopic", "multi-frame capture", "stack", "stack with positions"])
def test_dciodvfy_finds_nothing_but_what_it_does_not_know(
    kit: Any, tmp_path: Path, source: str, kind: SegKind, geometry: SegGeometry
) -> None:
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy is not installed (apt-get install dicom3tools)")
    image = {
        "dermoscopic": kit.Source(attributes=kit.BASIC | kit.skin_of_back()),
        "multi-frame capture": kit.Source(sop_class=kit.MULTI_FRAME_CAPTURE, frames=2),
        "stack": kit.Source(sop_class=kit.CONFOCAL, frames=2, grey=True),
        "stack with positions": PlacedSource(),
    }[source]
    known = UNKNOWN_SOURCE | (UNKNOWN_CLASS if kind is SegKind.LABELMAP else set())
    objects = kit.composed(usual_case(image), image, edition=seg_edition(kind, geometry, rle=True))
    for one in objects:
        if one.form is Form.SEG:
            (tmp_path / "seg.dcm").write_bytes(one.data)
            said = subprocess.run([program, "-new", tmp_path / "seg.dcm"], capture_output=True, text=True, check=False)
            lines = (said.stdout + said.stderr).splitlines()
            told = [line for line in lines if line.startswith(("Error", "Warning"))]
            assert [line for line in told if not any(false in line for false in known)] == []

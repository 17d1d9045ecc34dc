"""What the full report says of a case, read back from its bytes."""

import io
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from derm_pacs.domain import geometry
from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.edition import COMPREHENSIVE_SR, SrClass
from derm_pacs.domain.findings import CaseFindings, Combine, LesionRule, Mask, Refusal
from derm_pacs.domain.reasons import REASONS
from derm_pacs.results import readback

pytestmark = pytest.mark.server  # computes for long: each test composes whole studies


def composed(kit: Any, case: CaseFindings, *sources: Any, **other: Any) -> tuple[Composed, ...]:
    objects: tuple[Composed, ...] = kit.composed(case, *sources, **other)
    kit.checked(objects, case, *sources, **other)
    return objects


def report_of(objects: tuple[Composed, ...]) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(next(one.data for one in objects if one.form is Form.REPORT_SR)))


def groups_of(objects: tuple[Composed, ...]) -> tuple[readback.ReadGroup, ...]:
    return readback.groups(next(one.data for one in objects if one.form is Form.REPORT_SR))


def watched_of(groups: Sequence[readback.ReadGroup]) -> list[readback.ReadGroup]:
    """The groups of the class that a threshold watches."""
    return [one for one in groups if one.number("threshold_value")]


def text_of(dataset: pydicom.Dataset) -> str:
    return "\n".join(str(element.value) for element in dataset.iterall() if element.keyword == "TextValue")


def test_each_class_has_its_probability_and_the_positive_one_threshold_setter_and_call(kit: Any) -> None:
    source = kit.Source()
    objects = composed(kit, kit.whole_case([source]), source)
    melanoma, nevus, lesion = groups_of(objects)
    assert (melanoma.number("probability"), nevus.number("probability")) != (None, None)
    assert [one.value for one in melanoma.numbers] == [0.873123, 0.5, 87.3123]
    assert [one.value for one in nevus.numbers] == [0.126877]
    assert (("CALL", "99DERMPACS"), ("372244006", "SCT")) in melanoma.evaluations
    assert "threshold 0.5 set by bundle author" in melanoma.comment
    assert lesion.seg == (objects[0].sop_instance_uid, 1)
    said = text_of(report_of(objects))
    for parameter in ("sha256=" + "b" * 64, "operating point=default: diagnosis.melanoma >= 0.5", "set by=bundle author", "mask threshold=0.5"):
        assert parameter in said


@pytest.mark.parametrize(("melanoma", "called"), [(0.5, "372244006"), (0.4999, "400096001"), (0.0, "400096001"), (1.0, "372244006")])
def test_the_call_follows_from_the_threshold_in_force(kit: Any, melanoma: float, called: str) -> None:
    source = kit.Source()
    groups = groups_of(composed(kit, kit.whole_case([source], melanoma), source))
    (watched,) = watched_of(groups)
    assert (("CALL", "99DERMPACS"), (called, "SCT")) in watched.evaluations
    assert groups[0].finding == (called, "SCT"), "a viewer names the finding of the first group first: it is the call's"


def test_without_a_pixel_size_areas_are_in_pixels_and_the_report_says_so(kit: Any) -> None:
    source = kit.Source(attributes=kit.BASIC | {"PixelSpacing": [0.1, 0.1], "ImagerPixelSpacing": [0.1, 0.1]})
    lesion = groups_of(composed(kit, kit.whole_case([source]), source))[-1]
    area = lesion.number("area")
    assert area is not None
    assert (area.value, area.unit) == (float(np.count_nonzero(source.mask)), "{pixels}")
    assert "pixel size is unknown" in lesion.comment
    assert "placeholder" in lesion.comment


def test_with_a_calibrated_pixel_size_areas_are_in_millimetres_and_the_source_is_named(kit: Any) -> None:
    source = kit.Source(attributes=kit.BASIC | {"PixelSpacing": [0.1, 0.2], "PixelSpacingCalibrationType": "GEOMETRY"})
    lesion = groups_of(composed(kit, kit.whole_case([source]), source))[-1]
    area = lesion.number("area")
    assert area is not None
    assert area.unit == "mm2"
    assert area.value == pytest.approx(np.count_nonzero(source.mask) * 0.02, rel=1e-5)
    assert "calibrated by GEOMETRY" in lesion.comment


def test_an_empty_mask_makes_no_segmentation_and_the_report_says_that_nothing_was_found(kit: Any) -> None:
    source = kit.Source()
    nothing = kit.outlined(np.zeros_like(source.mask))
    case = CaseFindings(runs=(kit.SEGMENTER,), findings=(source.finding("a" * 64, [nothing]),))
    objects = composed(kit, case, source)
    assert [one.form for one in objects] == [Form.REPORT_SR]
    (group,) = groups_of(objects)
    area = group.number("area")
    assert area is not None
    assert area.value == 0.0
    assert "no skin lesion was found" in group.comment


@pytest.mark.parametrize("reason", sorted(code for code, one in REASONS.items() if one.dicom_code))
def test_a_refusal_says_not_analysed_because_in_code_and_words(kit: Any, reason: str) -> None:
    source = kit.Source()
    case = CaseFindings(runs=(kit.CLASSIFIER,), findings=(source.finding("b" * 64, [Refusal(reason=reason, detail="12 of 30")]),))
    objects = composed(kit, case, source)
    (group,) = groups_of(objects)
    assert (("NOT-ANALYSED", "99DERMPACS"), (REASONS[reason].dicom_code, "99DERMPACS")) in group.evaluations
    assert "not analysed by melanoma_nevus_alexnet, because: " in group.comment
    assert "12 of 30" in group.comment
    poor = (("111101", "DCM"), ("110531", "DCM")) in group.evaluations
    assert poor == reason.startswith(("poor_quality", "too_small"))


def test_a_refusal_before_any_run_is_told_too(kit: Any) -> None:
    source = kit.Source()
    case = CaseFindings(runs=(), findings=(source.finding("", [Refusal(reason="no_route")]),))
    (group,) = groups_of(composed(kit, case, source))
    assert "not analysed, because: No route names a bundle" in group.comment


def test_one_frame_refused_and_another_analysed_stand_side_by_side(kit: Any) -> None:
    source = kit.Source(sop_class=kit.MULTI_FRAME_CAPTURE, frames=2)
    case = CaseFindings(
        runs=(kit.SEGMENTER,),
        findings=(source.finding("a" * 64, [Refusal(reason="poor_quality_blur")], 1), source.finding("a" * 64, [kit.outlined(source.mask)], 2)),
    )
    first, second = groups_of(composed(kit, case, source))
    assert (first.frame, second.frame) == (1, 2)
    assert "frame 1" in first.comment


def test_the_report_is_complete_preliminary_unverified_and_observed_by_the_installation(kit: Any) -> None:
    source = kit.Source()
    dataset = report_of(composed(kit, kit.whole_case([source]), source))
    assert (dataset.CompletionFlag, dataset.PreliminaryFlag, dataset.VerificationFlag) == ("COMPLETE", "PRELIMINARY", "UNVERIFIED")
    observers = {str(item.UID) for item in dataset.ContentSequence if item.ValueType == "UIDREF"}
    assert observers == {"2.25.1234567"}


def test_title_and_separate_containers_are_those_that_viewers_read(kit: Any) -> None:
    source = kit.Source()
    dataset = report_of(composed(kit, kit.whole_case([source]), source))
    assert dataset.ConceptNameCodeSequence[0].CodeValue == "18748-4"
    assert {str(one.value) for one in dataset.iterall() if one.keyword == "ContinuityOfContent"} == {"SEPARATE"}
    library = [item for item in dataset.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "111028"]
    assert len(library) == 1


def test_research_use_and_synthetic_stand_in_the_text(kit: Any) -> None:
    source = kit.Source()
    said = text_of(report_of(composed(kit, kit.whole_case([source]), source)))
    assert "AI result, research use, not for primary diagnosis." in said
    assert "SYNTHETIC" in said


def test_site_side_and_lesion_are_the_images_own(kit: Any) -> None:
    attributes = kit.BASIC | kit.skin_of_back() | {"TrackingUID": "1.2.3.4.5", "TrackingID": "mole 7"}
    source = kit.Source(attributes=attributes)
    objects = composed(kit, kit.whole_case([source]), source)
    assert {(one.tracking_uid, one.tracking_identifier) for one in groups_of(objects)} == {("1.2.3.4.5", "mole 7")}
    text = report_of(objects).to_json()
    assert "66643007" in text
    assert '"7771000"' in text


def test_two_images_of_one_lesion_share_its_number_and_two_lesions_do_not(kit: Any) -> None:
    own = kit.BASIC | {"TrackingUID": "1.2.3.4.5"}
    sources = [kit.Source(attributes=own), kit.Source(number=2, attributes=own), kit.Source(number=3)]
    groups = groups_of(composed(kit, kit.whole_case(sources), *sources))
    assert [one.tracking_identifier for one in groups[::3]] == ["Lesion 1", "Lesion 1", "Lesion 2"]


def test_a_derived_lesion_keeps_its_name_in_a_later_revision(kit: Any) -> None:
    source = kit.Source()
    uids = set()
    for revision in (1, 2):
        objects = kit.composed(kit.whole_case([source]), source, identity=kit.identity(revision=revision))
        uids |= {one.tracking_uid for one in groups_of(objects)}
    assert len(uids) == 1


def content_of(objects: tuple[Composed, ...]) -> str:
    """The content tree of the report, without the header."""
    return str(report_of(objects).ContentSequence)


def test_both_classes_of_report_hold_one_content_tree(kit: Any) -> None:
    source = kit.Source(attributes=kit.BASIC | kit.skin_of_back())
    case = kit.whole_case([source])
    with_3d, without = (composed(kit, case, source, edition=kit.edition(sr=sr)) for sr in SrClass)
    assert content_of(with_3d) == content_of(without)
    assert report_of(without).SOPClassUID == COMPREHENSIVE_SR
    uids = [{one.sop_instance_uid for one in made if one.form is not Form.SEG} for made in (with_3d, without)]
    assert not uids[0] & uids[1]
    assert with_3d[0] == without[0]


def test_without_a_seg_in_the_edition_the_report_refers_to_none_and_says_the_same(kit: Any) -> None:
    source = kit.Source()
    case = kit.whole_case([source])
    objects = composed(kit, case, source, edition=kit.edition(Form.REPORT_SR))
    lesion, with_seg = groups_of(objects)[-1], groups_of(composed(kit, case, source))[-1]
    assert lesion.seg is None
    assert replace(with_seg, seg=None) == lesion
    evidence = report_of(objects).CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert [item.ReferencedSOPInstanceUID for one in evidence for item in one.ReferencedSOPSequence] == [source.uid]


@pytest.mark.parametrize(("melanoma", "sure"), [(0.8731234, 87.3123), (0.25, 75.0), (0.5, 50.0), (0.0, 100.0)])
def test_the_certainty_of_the_call_is_the_bundles_own_probability_of_the_called_class(kit: Any, melanoma: float, sure: float) -> None:
    source = kit.Source()
    groups = groups_of(composed(kit, kit.whole_case([source], melanoma), source))
    (watched,) = watched_of(groups)
    certainty = watched.number("certainty_of_finding")
    assert certainty is not None
    assert (certainty.value, certainty.unit) == (sure, "%")
    assert "the bundle's own probability of the class that it calls, no more" in watched.comment
    assert [one for one in groups if one.number("certainty_of_finding")] == [watched]


@pytest.mark.parametrize("spacing", [None, (0.05, 0.05), (0.04, 0.08)])
def test_the_perimeter_stands_beside_area_and_diameter_in_the_same_unit_of_length(kit: Any, spacing: tuple[float, float] | None) -> None:
    calibrated = {"PixelSpacing": list(spacing), "PixelSpacingCalibrationType": "FIDUCIAL"} if spacing else {}
    source = kit.Source(attributes=kit.BASIC | calibrated)
    lesion = groups_of(composed(kit, kit.whole_case([source]), source))[-1]
    perimeter = lesion.number("perimeter")
    assert perimeter is not None
    assert perimeter.unit == ("mm" if spacing else "{pixels}")
    assert perimeter.value == pytest.approx(geometry.perimeter(source.mask, *(spacing or (1.0, 1.0))), rel=1e-5)
    assert f"perimeter {perimeter.value:g} {'mm' if spacing else 'pixels'}" in lesion.comment


def test_the_language_of_the_content_and_the_procedure_are_stated(kit: Any) -> None:
    sources = [kit.Source(), kit.Source(number=2, sop_class=kit.CONFOCAL, grey=True), kit.Source(number=3, sop_class=kit.PHOTOGRAPHIC)]
    for one in composed(kit, kit.whole_case(sources), *sources):
        if one.form in (Form.OVERLAY_SR, Form.REPORT_SR):
            items = pydicom.dcmread(io.BytesIO(one.data)).ContentSequence
            coded = {(item.ConceptNameCodeSequence[0].CodeValue, item.ConceptCodeSequence[0].CodeValue) for item in items if item.ValueType == "CODE"}
            assert ("121049", "en-US") in coded
    procedures = {value for name, value in coded if name == "121058"}
    assert procedures == {"446078004", "CONFOCAL", "197157006"}


def test_skin_has_its_own_percentage_and_its_own_tracking_uid(kit: Any) -> None:
    source = kit.Source(attributes=kit.BASIC | {"TrackingUID": "1.2.3"})
    skin = replace(kit.outlined(~source.mask), output="skin", concept="skin")
    case = CaseFindings(runs=(kit.SEGMENTER,), findings=(source.finding("a" * 64, [kit.outlined(source.mask), skin]),))
    groups = {one.finding[0]: one for one in groups_of(composed(kit, case, source))}
    lesion, around = (groups[value].number("share_of_image") for value in ("95324001", "39937001"))
    assert lesion is not None and around is not None
    assert lesion.value + around.value == pytest.approx(100, abs=1e-3)
    assert groups["95324001"].tracking_uid == "1.2.3" != groups["39937001"].tracking_uid


def of_one_lesion(kit: Any, combine: Combine, *melanoma: float) -> tuple[CaseFindings, list[Any]]:
    own = kit.BASIC | kit.skin_of_back() | {"TrackingUID": "1.2.3.4.5", "TrackingID": "mole 7"}
    sources = [kit.Source(number=number, attributes=own) for number in range(1, len(melanoma) + 1)]
    run = replace(kit.CLASSIFIER, lesion_rules=(LesionRule(output="diagnosis", combine=combine),))
    findings = tuple(source.finding("b" * 64, [kit.diagnosis(value)]) for source, value in zip(sources, melanoma, strict=True))
    return CaseFindings(runs=(run,), findings=findings), sources


@pytest.mark.parametrize(("combine", "together", "rule"), [(Combine.MEAN, 0.4, "RULE-MEAN"), (Combine.MAXIMUM, 0.6, "RULE-MAXIMUM")])
def test_a_lesion_of_several_images_has_its_call_before_theirs_with_the_rule_named(
    kit: Any, combine: Combine, together: float, rule: str
) -> None:
    case, sources = of_one_lesion(kit, combine, 0.2, 0.6)
    groups = groups_of(composed(kit, case, *sources))
    lesion, *each = watched_of(groups)
    assert [len(one.images) for one in groups] == [2, 2, 1, 1, 1, 1]
    assert lesion.images == tuple((source.uid, 1) for source in sources)
    assert lesion.numbers[0].value == pytest.approx(together)
    called = "372244006" if together >= 0.5 else "400096001"
    assert set(lesion.evaluations) == {(("CALL", "99DERMPACS"), (called, "SCT")), (("COMBINED-BY", "99DERMPACS"), (rule, "99DERMPACS"))}
    assert [one.numbers[0].value for one in each] == [0.2, 0.6]
    assert {one.tracking_uid for one in groups} == {"1.2.3.4.5"}
    assert lesion.site == (("66643007", "SCT"), ("7771000", "SCT"))
    assert f"lesion rule=diagnosis: {combine}" in lesion.parameters
    assert "Lesion 1 (skin of back left), " in lesion.comment
    assert "threshold 0.5 set by bundle author" in lesion.comment


def test_a_lesion_of_one_image_is_told_once(kit: Any) -> None:
    case, sources = of_one_lesion(kit, Combine.MEAN, 0.2)
    groups = groups_of(composed(kit, case, *sources))
    assert [one.finding[0] for one in groups] == ["400096001", "372244006"]
    assert not any("COMBINED-BY" in str(one.evaluations) for one in groups)


def test_the_summary_comes_first_and_tells_lesions_then_images_then_what_cannot_be_read(kit: Any) -> None:
    case, sources = of_one_lesion(kit, Combine.MEAN, 0.2, 0.6)
    dataset = report_of(composed(kit, replace(case, unreadable=("1.2.99", "no UID")), *sources))
    contained = [item for item in dataset.ContentSequence if item.RelationshipType == "CONTAINS"]
    assert contained[0].ConceptNameCodeSequence[0].CodeMeaning == "Summary"
    first, counted, lesion, *images, unreadable = str(contained[0].TextValue).splitlines()
    assert first.startswith("AI result, research use, not for primary diagnosis.")
    assert counted == "1 lesion on 2 images."
    assert lesion.startswith("Lesion 1 (skin of back left), mean of 2 images: Call: melanocytic nevus (probability of melanoma 0.4")
    assert [one.split(":")[0] for one in images] == ["Lesion 1, series 1, image 1", "Lesion 1, series 1, image 2"]
    assert unreadable == "Not analysed, because they cannot be read: 1.2.99, no UID."
    named = [item.UID for item in contained if item.ValueType == "UIDREF"]
    assert named == ["1.2.99"]


def test_the_algorithm_is_identified_by_family_name_version_hash_title_grade_rule_and_thresholds(kit: Any) -> None:
    case, sources = of_one_lesion(kit, Combine.MEAN, 0.2)
    (group,) = watched_of(groups_of(composed(kit, case, *sources)))
    assert group.algorithm == ("melanoma_nevus_alexnet", "1.2.0")
    assert group.parameters == (
        "sha256=" + "b" * 64, "title=Melanoma or nevus", "grade=research", "lesion rule=diagnosis: mean",
        "operating point=default: diagnosis.melanoma >= 0.5", "set by=bundle author",
    )
    assert "123110" in report_of(composed(kit, case, *sources)).to_json()


def test_every_reason_that_a_report_can_carry_fits_its_code(kit: Any) -> None:
    for reason in REASONS.values():
        if reason.dicom_code:
            assert re.fullmatch(r"[A-Z-]{1,16}", reason.dicom_code)
            assert len(reason.sentence) <= 65


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    melanoma=st.lists(st.floats(0, 1), min_size=1, max_size=3), threshold=st.floats(0, 1), mask=arrays(np.bool_, (9, 11)),
    spacing=st.one_of(st.none(), st.tuples(st.floats(0.001, 2), st.floats(0.001, 2))), combine=st.sampled_from(Combine),
    sr=st.sampled_from(SrClass),
)
def test_whatever_was_found_is_what_pydicom_and_highdicom_read_back(
    kit: Any, melanoma: list[float], threshold: float, mask: Mask, spacing: tuple[float, float] | None, combine: Combine, sr: SrClass
) -> None:
    calibrated: dict[str, Any] = {"PixelSpacing": [round(one, 6) for one in spacing], "PixelSpacingCalibrationType": "FIDUCIAL"} if spacing else {}
    attributes = kit.BASIC | calibrated | {"TrackingUID": "1.2.3"}
    sources = [kit.Source(number=number, rows=9, columns=11, attributes=attributes) for number in range(1, len(melanoma) + 1)]
    point = replace(kit.CLASSIFIER.operating_points[0], threshold=threshold)
    classifier = replace(kit.CLASSIFIER, operating_points=(point,), lesion_rules=(LesionRule(output="diagnosis", combine=combine),))
    findings = [
        finding
        for source, value in zip(sources, melanoma, strict=True)
        for finding in (source.finding("a" * 64, [kit.outlined(mask)]), source.finding("b" * 64, [kit.diagnosis(value)]))
    ]
    case = CaseFindings(runs=(kit.SEGMENTER, classifier), findings=tuple(findings))
    objects = composed(kit, case, *sources, edition=kit.edition(sr=sr))  # our own check compares every figure
    groups = groups_of(objects)
    together = sum(melanoma) / len(melanoma) if combine is Combine.MEAN else max(melanoma)
    expected = [together, *melanoma] if len(melanoma) > 1 else melanoma
    called = [one for one in groups if one.finding == ("372244006", "SCT")]
    assert [one.numbers[0].value for one in called] == pytest.approx(expected, abs=1.1e-6)
    assert [one.numbers[1].value for one in called] == pytest.approx([threshold] * len(called), abs=6e-7)
    area = groups[-1].number("area")
    factor = calibrated["PixelSpacing"][0] * calibrated["PixelSpacing"][1] if spacing else 1.0
    assert area is not None
    assert area.value == pytest.approx(int(np.count_nonzero(mask)) * factor, rel=1e-5)
    assert read_by_highdicom(objects) == sorted((one.value, one.unit) for group in groups for one in group.numbers)


def read_by_highdicom(objects: tuple[Composed, ...]) -> list[tuple[float, str]]:
    """Values and units of all figures, as highdicom reads them from the bytes."""
    content: Any = highdicom.sr.srread(io.BytesIO(next(one.data for one in objects if one.form is Form.REPORT_SR))).content
    groups = [*content.get_image_measurement_groups(), *content.get_planar_roi_measurement_groups()]
    return sorted((float(one.value), str(one.unit.value)) for group in groups for one in group.get_measurements())

"""Visits: what is kept of a lesion, and what report and references say of it at the next visit."""

import io
import shutil
import subprocess
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from derm_pacs.domain import geometry
from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.edition import SrClass
from derm_pacs.domain.errors import Defect
from derm_pacs.domain.findings import CaseFindings, Refusal
from derm_pacs.domain.visits import Grouping, LesionVisit
from derm_pacs.results import readback
from derm_pacs.results.visits import lesion_visits

pytestmark = pytest.mark.server  # computes for long: each test composes whole studies

OWN = {"TrackingUID": "1.2.3.4.5", "TrackingID": "mole 7"}
CALIBRATED = {"PixelSpacing": [0.05, 0.05], "PixelSpacingCalibrationType": "FIDUCIAL"}
FIRST, SECOND = "1.2.826.0.1.3680043.10.999.71", "1.2.826.0.1.3680043.10.999.72"


def image(kit: Any, study: str, attributes: dict[str, Any], **other: Any) -> Any:
    when = "20260501" if study == FIRST else "20261120"
    return kit.Source(study=study, date=when, attributes=kit.BASIC | attributes, **other)


def case_of(kit: Any, source: Any, melanoma: float = 0.8, **other: Any) -> CaseFindings:
    case: CaseFindings = replace(kit.whole_case([source], melanoma), **other)
    return case


def kept(kit: Any, case: CaseFindings, *sources: Any, **other: Any) -> tuple[LesionVisit, ...]:
    return lesion_visits(case, kit.parts(*sources), kit.identity(), other.get("edition") or kit.edition())


def report_of(objects: tuple[Composed, ...]) -> Composed:
    return next(one for one in objects if one.form is Form.REPORT_SR)


def test_a_visit_keeps_name_place_report_probabilities_and_sizes_of_the_lesion(kit: Any) -> None:
    source = image(kit, FIRST, OWN | CALIBRATED | kit.skin_of_back())
    case = case_of(kit, source)
    (one,) = kept(kit, case, source)
    report = report_of(kit.composed(case, source))
    assert (one.tracking_uid, one.tracked, one.site, one.laterality) == ("1.2.3.4.5", True, "66643007", "7771000")
    assert (one.study_instance_uid, one.study_date) == (FIRST, date(2026, 5, 1))
    assert (one.report.sop_instance_uid, one.report.series_instance_uid) == (report.sop_instance_uid, report.series_instance_uid)
    assert (one.report.sop_class_uid, one.report.study_instance_uid) == (report.sop_class_uid, FIRST)
    assert one.images == ((source.sop_class, source.uid),)
    assert [(each.class_id, each.probability, each.bundle_hash) for each in one.probabilities] == [
        ("melanoma", 0.8, "b" * 64), ("nevus", 0.2, "b" * 64),
    ]
    pixels = np.count_nonzero(source.mask)
    assert one.area == pytest.approx(pixels * 0.0025, rel=1e-5)
    assert one.diameter == pytest.approx(geometry.greatest_diameter(source.mask, 0.05, 0.05), rel=1e-5)
    assert one.share == pytest.approx(pixels / source.mask.size, rel=1e-5)


def test_without_a_pixel_size_no_millimetres_are_kept_but_the_share_is(kit: Any) -> None:
    source = image(kit, FIRST, OWN | {"PixelSpacing": [0.05, 0.05]})
    (one,) = kept(kit, case_of(kit, source), source)
    assert (one.area, one.diameter) == (None, None)
    assert one.share is not None


def test_a_lesion_of_which_nothing_was_measured_is_not_kept(kit: Any) -> None:
    source = image(kit, FIRST, OWN)
    refused = CaseFindings(runs=(kit.CLASSIFIER,), findings=(source.finding("b" * 64, [Refusal(reason="poor_quality_blur")]),))
    assert kept(kit, refused, source) == ()


@pytest.mark.parametrize(("forms", "named"), [
    ([Form.PICTURE, Form.REPORT_SR], Form.REPORT_SR), ([Form.PICTURE], Form.PICTURE), ([Form.PDF, Form.PICTURE], Form.PDF),
])  # fmt: skip
def test_without_a_report_another_object_that_says_everything_names_the_visit(kit: Any, forms: list[Form], named: Form) -> None:
    source = image(kit, FIRST, OWN)
    case, edition = case_of(kit, source), kit.edition(*forms)
    (one,) = kept(kit, case, source, edition=edition)
    made = next(each for each in kit.composed(case, source, edition=edition) if each.form is named)
    assert one.report.form is named
    assert (one.report.sop_instance_uid, one.report.series_instance_uid) == (made.sop_instance_uid, made.series_instance_uid)
    assert one.report.sop_class_uid == made.sop_class_uid


def test_where_only_a_message_is_made_nothing_can_be_referred_to_later(kit: Any) -> None:
    source = image(kit, FIRST, OWN)
    assert kept(kit, case_of(kit, source), source, edition=kit.edition(Form.MESSAGE)) == ()


def test_sources_that_are_missing_are_a_defect(kit: Any) -> None:
    with pytest.raises(Defect, match="no source bytes"):
        lesion_visits(case_of(kit, image(kit, FIRST, OWN)), {}, kit.identity(), kit.edition())


def second_visit(
    kit: Any, attributes: dict[str, Any], before: dict[str, Any], melanoma: float = 0.75, **other: Any
) -> tuple[Any, CaseFindings, LesionVisit]:
    """A study of which the first visit's lesion was seen half a year before, smaller by a third of the picture."""
    earlier_image = image(kit, FIRST, before, rows=45, columns=60)
    (visit,) = kept(kit, replace(case_of(kit, earlier_image, 0.5), grouping=other.get("grouping", Grouping.TRACKING)), earlier_image)
    source = image(kit, SECOND, attributes)
    return source, case_of(kit, source, melanoma, visits=(visit,), **other), visit


def changes(objects: tuple[Composed, ...]) -> list[readback.ReadGroup]:
    return [group for group in readback.groups(report_of(objects).data) if group.prior]


def test_the_report_says_how_area_diameter_and_probability_changed_and_names_the_earlier_report(kit: Any) -> None:
    source, case, visit = second_visit(kit, OWN | CALIBRATED, OWN | CALIBRATED)
    objects = kit.composed(case, source)
    kit.checked(objects, case, source)
    size, melanoma, nevus = changes(objects)
    (now,) = kept(kit, case, source)
    area, diameter, step = size.number("change_of_area"), size.number("change_of_diameter"), melanoma.number("change_of_probability")
    assert area is not None and diameter is not None and step is not None
    assert visit.area is not None and now.area is not None and visit.diameter is not None and now.diameter is not None
    assert area.value == pytest.approx(now.area - visit.area, rel=1e-5)
    assert diameter.value == pytest.approx(now.diameter - visit.diameter, rel=1e-5)
    assert (area.unit, diameter.unit) == ("mm2", "mm")
    assert step.value == pytest.approx(0.25)
    assert [one.finding for one in (melanoma, nevus)] == [("372244006", "SCT"), ("400096001", "SCT")]
    assert {one.prior for one in (size, melanoma, nevus)} == {visit.report.sop_instance_uid}
    assert "since the study of 2026-05-01: area +" in size.comment
    assert "probability of melanoma +0.25, from 0.5 (50.0 %) to 0.75 (75.0 %)" in melanoma.comment
    document = pydicom.dcmread(io.BytesIO(report_of(objects).data))
    (other,) = document.PertinentOtherEvidenceSequence
    assert other.StudyInstanceUID == FIRST
    (series,) = other.ReferencedSeriesSequence
    assert (series.SeriesInstanceUID, series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) == (
        visit.report.series_instance_uid, visit.report.sop_instance_uid,
    )
    summary = next(str(item.TextValue) for item in document.ContentSequence if item.ValueType == "TEXT" and "lesion on" in str(item.TextValue))
    assert "since the study of 2026-05-01: area +" in summary


@pytest.mark.parametrize("uncalibrated", ["before", "now"])
def test_millimetres_are_compared_only_where_both_visits_have_them_and_the_share_with_a_warning(kit: Any, uncalibrated: str) -> None:
    before, now = (OWN, OWN | CALIBRATED) if uncalibrated == "before" else (OWN | CALIBRATED, OWN)
    source, case, _ = second_visit(kit, now, before)
    objects = kit.composed(case, source)
    kit.checked(objects, case, source)
    size = changes(objects)[0]
    assert [one.meaning for one in size.numbers] == ["Change of the share of the image since the earlier study"]
    assert "depends on the camera's distance" in size.comment
    assert "millimetres are not compared" in size.comment


def test_probabilities_of_another_bundle_are_not_compared(kit: Any) -> None:
    source, case, visit = second_visit(kit, OWN, OWN)
    other = tuple(replace(one, bundle_hash="c" * 64) for one in visit.probabilities)
    case = replace(case, visits=(replace(visit, probabilities=other),))
    objects = kit.composed(case, source)
    kit.checked(objects, case, source)
    assert [one.finding for one in changes(objects)] == [("95324001", "SCT")]


def test_sizes_of_an_outline_by_another_bundle_are_not_compared(kit: Any) -> None:
    source, case, visit = second_visit(kit, OWN | CALIBRATED, OWN | CALIBRATED)
    objects = kit.composed(replace(case, visits=(replace(visit, outlined_by=("c" * 64,)),)), source)
    kit.checked(objects, replace(case, visits=(replace(visit, outlined_by=("c" * 64,)),)), source)
    said = changes(objects)
    assert {number.meaning for one in said for number in one.numbers} == {"Change of the probability since the earlier study"}
    assert not any("area +" in one.comment for one in said)


def test_a_visit_with_which_nothing_can_be_compared_is_named_all_the_same(kit: Any) -> None:
    source, case, visit = second_visit(kit, OWN, OWN)
    case = replace(case, visits=(replace(visit, probabilities=(), share=None, study_date=None),))
    objects = kit.composed(case, source)
    kit.checked(objects, case, source)
    (only,) = changes(objects)
    assert only.numbers == ()
    assert "since the study of an unknown date: no size can be compared" in only.comment


def test_another_lesion_and_this_very_study_are_no_earlier_visit(kit: Any) -> None:
    source, case, visit = second_visit(kit, OWN, OWN)
    for other in (replace(visit, tracking_uid="1.2.9"), replace(visit, study_instance_uid=SECOND)):
        assert changes(kit.composed(replace(case, visits=(other,)), source)) == []


def test_by_setting_the_place_connects_two_visits_without_tracking_uid(kit: Any) -> None:
    place = kit.skin_of_back()
    source, case, visit = second_visit(kit, place, place, grouping=Grouping.SITE)
    assert {one.prior for one in changes(kit.composed(case, source))} == {visit.report.sop_instance_uid}
    assert changes(kit.composed(replace(case, grouping=Grouping.TRACKING), source)) == []


def test_what_a_visit_said_before_is_part_of_every_name(kit: Any) -> None:
    source, case, _ = second_visit(kit, OWN, OWN)
    with_visit = {one.sop_instance_uid for one in kit.composed(case, source)}
    assert not with_visit & {one.sop_instance_uid for one in kit.composed(replace(case, visits=()), source)}


@pytest.mark.parametrize("named_by", [Form.REPORT_SR, Form.PICTURE, Form.PDF])
@pytest.mark.parametrize("sr", SrClass)
def test_validators_pass_a_report_that_refers_to_an_earlier_study(kit: Any, sr: SrClass, named_by: Form, tmp_path: Path) -> None:
    source, case, visit = second_visit(kit, OWN | CALIBRATED | kit.skin_of_back(), OWN | CALIBRATED)
    edition = kit.edition(sr=sr)
    report = replace(visit.report, form=named_by, sop_class_uid=kit.edition(named_by).sop_class(named_by))
    case = replace(case, visits=(replace(visit, report=report),))
    objects = kit.composed(case, source, edition=edition)
    kit.checked(objects, case, source, edition=edition)
    file = tmp_path / "report.dcm"
    file.write_bytes(report_of(objects).data)
    content: Any = highdicom.sr.srread(file).content
    assert len(content.get_image_measurement_groups()) == 5
    for program, arguments, bad in (("dciodvfy", ["-new"], ("Error",)), ("dsrdump", [], ("E:", "F:"))):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (apt-get install dicom3tools dcmtk)")
        done = subprocess.run([program, *arguments, file], capture_output=True, encoding="utf-8", errors="replace", check=False)
        assert [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(bad)] == []


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    before=st.floats(0, 1), now=st.floats(0, 1), area=st.floats(0.001, 900), diameter=st.floats(0.001, 60), share=st.floats(1e-6, 1),
    tracked=st.booleans(),
)
def test_whatever_was_before_the_difference_is_what_is_read_back(
    kit: Any, before: float, now: float, area: float, diameter: float, share: float, tracked: bool
) -> None:
    source, case, visit = second_visit(kit, OWN | CALIBRATED, OWN | CALIBRATED, now)
    probabilities = tuple(replace(one, probability=before if one.class_id == "melanoma" else 1 - before) for one in visit.probabilities)
    other = replace(visit, probabilities=probabilities, area=area, diameter=diameter, share=share, tracked=tracked)
    case = replace(case, visits=(other,))
    objects = kit.composed(case, source)
    kit.checked(objects, case, source)
    size, melanoma, _ = changes(objects)
    (measured,) = kept(kit, case, source)
    step, grown = melanoma.number("change_of_probability"), size.number("change_of_area")
    assert step is not None and grown is not None and measured.area is not None
    assert step.value == pytest.approx(now - before, abs=2e-6)
    assert grown.value == pytest.approx(measured.area - area, rel=1e-5)

"""The main job: a pushed study comes back as SR, SEG and picture in a real PACS, and the case is confirmed."""

import io
from itertools import pairwise

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.uid import UID

from derm_pacs.domain.case import State
from derm_pacs.domain.composed import Form
from derm_pacs.ledger.reading import CaseStory
from derm_pacs.samples.wrap import Kind, wrap
from tests.acceptance import studies
from tests.acceptance.hospital import Hospital, as_bytes, wait_for
from tests.conftest import shared_data

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

PROBABILITY = ("122157", "DCM")
THRESHOLD = ("122411", "DCM")
AREA = ("42798000", "SCT")


def code_of(sequence: pydicom.Sequence) -> tuple[str, str]:
    return str(sequence[0].CodeValue), str(sequence[0].CodingSchemeDesignator)


def numbers(report: pydicom.Dataset) -> list[tuple[tuple[str, str], float, str, tuple[str, str] | None]]:
    """Return (name, value, unit, finding of its group) of every NUM of a report."""
    found: list[tuple[tuple[str, str], float, str, tuple[str, str] | None]] = []

    def walk(item: pydicom.Dataset, finding: tuple[str, str] | None) -> None:
        children = list(item.get("ContentSequence", []))
        for child in children:
            if child.ValueType == "CODE" and code_of(child.ConceptNameCodeSequence) == ("121071", "DCM"):
                finding = code_of(child.ConceptCodeSequence)
        for child in children:
            if child.ValueType == "NUM":
                value = child.MeasuredValueSequence[0]
                unit = str(value.MeasurementUnitsCodeSequence[0].CodeValue)
                found.append((code_of(child.ConceptNameCodeSequence), float(value.NumericValue), unit, finding))
            walk(child, finding)

    walk(report, None)
    return found


def ledger_probabilities(story: CaseStory, revision: int = 1) -> dict[str, float]:
    return {
        one["class_id"]: one["probability"]
        for run in next(r for r in story.revisions if r.number == revision).runs
        for finding in run.findings
        if finding.kind == "classification"
        for one in finding.data["probabilities"]
    }


def check_results(hospital: Hospital, instance: pydicom.Dataset, story: CaseStory) -> None:
    """Compare what the PACS gives back with the ledger: forms, identity, numbers and units, the mask."""
    study = str(instance.StudyInstanceUID)
    results = {str(one.SOPInstanceUID): one for one in hospital.results(study)}
    revision = story.revisions[0]
    (delivery,) = revision.deliveries
    sent = [one for one in revision.results if delivery.edition in one.editions]
    assert {one.sop_instance_uid for one in sent} == set(results)
    by_form = {one.form: results[one.sop_instance_uid] for one in sent}
    assert set(by_form) >= {Form.REPORT_SR, Form.PICTURE}
    assert len({one.SeriesInstanceUID for one in results.values()}) == len(results)
    for one in results.values():
        assert (one.PatientID, one.StudyInstanceUID) == (instance.PatientID, instance.StudyInstanceUID)
        assert str(one.PatientName) == str(instance.PatientName)
        assert one.TimezoneOffsetFromUTC
    report = by_form[Form.REPORT_SR]
    reported = numbers(report)
    melanoma = ("372244006", "SCT")
    probability = [value for name, value, unit, finding in reported if (name, unit, finding) == (PROBABILITY, "1", melanoma)]
    known = ledger_probabilities(story)
    if known:
        assert probability
        assert all(value == pytest.approx(known["melanoma"], abs=1e-6) for value in probability)
        assert [value for name, value, _, _ in reported if name == THRESHOLD]
    masks = {f.output: f for run in revision.runs for f in run.findings if f.kind == "segmentation"}
    pixels = masks["lesion"].data["pixels"]
    if pixels:
        areas = [(value, unit) for name, value, unit, _ in reported if name == AREA]
        assert (float(pixels), "{pixels}") in areas
        seg = hd.seg.segread(io.BytesIO(as_bytes(by_form[Form.SEG])))
        labels = [str(seg.get_segment_description(number).segment_label) for number in seg.segment_numbers]
        (lesion,) = (place for place, label in enumerate(labels) if "lesion" in label.lower())
        mask = seg.get_pixels_by_source_instance([str(instance.SOPInstanceUID)])
        assert int(np.asarray(mask)[..., lesion].astype(bool).sum()) == pixels
        assert Form.OVERLAY_SR in by_form


def test_real_dermoscopic_images_come_back_with_the_ledgers_numbers(hospital: Hospital) -> None:
    images = [one for _, one in studies.real("img/ham384", count=3)] + [one for _, one in studies.real("img/ham200", count=1)]
    hospital.put_into_pacs(images)
    for image in images:
        hospital.orthanc.send_study(str(image.StudyInstanceUID), "derm")
    for image in images:
        story = hospital.wait_for_end(str(image.StudyInstanceUID), within=240)
        assert story.revisions[0].state is State.CONFIRMED, story.revisions[0].reason_code
        check_results(hospital, image, story)


def test_full_resolution_images_come_back(hospital: Hospital) -> None:
    paths = sorted((shared_data() / "images" / "full").iterdir(), key=lambda path: -path.stat().st_size)
    largest, another = paths[0], paths[len(paths) // 2]
    for path in (largest, another):
        image = wrap(path, Kind.DERMOSCOPIC, studies.label(studies.new_study(), synthetic=False))
        hospital.put_into_pacs([image])
        hospital.orthanc.send_study(str(image.StudyInstanceUID), "derm")
        story = hospital.wait_for_end(str(image.StudyInstanceUID), within=240)
        assert story.revisions[0].state is State.CONFIRMED, story.revisions[0].reason_code
        check_results(hospital, image, story)


def test_a_clinical_photograph_is_outlined_and_not_classified(hospital: Hospital) -> None:
    row = studies.manifest_rows(dataset="PAD-UFES-20", split="val")[0]
    image = studies.real_image(row, Kind.CLINICAL)
    hospital.put_into_pacs([image])
    hospital.orthanc.send_study(str(image.StudyInstanceUID), "derm")
    story = hospital.wait_for_end(str(image.StudyInstanceUID))
    assert story.revisions[0].state is State.CONFIRMED, story.revisions[0].reason_code
    assert ledger_probabilities(story) == {}
    assert [run.bundle.name for run in story.revisions[0].runs] == ["skin_lesion_deeplabv3plus"]


def test_an_image_that_no_route_takes_is_named_in_the_report_of_its_study(hospital: Hospital) -> None:
    study = studies.new_study()
    unrouted = studies.drawn(study, seed=2, series=2)
    unrouted.SOPClassUID = unrouted.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.7")
    hospital.send([studies.drawn(study, seed=1), unrouted])
    story = hospital.wait_for_end(study)
    assert story.revisions[0].state is State.CONFIRMED, story.revisions[0].last_error
    (report,) = [one for one in hospital.results(study) if one.Modality == "SR" and "report" in str(one.SeriesDescription)]
    assert str(unrouted.SOPInstanceUID) in str(report)
    assert "NA-NOROUTE" in str(report)


def test_a_resend_makes_no_new_result(hospital: Hospital) -> None:
    image = studies.drawn(studies.new_study())
    study = str(image.StudyInstanceUID)
    assert hospital.send([image]) == [0]
    hospital.wait_for_end(study)
    before = {str(one.SOPInstanceUID) for one in hospital.results(study)}
    assert hospital.send([image, image]) == [0, 0]
    # A second image of another study, sent afterwards, has ended: the resend has been filed and closed long before.
    other = studies.drawn(studies.new_study(), seed=2)
    hospital.send([other])
    hospital.wait_for_end(str(other.StudyInstanceUID))
    story = hospital.story(study)
    assert story is not None
    assert [one.number for one in story.revisions] == [1]
    assert {str(one.SOPInstanceUID) for one in hospital.results(study)} == before


def test_a_late_image_opens_a_revision_whose_reports_name_their_predecessors(hospital: Hospital) -> None:
    first = studies.drawn(studies.new_study())
    study = str(first.StudyInstanceUID)
    hospital.send([first])
    hospital.wait_for_end(study)
    hospital.send([studies.drawn(study, seed=2, series=2)])
    hospital.wait_for_end(study, revision=2)
    story = wait_for("revision 1 is superseded", lambda: superseded(hospital, study))
    by_number = {one.number: one for one in story.revisions}
    assert by_number[2].state is State.CONFIRMED
    results = {str(one.SOPInstanceUID): one for one in hospital.results(study)}
    earlier = {one.sop_instance_uid for one in by_number[1].results if one.form is not Form.SEG}
    for one in by_number[2].results:
        if one.form is Form.REPORT_SR:
            named = {
                str(instance.ReferencedSOPInstanceUID)
                for study_item in results[one.sop_instance_uid].PredecessorDocumentsSequence
                for series in study_item.ReferencedSeriesSequence
                for instance in series.ReferencedSOPSequence
            }
            assert named <= earlier
            assert named


def test_a_study_that_holds_the_same_picture_twice_can_be_added_to(hospital: Hospital) -> None:
    study = studies.new_study()
    twice = [studies.drawn(study, seed=7, series=1), studies.drawn(study, seed=7, series=2)]
    assert twice[0].PixelData == twice[1].PixelData
    hospital.send(twice)
    hospital.wait_for_end(study)
    hospital.send([studies.drawn(study, seed=8, series=3)])
    story = hospital.wait_for_end(study, revision=2)
    assert {one.number: one.state for one in story.revisions}[2] is State.CONFIRMED, story.revisions[0].last_error


def superseded(hospital: Hospital, study: str) -> CaseStory | None:
    story = hospital.story(study)
    if story is None:
        return None
    return story if {one.number: one.state for one in story.revisions}.get(1) is State.SUPERSEDED else None


def test_corrected_demographics_are_composed_anew_and_not_analysed_again(hospital: Hospital) -> None:
    image = studies.drawn(studies.new_study(), seed=3)
    study = str(image.StudyInstanceUID)
    hospital.send([image])
    hospital.wait_for_end(study)
    hospital.send([studies.renamed(image, "CORRECTED^NAME")])
    hospital.wait_for_end(study, revision=2)
    story = hospital.story(study)
    assert story is not None
    by_number = {one.number: one for one in story.revisions}
    assert by_number[2].state is State.CONFIRMED
    assert all(run.reused for run in by_number[2].runs)
    assert ledger_probabilities(story, 1) == ledger_probabilities(story, 2)
    newest = {one.sop_instance_uid for one in by_number[2].results}
    names = {str(one.PatientName) for one in hospital.results(study) if str(one.SOPInstanceUID) in newest}
    assert names == {"CORRECTED^NAME"}


def test_what_is_ours_never_comes_back_in(hospital: Hospital) -> None:
    """The PACS of these tests routes everything that it gets to us, our results of every test before included."""
    image = studies.drawn(studies.new_study(), seed=4)
    study = str(image.StudyInstanceUID)
    hospital.send([image])
    story = hospital.wait_for_end(study)
    ours = {one.sop_instance_uid for one in story.revisions[0].results}

    def came_back() -> CaseStory | None:
        now = hospital.story(study)
        if now is None:
            return None
        return now if ours <= {one.sop_instance_uid for one in now.objects} else None

    story = wait_for("our results were routed back to us", came_back)
    assert {one.role.value for one in story.objects if one.sop_instance_uid in ours} == {"ours"}
    other = studies.drawn(studies.new_study(), seed=5)
    hospital.send([other])
    hospital.wait_for_end(str(other.StudyInstanceUID))
    later = hospital.story(study)
    assert later is not None
    assert [one.number for one in later.revisions] == [1]


def test_the_walk_of_a_case_is_told_in_order(hospital: Hospital) -> None:
    image = studies.drawn(studies.new_study(), seed=6)
    hospital.send([image])
    story = hospital.wait_for_end(str(image.StudyInstanceUID))
    revision = story.revisions[0]
    assert [step.to_state.value for step in revision.walk] == [
        "receiving", "queued", "analysing", "composing", "delivering", "confirmed",
    ]
    assert all(before.at <= after.at for before, after in pairwise(revision.walk))
    assert revision.close_reason == "quiet_period"

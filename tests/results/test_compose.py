"""The set of objects as a whole: what is made, under which names, with which patient, and always the same bytes."""

import hashlib
import io
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pydicom
import pytest
from pydicom import Dataset

from derm_pacs.domain.composed import Composed, Form, Reference
from derm_pacs.domain.edition import SegKind, SrClass
from derm_pacs.domain.errors import Defect
from derm_pacs.domain.findings import CaseFindings, Combine, Grade, LesionRule, Refusal, RunRole
from derm_pacs.domain.identifiers import is_legal_uid
from derm_pacs.domain.marks import IMPLEMENTATION_CLASS_UID, MANUFACTURER, PURPOSE
from derm_pacs.domain.visits import Grouping
from derm_pacs.results import source
from derm_pacs.results.arrange import arrange
from derm_pacs.results.check import check
from derm_pacs.results.compose import compose
from derm_pacs.results.identity import naming
from derm_pacs.results.unheard import unheard

SAME_BYTES = """
import hashlib, importlib.util, sys
spec = importlib.util.spec_from_file_location("kit", sys.argv[1])
kit = importlib.util.module_from_spec(spec); sys.modules["kit"] = kit; spec.loader.exec_module(kit)
from derm_pacs.results.compose import compose
sources = [kit.Source(), kit.Source(number=2, sop_class=kit.MULTI_FRAME_CAPTURE, frames=2)]
made = compose(kit.whole_case(sources), {one.uid: one.part10 for one in sources}, kit.identity(), kit.edition(), {})
print(hashlib.sha256(b"".join(one.data for one in made)).hexdigest())
"""


def made(kit: Any, *sources: Any, case: CaseFindings | None = None, **identity: Any) -> tuple[Composed, ...]:
    return compose(case or kit.whole_case(sources), {one.uid: one.part10 for one in sources}, kit.identity(**identity), kit.edition(), {})


def read(one: Composed) -> Dataset:
    return pydicom.dcmread(io.BytesIO(one.data))


def test_a_seg_an_overlay_and_a_report_are_made_each_in_a_series_of_its_own(kit: Any) -> None:
    objects = made(kit, kit.Source())
    assert [one.form for one in objects] == [Form.SEG, Form.OVERLAY_SR, Form.REPORT_SR]
    assert len({one.series_instance_uid for one in objects}) == 3
    assert [read(one).SeriesNumber for one in objects] == [9301, 9001, 9002]


def test_every_image_with_a_mask_gets_a_seg_in_a_series_of_its_own(kit: Any) -> None:
    objects = made(kit, kit.Source(sop_class=kit.MULTI_FRAME_CAPTURE, frames=3), kit.Source(number=2, rows=44))
    segs = [one for one in objects if one.form is Form.SEG]
    assert len(segs) == 2
    assert len({one.series_instance_uid for one in segs}) == 2


@pytest.mark.server
def test_the_same_inputs_give_the_same_bytes_in_another_process_and_time_zone(kit: Any) -> None:
    said = set()
    for zone, seed in (("UTC", "1"), ("Pacific/Auckland", "2")):
        answer = subprocess.run(
            [sys.executable, "-c", SAME_BYTES, str(Path(kit.__file__))],
            env={"TZ": zone, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=True,
        )
        said.add(answer.stdout.strip())
    sources = [kit.Source(), kit.Source(number=2, sop_class=kit.MULTI_FRAME_CAPTURE, frames=2)]
    here = b"".join(one.data for one in made(kit, *sources))
    assert said == {hashlib.sha256(here).hexdigest()}


def test_the_order_in_which_findings_are_given_does_not_matter(kit: Any) -> None:
    sources = [kit.Source(), kit.Source(number=2)]
    case = kit.whole_case(sources)
    turned = CaseFindings(runs=case.runs[::-1], findings=case.findings[::-1])
    assert [one.sha256 for one in made(kit, *sources, case=turned)] == [one.sha256 for one in made(kit, *sources)]


@pytest.mark.parametrize(
    "change",
    [
        {"installation_uid": "2.25.999"}, {"revision": 2}, {"revision_hash": "f" * 64}, {"facility": "Another"},
        {"made_at": datetime(2026, 11, 21, 9, 30, 16, tzinfo=ZoneInfo("Europe/Berlin"))},
        {"predecessors": (Reference(form=Form.REPORT_SR, sop_class_uid="1.2", sop_instance_uid="2.25.5", series_instance_uid="2.25.6", study_instance_uid="2.25.7"),)},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_whatever_changes_the_identity_changes_every_uid(kit: Any, change: dict[str, Any]) -> None:
    before, after = made(kit, kit.Source()), made(kit, kit.Source(), **change)
    assert not {one.sop_instance_uid for one in before} & {one.sop_instance_uid for one in after}
    assert not {one.series_instance_uid for one in before} & {one.series_instance_uid for one in after}


def test_another_threshold_another_setter_and_another_bundle_change_every_uid(kit: Any) -> None:
    source = kit.Source()
    case = kit.whole_case([source])
    segmenter, classifier = case.runs
    point = classifier.operating_points[0]
    seen = [{one.sop_instance_uid for one in made(kit, source)}]
    for other in (
        replace(classifier, operating_points=(replace(point, threshold=0.51),)),
        replace(classifier, operating_points=(replace(point, set_by="lead"),)),
        replace(classifier, operating_points=()),
    ):
        changed = CaseFindings(runs=(segmenter, other), findings=case.findings)
        seen.append({one.sop_instance_uid for one in made(kit, source, case=changed)})
    assert len(set().union(*seen)) == sum(len(one) for one in seen)


def test_all_uids_of_ours_are_legal(kit: Any) -> None:
    for one in made(kit, kit.Source()):
        assert is_legal_uid(one.sop_instance_uid) and one.sop_instance_uid.startswith("2.25.")
        assert is_legal_uid(one.series_instance_uid)


def test_everything_of_ours_is_dated_from_the_case_in_the_facilitys_zone(kit: Any) -> None:
    for one in made(kit, kit.Source()):
        dataset = read(one)
        assert dataset.TimezoneOffsetFromUTC == "+0100"
        for stem in ("InstanceCreation", "Content", "Series"):
            assert (dataset[f"{stem}Date"].value, dataset[f"{stem}Time"].value) == ("20261121", "093015.250000")
        times = {str(item.ContributionDateTime) for item in dataset.ContributingEquipmentSequence if "ContributionDateTime" in item}
        assert times == {"20261121093015.250000+0100"}
        assert (dataset.StudyDate, dataset.StudyTime) == ("20261120", "093000")


def test_a_source_with_an_offset_of_its_own_keeps_its_study_time_true(kit: Any) -> None:
    source = kit.Source(attributes=kit.BASIC | {"TimezoneOffsetFromUTC": "-0500"})
    dataset = read(made(kit, source)[-1])
    assert dataset.TimezoneOffsetFromUTC == "-0500"
    assert (dataset.ContentDate, dataset.ContentTime) == ("20261121", "033015.250000")
    assert dataset.StudyTime == "093000"


def test_a_time_without_zone_is_refused(kit: Any) -> None:
    with pytest.raises(Defect, match="no time zone"):
        made(kit, kit.Source(), made_at=datetime(2026, 11, 21, 9, 30))  # noqa: DTZ001 - that is the point


NAMES = [
    ("ISO_IR 100", "Müller^Jörg", "Münchner Straße"),
    ("ISO_IR 144", "Люксембург^Иван", "Клиника"),
    (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", "皮膚科"),
    ("GB18030", "Wang^XiaoDong=王^小东", "皮肤"),
    ("ISO_IR 192", "Ξένος^Ζωή", "नाम"),
    (None, "Plain^Name", "plain"),
]


@pytest.mark.parametrize(("character_set", "name", "description"), NAMES, ids=[str(one[0]) for one in NAMES])
def test_foreign_names_come_through_whole(kit: Any, character_set: Any, name: str, description: str) -> None:
    attributes = {"SpecificCharacterSet": character_set, "PatientName": name, "PatientID": "P-1", "StudyDescription": description}
    for one in made(kit, kit.Source(attributes=attributes)):
        dataset = read(one)
        assert dataset.SpecificCharacterSet == "ISO_IR 192"
        assert str(dataset.PatientName) == name
        assert dataset.StudyDescription == description


@pytest.mark.parametrize(
    "attributes",
    [
        {"PatientSex": "W"}, {"PatientBirthDate": "01.02.1970"}, {"StudyDate": "2026-11-20"}, {"StudyTime": "9:30"},
        {"PatientName": "Only"}, {"PatientName": "A^B^C^D^E"}, {"PatientID": "x" * 70}, {"AccessionNumber": "a" * 20},
        {"Manufacturer": "M" * 80},
    ],
    ids=str,
)  # fmt: skip
def test_odd_values_of_the_sender_are_taken_over_as_they_are_and_never_logged(
    kit: Any, attributes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    source = kit.Source(attributes=kit.BASIC | attributes)
    with unheard():
        part10 = source.part10
    with caplog.at_level("DEBUG"):
        objects = compose(kit.whole_case([source]), {source.uid: part10}, kit.identity(), kit.edition(), {})
    assert not any(str(value) in record.getMessage() for record in caplog.records for value in attributes.values())
    check(objects, kit.whole_case([source]), {source.uid: part10}, kit.identity(), kit.edition(), {})
    for one in objects:
        for keyword, value in attributes.items():
            if keyword != "Manufacturer":
                assert str(read(one)[keyword].value) == value


def test_absent_type_2_attributes_become_empty_and_comments_stay_behind(kit: Any) -> None:
    source = kit.Source(attributes={"PatientComments": "nobody knows what stands here"})
    dataset_of = source.dataset

    def bare() -> Dataset:
        dataset: Dataset = dataset_of()
        for keyword in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"):
            del dataset[keyword]
        return dataset

    source.dataset = bare
    for one in made(kit, source):
        dataset = read(one)
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyID", "AccessionNumber"):
            assert keyword in dataset
            assert not dataset[keyword].value
        assert "PatientComments" not in dataset


def test_the_issuer_and_the_requests_of_the_source_come_along(kit: Any) -> None:
    request, code = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "446078004", "SCT", "Dermoscopic photography"
    request.RequestedProcedureID, request.RequestedProcedureDescription, request.AccessionNumber = "RP1", "Derm", "A1"
    request.RequestedProcedureCodeSequence = [code]
    source = kit.Source(attributes=kit.BASIC | {"IssuerOfPatientID": "KLINIK", "RequestAttributesSequence": [request]})
    seg, overlay, report = (read(one) for one in made(kit, source))
    assert {seg.IssuerOfPatientID, overlay.IssuerOfPatientID, report.IssuerOfPatientID} == {"KLINIK"}
    assert seg.RequestAttributesSequence[0].RequestedProcedureID == "RP1"
    assert report.ReferencedRequestSequence[0].RequestedProcedureID == "RP1"
    assert report.ReferencedRequestSequence[0].AccessionNumber == "A1"


def test_every_object_says_whose_it_is(kit: Any) -> None:
    for one in made(kit, kit.Source()):
        dataset = read(one)
        assert dataset.Manufacturer == MANUFACTURER
        assert dataset.DeviceSerialNumber == "2.25.1234567"
        assert dataset.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
        own = [item for item in dataset.ContributingEquipmentSequence if item.get("Manufacturer") == MANUFACTURER]
        assert [item.PurposeOfReferenceCodeSequence[0].CodeValue for item in own] == [PURPOSE[0]]
        assert "1.2.0" in own[0].ContributionDescription or "1.0.0" in own[0].ContributionDescription


def test_the_series_say_what_they_are_and_that_the_source_is_synthetic(kit: Any) -> None:
    said = [read(one).SeriesDescription for one in made(kit, kit.Source())]
    assert said == [
        "SYNTHETIC, AI outline 1 r1, research use", "SYNTHETIC, AI overlay r1, research use", "SYNTHETIC, AI report r1, research use",
    ]
    plain = kit.Source(attributes=kit.BASIC | {"SeriesDescription": "Dermoscopy"})
    assert read(made(kit, plain)[-1]).SeriesDescription == "AI report r1, research use"


def test_a_bundle_of_demonstration_grade_is_named_so_and_the_line_still_fits(kit: Any) -> None:
    source = kit.Source()
    case = kit.whole_case([source])
    shown = tuple(replace(run, bundle=replace(run.bundle, grade=Grade.DEMONSTRATION)) for run in case.runs)
    for one in made(kit, source, case=CaseFindings(runs=shown, findings=case.findings), revision=999):
        said = read(one).SeriesDescription
        assert said.endswith("research use, demonstration")
        assert len(said) <= 64


def test_a_later_revision_names_the_earlier_reports_each_its_own(kit: Any) -> None:
    first = made(kit, kit.Source())
    predecessors = tuple(
        Reference(
            form=one.form, sop_class_uid=one.sop_class_uid, sop_instance_uid=one.sop_instance_uid,
            series_instance_uid=one.series_instance_uid, study_instance_uid=kit.STUDY,
        )
        for one in first
    )
    second = made(kit, kit.Source(), kit.Source(number=2), revision=2, predecessors=predecessors)
    for form in (Form.OVERLAY_SR, Form.REPORT_SR):
        document = read(next(one for one in second if one.form is form))
        named = document.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
        assert [item.ReferencedSOPInstanceUID for item in named] == [one.sop_instance_uid for one in first if one.form is form]
        assert document.SeriesNumber > 9100


def test_a_predecessor_of_another_class_is_not_named(kit: Any) -> None:
    source = kit.Source()
    report = made(kit, source)[-1]
    before = Reference(
        form=report.form, sop_class_uid=report.sop_class_uid, sop_instance_uid=report.sop_instance_uid,
        series_instance_uid=report.series_instance_uid, study_instance_uid=kit.STUDY,
    )
    case, identity = kit.whole_case([source]), kit.identity(revision=2, predecessors=(before,))
    same, other = (kit.composed(case, source, identity=identity, edition=kit.edition(sr=sr))[-1] for sr in SrClass)
    assert "PredecessorDocumentsSequence" in read(same)
    assert "PredecessorDocumentsSequence" not in read(other)


def test_objects_on_which_two_editions_do_not_differ_are_the_same_objects_and_others_share_no_uid(kit: Any) -> None:
    source = kit.Source()
    case = kit.whole_case([source])
    usual = {one.form: one for one in kit.composed(case, source)}
    other = {one.form: one for one in kit.composed(case, source, edition=kit.edition(seg=SegKind.FRACTIONAL))}
    assert usual[Form.OVERLAY_SR] == other[Form.OVERLAY_SR]
    for form in (Form.SEG, Form.REPORT_SR):
        assert usual[form].sop_instance_uid != other[form].sop_instance_uid
        assert usual[form].series_instance_uid != other[form].series_instance_uid


@pytest.mark.parametrize("forms", [[Form.REPORT_SR], [Form.PICTURE], [Form.OVERLAY_SR, Form.PDF], [Form.MESSAGE], list(Form)], ids=str)
def test_an_edition_has_exactly_its_forms_in_the_order_of_sending(kit: Any, forms: list[Form]) -> None:
    source = kit.Source()
    case = kit.whole_case([source])
    objects = kit.composed(case, source, edition=kit.edition(*forms))
    kit.checked(objects, case, source, edition=kit.edition(*forms))
    assert [one.form for one in objects] == sorted(forms, key=list(Form).index)


@pytest.mark.parametrize("change", [
    {"unreadable": ("1.2.99",)}, {"grouping": Grouping.SITE},
    {"runs": (LesionRule(output="diagnosis", combine=Combine.MEAN),)},
], ids=lambda change: next(iter(change)))  # fmt: skip
def test_what_else_is_told_of_a_case_changes_every_uid_too(kit: Any, change: dict[str, Any]) -> None:
    source = kit.Source(attributes=kit.BASIC | kit.skin_of_back())
    case = kit.whole_case([source])
    if "runs" in change:
        change = {"runs": (kit.SEGMENTER, replace(kit.CLASSIFIER, lesion_rules=change["runs"]))}
    before, after = made(kit, source), made(kit, source, case=replace(case, **change))
    assert not {one.sop_instance_uid for one in before} & {one.sop_instance_uid for one in after}


def test_a_case_in_which_nothing_was_analysed_is_a_report_alone(kit: Any) -> None:
    source = kit.Source()
    refusals = [source.finding(run.bundle.content_hash, [Refusal(reason="poor_quality_blur")]) for run in kit.whole_case([source]).runs]
    case = CaseFindings(runs=kit.whole_case([source]).runs, findings=tuple(refusals))
    assert [one.form for one in made(kit, source, case=case)] == [Form.REPORT_SR]


def test_shadow_runs_say_nothing(kit: Any) -> None:
    source = kit.Source()
    case = kit.whole_case([source])
    segmenter, classifier = case.runs
    shadow = CaseFindings(runs=(segmenter, replace(classifier, role=RunRole.SHADOW)), findings=case.findings)
    objects = made(kit, source, case=shadow)
    assert all(b"melanoma_nevus_alexnet" not in one.data for one in objects)


@pytest.mark.parametrize("what", ["no findings", "unknown run", "mask of another size", "no source", "unknown concept", "not DICOM"])
def test_what_cannot_be_told_is_a_defect(kit: Any, what: str) -> None:
    source = kit.Source()
    case = kit.whole_case([source])
    sources = {source.uid: source.part10}
    if what == "no findings":
        case = CaseFindings(runs=case.runs, findings=())
    elif what == "unknown run":
        case = CaseFindings(runs=(), findings=case.findings)
    elif what == "mask of another size":
        case = CaseFindings(runs=case.runs, findings=(source.finding("a" * 64, [kit.outlined(kit.lesion_mask(10, 10))]),))
    elif what == "no source":
        sources = {}
    elif what == "unknown concept":
        odd = replace(kit.outlined(source.mask), concept="cutaneous_horn")
        case = CaseFindings(runs=case.runs, findings=(source.finding("a" * 64, [odd]),))
    else:
        sources = {source.uid: b"not DICOM"}
    with pytest.raises(Defect) as caught:
        compose(case, sources, kit.identity(), kit.edition(), {})
    assert caught.value.reason.code == "result_invalid"


def test_two_studies_are_never_told_as_one(kit: Any) -> None:
    other = kit.Source(number=2, attributes=kit.BASIC | {"StudyInstanceUID": "1.2.3.9"})
    with pytest.raises(Defect, match="more than one study"):
        made(kit, kit.Source(), other)


def test_an_error_that_quotes_a_value_is_told_without_it(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def quoting(*_: object) -> None:
        raise ValueError("Invalid value for VR PN: 'Muster^Erika'")

    monkeypatch.setattr("derm_pacs.results.sr_report.compose", quoting)
    with pytest.raises(Defect, match=r"cannot be composed \(ValueError\)") as raised:
        made(kit, kit.Source())
    assert "Muster" not in str(raised.value)


def test_the_names_change_with_every_library_on_which_the_bytes_depend(kit: Any) -> None:
    """An update that draws, measures, decodes or writes otherwise must not give a known UID other bytes."""
    images = {one.uid: source.read(one.part10) for one in [kit.Source()]}
    identity = kit.identity()
    names = naming(identity, arrange(kit.whole_case([kit.Source()]), images, identity.installation_uid), kit.edition())
    for library in ("pydicom", "highdicom", "numpy", "scikit-image", "pillow", "reportlab", "python-gdcm", "pylibjpeg-rle"):
        assert version(library) in names.parts, library


def test_what_is_read_of_a_source_does_not_keep_its_pixels(kit: Any) -> None:
    """A study's mosaics together can be more than the memory."""
    part10 = kit.Source(rows=1200, columns=1200).part10
    tracemalloc.start()
    try:
        kept = [source.read(bytes(bytearray(part10))) for _ in range(4)]
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(kept) == 4
    assert held < len(part10) / 2

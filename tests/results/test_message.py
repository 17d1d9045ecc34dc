"""What the message says to the record system, taken apart here without the library that checks it."""

import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset

from derm_pacs.domain.composed import Composed, Form, Reference
from derm_pacs.domain.edition import Edition
from derm_pacs.domain.errors import Defect
from derm_pacs.domain.findings import CaseFindings, Combine, LesionRule, Refusal
from derm_pacs.domain.visits import LesionProbability, LesionVisit
from derm_pacs.results import er7, message, source
from derm_pacs.results.arrange import Arrangement, arrange
from derm_pacs.results.check_message import message_faults
from derm_pacs.results.identity import naming

Segments = list[list[str]]


def told(kit: Any, *sources: Any, case: CaseFindings | None = None, **identity: Any) -> tuple[Arrangement, Composed]:
    images = {one.uid: source.read(one.part10) for one in sources}
    named = kit.identity(**identity)
    arrangement = arrange(case or kit.whole_case(list(sources)), images, named.installation_uid)
    return arrangement, message.compose(arrangement, naming(named, arrangement, Edition(forms=frozenset({Form.MESSAGE}))))


def checked(kit: Any, *sources: Any, case: CaseFindings | None = None, **identity: Any) -> Segments:
    """The segments of a message that passed its last look, each with its name at index 0 and field n at n."""
    arrangement, made = told(kit, *sources, case=case, **identity)
    assert list(message_faults(made, arrangement)) == []
    segments = [line.split("|") for line in made.data.decode("utf-8").split("\r")]
    assert segments.pop() == [""]
    segments[0].insert(1, "|")
    return segments


def field(segments: Segments, name: str, number: int) -> str:
    [segment] = [one for one in segments if one[0] == name]
    return segment[number] if number < len(segment) else ""


def values(segments: Segments, name: str, sub: str | None = None) -> list[str]:
    """The values (OBX-5) of observations whose identifier begins so, with their units."""
    return [
        one[5] + (f" {one[6].split('^')[0]}" if one[6] else "") for one in segments
        if one[0] == "OBX" and one[3].startswith(f"{name}^") and (sub is None or one[4] == sub)
    ]


def unescaped(text: str) -> str:
    return re.sub(
        r"\\(X..|.)\\", lambda match: {"F": "|", "S": "^", "T": "&", "R": "~", "E": "\\"}.get(match[1]) or chr(int(match[1][1:], 16)), text
    )


def test_it_is_an_unsolicited_result_in_utf_8_of_the_facility(kit: Any) -> None:
    segments = checked(kit, kit.Source())
    said = [field(segments, "MSH", number) for number in (2, 3, 4, 5, 6, 9, 12, 18)]
    assert said == ["^~\\&", "derm-pacs", "Universitätsklinikum", "", "", "ORU^R01^ORU_R01", "2.5.1", "UNICODE UTF-8"]
    assert field(segments, "MSH", 7) == "20261121093015.2500+0100"
    assert [one[0] for one in segments[:4]] == ["MSH", "PID", "ORC", "OBR"]
    assert [one[1] for one in segments[4:]] == [str(number) for number in range(1, len(segments) - 3)]


def test_its_time_is_the_facilitys_also_where_the_camera_has_another_zone(kit: Any) -> None:
    segments = checked(kit, kit.Source(attributes=kit.BASIC | {"TimezoneOffsetFromUTC": "-0500"}))
    assert field(segments, "MSH", 7) == "20261121093015.2500+0100"


def test_nothing_in_it_is_final(kit: Any) -> None:
    segments = checked(kit, kit.Source(), revision=2)
    assert field(segments, "OBR", 25) == "P"
    assert {one[11] for one in segments if one[0] == "OBX"} == {"P"}
    assert values(segments, "REVISION") == ["Revision 2 of the results of this study; it takes the place of revision 1."]


def test_it_begins_with_what_it_is_worth(kit: Any) -> None:
    first = next(one for one in checked(kit, kit.Source()) if one[0] == "OBX")
    assert first[2] == "TX"
    assert first[5].startswith("AI result, research use, not for primary diagnosis.")
    assert "SYNTHETIC" in first[5]


@pytest.mark.parametrize(("description", "processing"), [("SYNTHETIC dermoscopy", "T"), ("Dermoscopy", "P")])
def test_a_synthetic_study_is_a_training_message_which_a_system_in_production_refuses(
    kit: Any, description: str, processing: str
) -> None:
    segments = checked(kit, kit.Source(attributes=kit.BASIC | {"SeriesDescription": description}))
    assert field(segments, "MSH", 11) == processing


def test_its_control_identifier_is_the_same_at_each_try_and_another_for_another_revision(kit: Any) -> None:
    first, again, second = (field(checked(kit, kit.Source(), revision=number), "MSH", 10) for number in (1, 1, 2))
    assert first == again != second
    assert re.fullmatch(r"[A-Z2-7]{20}", first)


def test_the_same_findings_give_the_same_bytes(kit: Any) -> None:
    sources = [kit.Source(), kit.Source(number=2, frames=2, sop_class=kit.MULTI_FRAME_CAPTURE)]
    case = kit.whole_case(sources)
    turned = CaseFindings(runs=case.runs[::-1], findings=case.findings[::-1])
    assert told(kit, *sources, case=case)[1] == told(kit, *sources, case=turned)[1]


def test_each_class_has_its_probability_and_the_point_its_threshold_setter_and_call(kit: Any) -> None:
    segments = checked(kit, kit.Source())
    assert values(segments, "P-372244006") == ["0.873123 1"]
    assert values(segments, "P-400096001") == ["0.126877 1"]
    assert values(segments, "122411", "1.c1.p1") == ["0.5 1"]
    assert values(segments, "SET-BY") == ["default: bundle author"]
    assert values(segments, "CALL") == ["372244006^Melanoma^SCT"]
    assert values(segments, "111012") == ["87.3123 %"]


def test_each_value_names_the_bundle_that_said_it_and_each_bundle_its_hash(kit: Any) -> None:
    segments = checked(kit, kit.Source())
    [probability] = [one for one in segments if one[0] == "OBX" and one[3].startswith("P-372244006^")]
    assert probability[17] == "b" * 20 + "^melanoma_nevus_alexnet 1.2.0^99DERMPACS"
    assert values(segments, "111001") == ["melanoma_nevus_alexnet", "skin_lesion_deeplabv3plus"]
    assert values(segments, "111003") == ["1.2.0", "1.0.0"]
    assert values(segments, "111002") == [f"sha256={letter * 64}; grade=research" for letter in "ba"]


@pytest.mark.parametrize(
    ("sop_class", "area", "diameter", "perimeter"),
    [("77.1.7", "1012 {pixels}", "41.1096 {pixels}", "121.492 {pixels}"), ("77.1.8", "0.002024 mm2", "0.070859 mm", "0.178955 mm")],
)
def test_sizes_are_in_millimetres_only_where_the_image_says_how_large_a_pixel_is(
    kit: Any, sop_class: str, area: str, diameter: str, perimeter: str
) -> None:
    segments = checked(kit, kit.Source(sop_class=kit.ROOT + sop_class))
    assert values(segments, "121071") == ["95324001^Skin lesion^SCT"]
    assert values(segments, "42798000", "1.i1.r1") == [area]
    assert values(segments, "81827009", "1.i1.r1") == [diameter]
    assert values(segments, "131191004", "1.i1.r1") == [perimeter]
    assert values(segments, "SHARE-OF-IMAGE", "1.i1.r1") == ["21.0833 %"]


def test_where_nothing_was_found_the_area_is_zero_and_no_diameter_is_told(kit: Any) -> None:
    image = kit.Source()
    nothing = kit.outlined(image.mask & False)
    case = CaseFindings(runs=(kit.SEGMENTER,), findings=(image.finding("a" * 64, [nothing]),))
    segments = checked(kit, image, case=case)
    assert values(segments, "42798000") == ["0 {pixels}"]
    assert values(segments, "81827009") == []
    assert "no skin lesion was found" in values(segments, "121106", "1.i1.r1")[0]


def test_lesions_images_and_frames_have_numbers_of_their_own_with_their_uids(kit: Any) -> None:
    sources = [kit.Source(), kit.Source(number=2, frames=2, sop_class=kit.MULTI_FRAME_CAPTURE)]
    segments = checked(kit, *sources)
    assert values(segments, "110180") == [kit.STUDY]
    assert values(segments, "SOP-INSTANCE-UID", "1.i1") == [sources[0].uid]
    assert values(segments, "SOP-INSTANCE-UID", "2.i2") == [sources[1].uid]
    assert values(segments, "FRAME-NUMBER") == ["1 1", "2 1"]
    assert values(segments, "112039") == ["Lesion 1", "Lesion 2"]
    assert len(set(values(segments, "112040"))) == 2


def test_several_images_of_a_lesion_give_its_call_and_each_images_figures_beside_it(kit: Any) -> None:
    own = kit.BASIC | {"TrackingUID": "2.25.77", "TrackingID": "Mole by the scar"}
    sources = [kit.Source(attributes=own), kit.Source(number=2, attributes=own)]
    ruled = replace(kit.CLASSIFIER, lesion_rules=(LesionRule(output="diagnosis", combine=Combine.MEAN),))
    findings = tuple(
        image.finding("b" * 64, [kit.diagnosis(melanoma)]) for image, melanoma in zip(sources, (0.3, 0.9), strict=True)
    )
    segments = checked(kit, *sources, case=CaseFindings(runs=(ruled,), findings=findings))
    assert values(segments, "112040", "1") == ["2.25.77"]
    assert values(segments, "COMBINED-BY", "1.c1") == ["RULE-MEAN^Mean of the images^99DERMPACS"]
    assert [values(segments, "P-372244006", sub) for sub in ("1.c1", "1.i1.c1", "1.i2.c1")] == [["0.6 1"], ["0.3 1"], ["0.9 1"]]
    assert [values(segments, "CALL", sub)[0][:9] for sub in ("1.c1.p1", "1.i1.c1.p1", "1.i2.c1.p1")] == ["372244006", "400096001", "372244006"]


def a_visit(**other: Any) -> LesionVisit:
    report = Reference(
        form=Form.REPORT_SR, sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34", sop_instance_uid="2.25.900", series_instance_uid="2.25.901",
        study_instance_uid="2.25.902",
    )
    values: dict[str, Any] = {
        "tracking_uid": "2.25.77", "tracked": True, "site": None, "laterality": None, "study_instance_uid": "2.25.902",
        "study_date": date(2026, 5, 1), "report": report, "images": (), "area": 0.001, "diameter": 0.08, "share": 0.2, "outlined_by": ("a" * 64,),
        "probabilities": (
            LesionProbability(bundle_hash="b" * 64, output="diagnosis", class_id="melanoma", concept="melanoma", probability=0.25),
            LesionProbability(bundle_hash="c" * 64, output="diagnosis", class_id="nevus", concept="melanocytic_nevus", probability=0.1),
        ),
    }
    return LesionVisit(**(values | other))


def test_what_changed_since_an_earlier_visit_is_told_as_far_as_it_can_be_compared(kit: Any) -> None:
    image = kit.Source(sop_class=kit.CONFOCAL, attributes=kit.BASIC | {"TrackingUID": "2.25.77"})
    segments = checked(kit, image, case=replace(kit.whole_case([image], 0.75), visits=(a_visit(),)))
    assert values(segments, "EARLIER-STUDY", "1.d") == ["2.25.902"]
    assert values(segments, "CHANGE-AREA") == ["0.001024 mm2"]
    assert values(segments, "CHANGE-DIAMETER") == ["-0.009141 mm"]
    assert values(segments, "CHANGE-SHARE") == ["1.0833 %"]
    assert values(segments, "CHANGE-PROB") == ["0.5 1"]
    [change] = [one for one in segments if one[0] == "OBX" and one[4] == "1.d1" and one[2] == "NM"]
    assert change[3].endswith("^P-372244006^Probability of melanoma^99DERMPACS")


def test_no_two_observations_have_name_and_sub_identifier_in_common(kit: Any) -> None:
    own = kit.BASIC | {"TrackingUID": "2.25.77"}
    sources = [kit.Source(attributes=own), kit.Source(number=2, frames=2, attributes=own), kit.Source(number=3)]
    point = kit.CLASSIFIER.operating_points[0]
    both = replace(
        kit.CLASSIFIER, operating_points=(point, replace(point, id="strict", threshold=0.9)),
        lesion_rules=(LesionRule(output="diagnosis", combine=Combine.MAXIMUM),),
    )
    case = kit.whole_case(sources)
    second = replace(both, bundle=replace(both.bundle, name="another_bundle", content_hash="c" * 64))
    more = tuple(replace(one, bundle_hash="c" * 64) for one in case.findings if one.bundle_hash == "b" * 64)
    told_case = replace(case, runs=(kit.SEGMENTER, both, second), findings=(*case.findings, *more), visits=(a_visit(),))
    segments = checked(kit, *sources, case=told_case)
    names = [(one[3].split("^")[0], one[4]) for one in segments if one[0] == "OBX"]
    assert len(names) == len(set(names))
    assert len(names) > 100


def test_what_was_not_analysed_has_its_reason_and_what_to_do(kit: Any) -> None:
    image = kit.Source()
    case = CaseFindings(
        runs=(kit.CLASSIFIER,), findings=(image.finding("b" * 64, [Refusal(reason="poor_quality_blur", detail="3 < 10")]),),
        unreadable=("2.25.42",),
    )
    segments = checked(kit, image, case=case)
    assert values(segments, "NOT-ANALYSED", "1.i1.n1") == ["NA-BLUR^The image is not sharp enough^99DERMPACS"]
    assert "Take the image again, in focus." in values(segments, "121106", "1.i1.n1")[0]
    assert values(segments, "UNREADABLE", "0.u1") == ["2.25.42"]
    assert values(segments, "NOT-ANALYSED", "0.u1")[0].startswith("NA-UNREADABLE^")
    assert values(segments, "CALL") == []


def test_the_site_and_the_side_are_coded(kit: Any) -> None:
    segments = checked(kit, kit.Source(attributes=kit.BASIC | kit.skin_of_back()))
    assert values(segments, "363698007") == ["66643007^Skin of back^SCT"]
    assert values(segments, "272741003") == ["7771000^Left^SCT"]


def test_the_patient_has_identifier_issuer_birth_date_and_sex_as_the_source_says(kit: Any) -> None:
    qualifiers = Dataset()
    qualifiers.UniversalEntityID, qualifiers.UniversalEntityIDType, qualifiers.IdentifierTypeCode = "1.2.3", "ISO", "MR"
    own = kit.BASIC | {"IssuerOfPatientID": "KLINIK", "IssuerOfPatientIDQualifiersSequence": [qualifiers]}
    segments = checked(kit, kit.Source(attributes=own))
    assert [field(segments, "PID", number) for number in (3, 5, 7, 8)] == ["P-1^^^KLINIK&1.2.3&ISO^MR", "Muster^Erika^^^^^^A", "19700101", "F"]


@pytest.mark.parametrize(
    ("keyword", "value", "number", "said"),
    [
        ("PatientSex", "", 8, "U"), ("PatientSex", "W", 8, "U"), ("PatientSex", "O", 8, "O"), ("PatientBirthDate", "", 7, ""),
        ("PatientBirthDate", "01.02.1970", 7, ""), ("PatientName", "", 5, "^^^^^^U"), ("PatientName", "^^", 5, "^^^^^^U"),
        ("PatientID", "", 3, ""), ("PatientName", '""', 5, "\\X22\\\\X22\\^^^^^^^A"),
    ],
)  # fmt: skip
def test_what_the_source_leaves_out_or_says_oddly_is_not_made_up(
    kit: Any, keyword: str, value: str, number: int, said: str
) -> None:
    assert field(checked(kit, kit.Source(attributes=kit.BASIC | {keyword: value})), "PID", number) == said


def test_all_groups_of_a_foreign_name_are_told_each_as_what_it_is(kit: Any) -> None:
    own = {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう", "PatientID": "P-1"}
    said = field(checked(kit, kit.Source(attributes=own)), "PID", 5)
    assert said == "Yamada^Tarou^^^^^^A~山田^太郎^^^^^^I~やまだ^たろう^^^^^^P"


def test_the_order_is_named_by_accession_number_and_what_was_asked_for(kit: Any) -> None:
    request, procedure, issuer = Dataset(), Dataset(), Dataset()
    procedure.CodeValue, procedure.CodingSchemeDesignator, procedure.CodeMeaning = "DERM1", "99KLINIK", "Mole check"
    request.RequestedProcedureID, request.RequestedProcedureCodeSequence = "RP-7", [procedure]
    issuer.LocalNamespaceEntityID = "RIS"
    own = kit.BASIC | {
        "RequestAttributesSequence": [request], "IssuerOfAccessionNumberSequence": [issuer],
        "PlacerOrderNumberImagingServiceRequest": "PL-1",
    }
    segments = checked(kit, kit.Source(attributes=own))
    assert [field(segments, "OBR", number) for number in (2, 3, 4, 7, 18, 19)] == [
        "PL-1", "A1^RIS", "DERM1^Mole check^99KLINIK", "20261120093000", "A1", "RP-7",
    ]
    assert [field(segments, "ORC", number) for number in (1, 2, 3)] == ["RE", "PL-1", "A1^RIS"]


def test_without_accession_number_the_study_names_the_order(kit: Any) -> None:
    segments = checked(kit, kit.Source(attributes=kit.BASIC | {"AccessionNumber": ""}))
    assert field(segments, "OBR", 3) == kit.STUDY
    assert field(segments, "OBR", 18) == ""


HOSTILE = st.text(st.sampled_from("|^~\\&\r\n\x0b\x1c\t \"'=FSTREX.brä漢") | st.characters(codec="utf-8"), max_size=40)


@given(HOSTILE)
def test_any_text_comes_back_as_it_was_and_stays_in_its_place(text: str) -> None:
    written = er7.segment("PID", {5: [[text, "next"]], 8: "F"})
    assert written.endswith("|F\r")
    assert not set(written[:-1]) & set("\r\n\x0b\x1c")
    assert written.count("|") == 8
    first, second = written.split("|")[5].split("^")
    assert (unescaped(first), second) == (text, "next")


PART = st.text(st.sampled_from("|~&\r\n\x0b\x1c\"'.FSTREX ä漢"), min_size=1, max_size=12).map(str.strip).filter(bool)


@given(st.lists(st.lists(PART, min_size=1, max_size=5), min_size=1, max_size=3))
def test_any_name_comes_back_group_by_group(kit: Any, groups: list[list[str]]) -> None:
    name = "=".join("^".join(group) for group in groups)
    segments = checked(kit, kit.Source(rows=16, columns=16, attributes=kit.BASIC | {"PatientName": name}))
    said = [[unescaped(part) for part in one.split("^")] for one in field(segments, "PID", 5).split("~")]
    expected = [[*group, "", "", "", "", ""][:5] for group in groups]
    assert [[*one[:3], one[4], one[3]] for one in said] == expected
    assert [one[7] for one in said] == list("AIP")[: len(groups)]


@pytest.mark.parametrize(
    ("change", "noticed"),
    [
        ((b"Muster", b"Master"), "patient name"), ((b"|P-1|", b"|P-2|"), "patient identifier"), ((b"|0.873123|", b"|0.873133|"), "P-372244006 of 1.c1"),
        ((b"372244006^Melanoma", b"400096001^Nevus"), "CALL of 1.c1.p1"), ((b"|19700101|F", b"|19700102|F"), "birth date"),
        ((b"|19700101|F", b"|19700101|M"), "patient sex"), ((b"|1012|{pixels}", b"|1012|mm2"), "42798000 of 1.i1.r1"), ((b"|||P\rOBX|2|", b"|||F\rOBX|2|"), "not preliminary"),
        ((b"+0100|||P\r", b"+0100|||F\r"), "preliminary"), ((b"UNICODE UTF-8", b"8859/1"), "UTF-8"), ((b"AI result, research use", b"Result"), "worth"),
        ((b"\rOBX|2|ST|", b"\rOBX|2|TX|"), "110180 of 0"), ((b"\rPID|", b"\rPIX|"), "patient name"), ((b"\rOBR|1|", b"\rNTE|1|"), "no HL7"), ((b"Muster", b"M\xff"), "no HL7"), ((b"MSH|", b"MSX|"), "no HL7"),
    ],
    ids=lambda value: value[1].decode("latin-1") if isinstance(value, tuple) else None,
)  # fmt: skip
def test_a_message_that_was_changed_does_not_pass_the_last_look(kit: Any, change: tuple[bytes, bytes], noticed: str) -> None:
    arrangement, made = told(kit, kit.Source())
    assert change[0] in made.data
    faults = list(message_faults(replace(made, data=made.data.replace(change[0], change[1], 1)), arrangement))
    assert any(noticed in one for one in faults), faults


def test_what_the_last_look_finds_never_quotes_the_patient(kit: Any) -> None:
    arrangement, made = told(kit, kit.Source())
    changed = replace(made, data=made.data.replace(b"Muster^Erika", b"Other^Person").replace(b"|P-1|", b"|P-9|"))
    said = " ".join(message_faults(changed, arrangement))
    assert said
    assert not any(word in said for word in ("Muster", "Erika", "Other", "Person", "P-1", "P-9"))


def test_a_message_of_another_object_does_not_pass(kit: Any) -> None:
    arrangement, made = told(kit, kit.Source())
    assert "control identifier" in " ".join(message_faults(replace(made, sop_instance_uid="2.25.1"), arrangement))


def test_an_edition_of_the_message_alone_is_composed_and_passes_the_whole_last_look(kit: Any) -> None:
    source_image, edition = kit.Source(), Edition(forms=frozenset({Form.MESSAGE}))
    case = kit.whole_case([source_image])
    [made] = kit.composed(case, source_image, edition=edition)
    kit.checked([made], case, source_image, edition=edition)
    assert made.form is Form.MESSAGE
    changed = replace(made, data=made.data.replace(b"Muster", b"Master"))
    with pytest.raises(Defect, match="patient name"):
        kit.checked([changed], case, source_image, edition=edition)

"""Calls that were read on crops: every result says on which, draws it, and takes no two crops of an image for one lesion."""

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pydicom
import pypdf
import pytest

from derm_pacs.domain.composed import Form
from derm_pacs.domain.findings import CaseFindings, Combine, Crops, LesionRule, Outcome, Rectangle, Refusal, Saliency
from derm_pacs.results.arrange import arrange
from derm_pacs.results.picture_words import card
from derm_pacs.results.readback import groups_of
from derm_pacs.results.source import read

LEFT, RIGHT = Rectangle(left=4, top=10, width=30, height=30), Rectangle(left=44, top=20, width=32, height=40)
ON_LEFT = "on the crop at column 5, row 11, 30 x 30 pixels"
ON_RIGHT = "on the crop at column 45, row 21, 32 x 40 pixels"
ALL = (Form.REPORT_SR, Form.OVERLAY_SR, Form.SEG, Form.PICTURE, Form.PRESENTATION, Form.PDF)


def on(kit: Any, region: Rectangle, melanoma: float) -> Outcome:
    heat = np.full((4, 4), 20, dtype=np.uint8)
    heat[1, 2] = 255
    said: Outcome = replace(
        kit.diagnosis(melanoma), region=region, saliency=Saliency(method="grad_cam", class_id="melanoma", grid=heat)
    )
    return said


def case_of(kit: Any, sources: Sequence[Any], *outcomes: Outcome) -> CaseFindings:
    """Each source outlined, its crops told, and read by the classifier as `outcomes` say; its lesions' calls are means."""
    classifier = replace(kit.CLASSIFIER, lesion_rules=(LesionRule(output="diagnosis", combine=Combine.MEAN),))
    findings = [
        one
        for source in sources
        for one in (
            source.finding("a" * 64, [kit.outlined(source.mask), Crops(output="lesion", rectangles=(LEFT, RIGHT))]),
            source.finding("b" * 64, list(outcomes)),
        )
    ]
    return CaseFindings(runs=(kit.SEGMENTER, classifier), findings=tuple(findings))


def made(kit: Any, case: CaseFindings, *sources: Any) -> dict[Form, bytes]:
    """What is composed in every form, after the last look."""
    previews = {(one.uid, 1): np.full((one.rows, one.columns, 3), 180, dtype=np.uint8) for one in sources}
    found: dict[Form, bytes] = {}
    for forms in (ALL, (Form.MESSAGE,)):
        other = {"edition": kit.edition(*forms), "previews": previews}
        objects = kit.composed(case, *sources, **other)
        kit.checked(objects, case, *sources, **other)
        found |= {one.form: one.data for one in objects}
    return found


def report_of(data: bytes) -> str:
    """Every value of a report's tree, one a line."""
    return "\n".join(str(one.value) for one in pydicom.dcmread(io.BytesIO(data)).iterall() if one.VR != "SQ")


@pytest.fixture
def two(kit: Any) -> dict[Form, bytes]:
    source = kit.Source()
    return made(kit, case_of(kit, [source], on(kit, LEFT, 0.9), on(kit, RIGHT, 0.2)), source)


def test_report_message_and_pdf_say_of_each_call_on_which_crop_it_was_read(two: dict[Form, bytes]) -> None:
    report, message = report_of(two[Form.REPORT_SR]), two[Form.MESSAGE].decode()
    file = pydicom.dcmread(io.BytesIO(two[Form.PDF])).EncapsulatedDocument
    text = " ".join(" ".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(file)).pages).split())
    for said in (ON_LEFT, ON_RIGHT):
        assert f"read {said}" in report
        assert f"Read {said}" in message
        assert f"Read {said}" in text


def test_two_crops_of_an_image_are_two_lesions_with_names_of_their_own(kit: Any, two: dict[Form, bytes]) -> None:
    groups = groups_of(pydicom.dcmread(io.BytesIO(two[Form.REPORT_SR])))
    names = {one.tracking_uid for one in groups}
    assert len(names) == 3, "the outlined lesion and the two crops"


def test_what_was_read_on_one_of_several_crops_stands_beside_no_contour(two: dict[Form, bytes]) -> None:
    overlay = report_of(two[Form.OVERLAY_SR])
    assert "elanoma" not in overlay.replace("melanoma_nevus_alexnet", "")


def test_crops_of_one_image_are_never_averaged(kit: Any) -> None:
    source = kit.Source()
    case = case_of(kit, [source], on(kit, LEFT, 0.9), on(kit, RIGHT, 0.2))
    (told,) = arrange(case, {source.uid: read(source.part10)}, "2.25.1").lesions
    assert told.calls == ()


def test_one_crop_an_image_is_the_images_lesion_and_joins_the_lesions_call(kit: Any) -> None:
    tracked = kit.BASIC | {"TrackingUID": "1.2.3.4"}
    sources = [kit.Source(number=number, attributes=tracked) for number in (1, 2)]
    case = case_of(kit, sources, on(kit, RIGHT, 0.7))
    (told,) = arrange(case, {one.uid: read(one.part10) for one in sources}, "2.25.1").lesions
    (call,) = told.calls
    assert call.rule is Combine.MEAN
    assert call.classification.region is None
    assert call.classification.probability_of("melanoma") == pytest.approx(0.7)
    assert {
        group.tracking_uid
        for group in groups_of(pydicom.dcmread(io.BytesIO(made(kit, case, *sources)[Form.REPORT_SR])))
    } == {"1.2.3.4"}


def test_a_crop_that_was_refused_is_told_with_its_place_beside_the_one_that_was_read(kit: Any) -> None:
    source = kit.Source()
    refused = Refusal(reason="too_small", detail="shorter side 30 pixels, at least 100", region=LEFT)
    results = made(kit, case_of(kit, [source], refused, on(kit, RIGHT, 0.2)), source)
    assert f"read {ON_LEFT}: not analysed by melanoma_nevus_alexnet" in report_of(results[Form.REPORT_SR])


def test_an_image_without_a_crop_says_why_its_reader_said_nothing(kit: Any) -> None:
    source = kit.Source()
    refused = Refusal(reason="no_crop", detail="searched by skin_lesion_deeplabv3plus")
    report = report_of(made(kit, case_of(kit, [source], refused), source)[Form.REPORT_SR])
    assert "NA-NOCROP" in report
    assert (
        "not analysed by melanoma_nevus_alexnet, because: No part of the image shows enough skin and lesion" in report
    )


def test_the_picture_draws_each_crop_and_shows_where_in_it_the_network_looked(kit: Any) -> None:
    source = kit.Source()
    preview = np.zeros((source.rows, source.columns, 3), dtype=np.uint8)
    preview[LEFT.top : LEFT.top + LEFT.height, LEFT.left : LEFT.left + LEFT.width] = 200
    arrangement = arrange(
        case_of(kit, [source], on(kit, LEFT, 0.9), on(kit, RIGHT, 0.2)), {source.uid: read(source.part10)}, "2.25.1"
    )
    shown = card(arrangement.frames[0], arrangement, preview, 1)
    whole, left, right = shown.panels
    frames = [one for one in whole.outlines if not one.is_lesion]
    assert [one.points[0].tolist() for one in frames] == [[4 / 80, 10 / 60], [44 / 80, 20 / 60]]
    assert [one.points[2].tolist() for one in frames] == [[34 / 80, 40 / 60], [76 / 80, 60 / 60]]
    assert (left.size, right.size) == ((30, 30), (40, 32))
    assert left.preview is not None and (left.preview == 200).all()
    assert left.caption.startswith("On the crop at column 5, row 11")
    assert [one.heading for one in shown.statements] == [
        f"Call for this image, {ON_LEFT}, by melanoma_nevus_alexnet",
        f"Call for this image, {ON_RIGHT}, by melanoma_nevus_alexnet",
    ]


def test_the_summary_counts_the_crops_that_are_lesions_of_their_own(kit: Any, two: dict[Form, bytes]) -> None:
    assert "1 lesion on 1 image. 2 crops of an image were read, each as a lesion of its own." in report_of(
        two[Form.REPORT_SR]
    )
    source = kit.Source()
    alone = made(kit, case_of(kit, [source], on(kit, LEFT, 0.9)), source)
    assert "crops of an image were read" not in report_of(alone[Form.REPORT_SR])


def test_the_summary_names_who_did_not_analyse(kit: Any) -> None:
    source = kit.Source()
    report = report_of(made(kit, case_of(kit, [source], Refusal(reason="no_crop")), source)[Form.REPORT_SR])
    (line,) = [one for one in report.splitlines() if one.startswith("Lesion 1") and "Skin lesion: " in one]
    assert line.endswith("; not analysed by melanoma_nevus_alexnet, because: No part of the image shows enough skin and lesion.")


def test_an_outline_of_several_parts_says_so_beside_the_diameter_of_one(kit: Any) -> None:
    source = kit.Source()
    mask = np.zeros_like(source.mask)
    mask[5:15, 5:15] = mask[30:40, 60:70] = True
    case = CaseFindings(runs=(kit.SEGMENTER,), findings=(source.finding("a" * 64, [kit.outlined(mask)]),))
    results = made(kit, case, source)
    assert "area 200 pixels in 2 parts that do not touch, greatest diameter 14.1421 pixels" in report_of(
        results[Form.REPORT_SR]
    )
    file = pydicom.dcmread(io.BytesIO(results[Form.PDF])).EncapsulatedDocument
    text = " ".join(" ".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(file)).pages).split())
    assert "in 2 parts that do not touch" in text

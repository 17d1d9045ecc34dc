"""The picture as an object: one a told frame, its words, its header, its bytes."""

import io
import shutil
import subprocess
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from derm_pacs.domain.codes import code
from derm_pacs.domain.composed import Composed, Form, Reference
from derm_pacs.domain.findings import (
    CaseFindings,
    Classification,
    ClassProbability,
    Combine,
    Grade,
    LesionRule,
    OperatingPoint,
    Preview,
    Refusal,
    Saliency,
)
from derm_pacs.domain.visits import LesionProbability, LesionVisit

FALSE_ERROR = "Shall not be present for Referenced SOP Class that is not multi-frame"
"""The tool of 2022 does not know 77.1.8 as a class of multi-frame images, so it forbids naming a frame."""
FOURTEEN = (
    "melanoma", "melanocytic_nevus", "basal_cell_carcinoma", "squamous_cell_carcinoma", "actinic_keratosis", "seborrheic_keratosis",
    "dermatofibroma", "hemangioma_of_skin", "lichen_planus", "rosacea", "viral_wart", "acne", "keloid", "eczema",
)  # fmt: skip


def previews(kit: Any, *sources: Any) -> dict[tuple[str, int], Preview]:
    return {(one.uid, frame): kit.picture(one.mask, grey=False) for one in sources for frame in range(1, one.frames + 1)}


def made(kit: Any, case: CaseFindings, *sources: Any, rle: bool = False, **other: Any) -> tuple[Composed, ...]:
    edition = kit.edition(Form.PICTURE, rle=frozenset({Form.PICTURE} if rle else ()))
    given: dict[str, Any] = {"edition": edition, "previews": previews(kit, *sources)} | other
    objects: tuple[Composed, ...] = kit.composed(case, *sources, **given)
    kit.checked(objects, case, *sources, **given)
    return objects


def read(one: Composed) -> Dataset:
    return pydicom.dcmread(io.BytesIO(one.data))


def words(one: Composed) -> str:
    return str(read(one).ImageComments)


def test_each_told_frame_has_one_picture_in_a_series_of_its_own(kit: Any) -> None:
    stack = kit.Source(sop_class=kit.MULTI_FRAME_CAPTURE, frames=3)
    alone = kit.Source(number=2)
    objects = made(kit, kit.whole_case([stack, alone]), stack, alone)
    assert len(objects) == 4 == len({one.series_instance_uid for one in objects}) == len({one.sop_instance_uid for one in objects})
    shown = [(item.ReferencedSOPInstanceUID, item.get("ReferencedFrameNumber")) for one in objects for item in read(one).SourceImageSequence]
    assert shown == [(stack.uid, 1), (stack.uid, 2), (stack.uid, 3), (alone.uid, None)]


def test_the_words_say_call_figure_threshold_setter_size_and_algorithm(kit: Any) -> None:
    source = kit.Source()
    said = words(made(kit, kit.whole_case([source]), source)[0])
    assert said.startswith("AI result, research use, not for primary diagnosis\nSYNTHETIC\n")
    for part in (
        "Call for this image: Melanoma", "Probability of melanoma 87.3 %, at or above the threshold of 50 % set by bundle author",
        "Melanoma 87.3 %", "Melanocytic nevus 12.7 %", f"area {np.count_nonzero(source.mask)} pixels",
        "The pixel size is unknown, so nothing is given in millimetres", f"melanoma_nevus_alexnet 1.2.0, {'b' * 12}",
        f"skin_lesion_deeplabv3plus 1.0.0, {'a' * 12}", "they show no patient",
    ):  # fmt: skip
        assert part in said


def test_a_known_pixel_size_gives_millimetres_and_where_they_come_from(kit: Any) -> None:
    source = kit.Source(attributes=kit.BASIC | {"PixelSpacing": [0.02, 0.02], "PixelSpacingCalibrationType": "FIDUCIAL"})
    said = words(made(kit, kit.whole_case([source]), source)[0])
    assert " mm²" in said and "Pixel size 0.02 mm x 0.02 mm, from Pixel Spacing, calibrated by FIDUCIAL" in said
    assert "pixels" not in said


def test_several_images_of_a_lesion_give_its_call_by_the_bundles_rule_with_each_images_figure(kit: Any) -> None:
    tracked = kit.BASIC | {"TrackingUID": "1.2.3.4"}
    first, second = kit.Source(attributes=tracked), kit.Source(number=2, attributes=tracked)
    usual = kit.whole_case([first, second])
    rules = (LesionRule(output="diagnosis", combine=Combine.MEAN),)
    classifier = replace(kit.CLASSIFIER, lesion_rules=rules)
    findings = (*usual.findings[:3], second.finding("b" * 64, [kit.diagnosis(0.2)]))
    case = CaseFindings(runs=(kit.SEGMENTER, classifier), findings=findings)
    for one in made(kit, case, first, second):
        said = words(one)
        assert "Lesion 1 over 2 images: the mean of their probabilities: Melanoma" in said
        assert "Melanoma 53.7 %" in said
        assert "Melanoma in each: series 1, image 1: 87.3 %; series 1, image 2: 20.0 %" in said
    assert "Call for this image: Melanocytic nevus" in words(made(kit, case, first, second)[1])


def visit(kit: Any, **other: Any) -> LesionVisit:
    report = Reference(form=Form.REPORT_SR, sop_class_uid="1.2", sop_instance_uid="1.2.3", series_instance_uid="1.2.4", study_instance_uid="1.2.5")
    values: dict[str, Any] = {
        "tracking_uid": "1.2.3.4", "tracked": True, "site": None, "laterality": None, "study_instance_uid": "1.2.5",
        "study_date": date(2026, 3, 2), "report": report, "images": (), "area": None, "diameter": None, "share": 0.1, "outlined_by": ("a" * 64,),
        "probabilities": (LesionProbability(
            bundle_hash="b" * 64, output="diagnosis", class_id="melanoma", concept="melanoma", probability=0.42,
        ),),
    }  # fmt: skip
    return LesionVisit(**(values | other))


def test_a_lesion_seen_before_says_what_changed_since_when(kit: Any) -> None:
    source = kit.Source(attributes=kit.BASIC | {"TrackingUID": "1.2.3.4"})
    said = words(made(kit, replace(kit.whole_case([source]), visits=(visit(kit),)), source)[0])
    assert "Since the visit of 2026-03-02" in said
    assert "Melanoma: 42.0 % → 87.3 % (+45.3 points)" in said
    assert "Share of the image: 10.0 % → " in said and "it depends on the camera's distance" in said


def test_another_bundles_figure_is_not_compared(kit: Any) -> None:
    source = kit.Source(attributes=kit.BASIC | {"TrackingUID": "1.2.3.4"})
    other = LesionProbability(bundle_hash="c" * 64, output="diagnosis", class_id="melanoma", concept="melanoma", probability=0.42)
    case = replace(kit.whole_case([source]), visits=(visit(kit, probabilities=(other,), share=None),))
    said = words(made(kit, case, source)[0])
    assert "42.0 %" not in said and "Nothing can be compared" in said


def test_sizes_are_compared_in_millimetres_only_where_both_visits_know_them(kit: Any) -> None:
    calibrated = {"TrackingUID": "1.2.3.4", "PixelSpacing": [0.02, 0.02], "PixelSpacingCalibrationType": "FIDUCIAL"}
    source = kit.Source(attributes=kit.BASIC | calibrated)
    case = replace(kit.whole_case([source]), visits=(visit(kit, area=0.1, diameter=0.5),))
    said = words(made(kit, case, source)[0])
    assert "Area: 0.1 mm² → " in said and "Greatest diameter: 0.5 mm → " in said and "Share of the image: 10" not in said


@pytest.mark.parametrize("shown", [True, False], ids=["with the image", "without"])
def test_a_refusal_says_why_and_what_to_do(kit: Any, shown: bool) -> None:
    source = kit.Source()
    refused = Refusal(reason="poor_quality_blur", detail="sharpness 12.3, at least 40")
    case = CaseFindings(runs=(kit.CLASSIFIER,), findings=(source.finding("b" * 64, [refused]),))
    said = words(made(kit, case, source, previews=previews(kit, source) if shown else {})[0])
    assert "Not analysed by melanoma_nevus_alexnet, because: The image is not sharp enough (sharpness 12.3, at least 40)." in said
    assert "Take the image again, in focus." in said


def test_an_outline_without_a_class_says_that_no_bundle_gives_one(kit: Any) -> None:
    source = kit.Source()
    case = CaseFindings(runs=(kit.SEGMENTER,), findings=(source.finding("a" * 64, [kit.outlined(source.mask)]),))
    assert "this image: Lesion outlined\nNo bundle gives a class for it." in words(made(kit, case, source)[0])


def test_saliency_is_shown_with_its_method_and_changes_the_picture(kit: Any) -> None:
    source = kit.Source()
    heat = Saliency(method="grad_cam", class_id="melanoma", grid=np.arange(64, dtype=np.uint8).reshape(8, 8))
    plain = kit.whole_case([source])
    explained = replace(kit.diagnosis(0.8731234), saliency=heat)
    case = CaseFindings(runs=plain.runs, findings=(plain.findings[0], source.finding("b" * 64, [explained])))
    said = words(made(kit, case, source)[0])
    assert "Gradient-weighted class activation: where the network looked for melanoma" in said


def test_fourteen_classes_show_the_leading_and_the_watched_ones_and_count_the_rest(kit: Any) -> None:
    source = kit.Source()
    shares = (0.01, *(0.99 * 2 ** -n / (2 - 2**-12) for n in range(13)))
    many = Classification(
        output="diagnosis",
        probabilities=tuple(ClassProbability(class_id=name, concept=name, probability=p) for name, p in zip(FOURTEEN, shares, strict=True)),
    )
    case = CaseFindings(runs=(kit.CLASSIFIER,), findings=(source.finding("b" * 64, [many]),))
    said = words(made(kit, case, source)[0])
    assert "Call for this image: Melanocytic nevus" in said and "Melanoma 1.0 %" in said and "9 further classes, together " in said


def test_demonstration_is_said(kit: Any) -> None:
    source = kit.Source()
    classifier = replace(kit.CLASSIFIER, bundle=replace(kit.CLASSIFIER.bundle, grade=Grade.DEMONSTRATION))
    case = CaseFindings(runs=(kit.SEGMENTER, classifier), findings=kit.whole_case([source]).findings)
    said = words(made(kit, case, source)[0])
    assert "DEMONSTRATION" in said and "its figures say nothing about patients" in said


def test_no_name_and_no_number_of_the_patient_is_burned_in(kit: Any) -> None:
    source = kit.Source(attributes=kit.BASIC | {"TrackingUID": "1.2.3.4", "TrackingID": "mole of Erika Muster"})
    said = words(made(kit, kit.whole_case([source]), source)[0])
    for part in ("Muster", "Erika", "P-1", "19700101", "A1", "Doctor"):
        assert part not in said


@pytest.mark.parametrize(("sop_class", "modality"), [
    ("1.2.840.10008.5.1.4.1.1.77.1.7", "DMS"), ("1.2.840.10008.5.1.4.1.1.77.1.4", "XC"), ("1.2.840.10008.5.1.4.1.1.7", "XC"),
])  # fmt: skip
def test_the_modality_is_the_sources_and_never_ot(kit: Any, sop_class: str, modality: str) -> None:
    source = kit.Source(sop_class=sop_class)
    assert read(made(kit, kit.whole_case([source]), source)[0]).Modality == modality


def test_the_header_names_source_side_and_burned_in_text(kit: Any) -> None:
    source = kit.Source(attributes=kit.BASIC | kit.skin_of_back() | {"LossyImageCompression": "01"})
    dataset = read(made(kit, kit.whole_case([source]), source)[0])
    assert dataset.BurnedInAnnotation == "YES" and dataset.Laterality == "L" and dataset.PatientOrientation == ""
    assert dataset.LossyImageCompression == "01"
    assert dataset.SourceImageSequence[0].PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    assert "research use, not for primary diagnosis" in dataset.DerivationDescription
    assert dataset.ImageType[:2] == ["DERIVED", "SECONDARY"]


def test_rle_is_used_where_it_is_agreed_and_gives_the_same_pixels(kit: Any) -> None:
    source = kit.Source()
    case = kit.whole_case([source])
    (native,), (compressed,) = made(kit, case, source), made(kit, case, source, rle=True)
    assert (native.transfer_syntax_uid, compressed.transfer_syntax_uid) == (ExplicitVRLittleEndian, RLELossless)
    assert len(compressed.data) < len(native.data) / 2
    assert native.sop_instance_uid != compressed.sop_instance_uid
    assert np.array_equal(read(native).pixel_array, read(compressed).pixel_array)


def test_rle_is_left_out_where_it_would_be_larger(kit: Any) -> None:
    source = kit.Source(rows=900, columns=1000)
    noise = np.random.default_rng(1).integers(0, 256, (900, 1000, 3), dtype=np.uint8)
    case = kit.whole_case([source])
    one = made(kit, case, source, rle=True, previews={(source.uid, 1): noise})[0]
    size = int(read(one).Rows) * int(read(one).Columns) * 3
    assert len(one.data) <= size + 20000


@pytest.mark.parametrize("rle", [False, True])
def test_the_same_case_gives_the_same_bytes(kit: Any, rle: bool) -> None:
    source = kit.Source()
    case = kit.whole_case([source])
    assert [one.sha256 for one in made(kit, case, source, rle=rle)] == [one.sha256 for one in made(kit, case, source, rle=rle)]


@pytest.mark.parametrize("rle", [False, True])
@pytest.mark.parametrize("number", range(3))
def test_dciodvfy_reports_no_error(kit: Any, tmp_path: Path, rle: bool, number: int) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (apt-get install dicom3tools)")
    source = (kit.Source(), kit.Source(sop_class=kit.CONFOCAL, grey=True, frames=2), kit.Source(attributes=kit.BASIC | kit.skin_of_back()))[number]
    for one in made(kit, kit.whole_case([source]), source, rle=rle):
        file = tmp_path / "picture.dcm"
        file.write_bytes(one.data)
        done = subprocess.run(["dciodvfy", "-new", file], capture_output=True, text=True, check=False)
        assert [line for line in done.stderr.splitlines() if line.startswith("Error") and FALSE_ERROR not in line] == []


def test_every_class_that_a_threshold_watches_has_its_bar(kit: Any) -> None:
    """With more thresholds than bars are drawn otherwise, the picture failed its own check and the case was held."""
    watched = FOURTEEN[:7]
    shares = [0.4, *[0.05] * 6, *[0.3 / 7] * 7]
    said = Classification(
        output="diagnosis",
        probabilities=tuple(
            ClassProbability(class_id=one, concept=one, probability=share) for one, share in zip(FOURTEEN, shares, strict=True)
        ),
    )
    points = tuple(
        OperatingPoint(id=one, output="diagnosis", positive=one, threshold=0.3, set_by="bundle author") for one in watched
    )
    run = replace(kit.CLASSIFIER, operating_points=points)
    source = kit.Source()
    case = CaseFindings(runs=(run,), findings=(source.finding(run.bundle.content_hash, [said]),))
    lines = words(made(kit, case, source)[0]).splitlines()
    assert all(any(line in (f"{code(one).meaning} 5.0 %", f"{code(one).meaning} 40.0 %") for line in lines) for one in watched)
    assert "7 further classes, together 30.0 %" in lines

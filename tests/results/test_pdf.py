"""The PDF report: what stands in it, in which letters, and the last look at it."""

import hashlib
import io
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pypdf
import pytest
from pydicom import Dataset

from derm_pacs.domain.composed import Composed, Form, Reference
from derm_pacs.domain.errors import Defect
from derm_pacs.domain.findings import CaseFindings, Combine, Grade, LesionRule, Refusal, Segmentation
from derm_pacs.domain.visits import LesionProbability, LesionVisit
from derm_pacs.results import pdf_report
from derm_pacs.results.pdf_report import MOST_PICTURES, NOT_SHOWN

pytestmark = pytest.mark.server  # computes for long: each test composes whole studies

HONESTY = "AI result, research use, not for primary diagnosis"


def given(kit: Any, *sources: Any) -> dict[str, Any]:
    previews = {(one.uid, frame): kit.picture(one.mask, grey=False) for one in sources for frame in range(1, one.frames + 1)}
    return {"edition": kit.edition(Form.PDF), "previews": previews}


def made(kit: Any, *sources: Any, case: CaseFindings | None = None) -> Composed:
    case = case or kit.whole_case(list(sources))
    (one,) = kit.composed(case, *sources, **given(kit, *sources))
    kit.checked((one,), case, *sources, **given(kit, *sources))
    assert isinstance(one, Composed)
    return one


def read(one: Composed) -> Dataset:
    return pydicom.dcmread(io.BytesIO(one.data))


def file_of(one: Composed) -> bytes:
    dataset = read(one)
    return bytes(dataset.EncapsulatedDocument)[: dataset.EncapsulatedDocumentLength]


def pages(one: Composed) -> list[str]:
    return [" ".join(page.extract_text().split()) for page in pypdf.PdfReader(io.BytesIO(file_of(one))).pages]


def text(one: Composed) -> str:
    return " ".join(pages(one))


def test_a_case_has_one_a4_report_of_its_own_series(kit: Any) -> None:
    first, second = kit.Source(), kit.Source(number=2)
    one = made(kit, first, second)
    reader = pypdf.PdfReader(io.BytesIO(file_of(one)))
    assert [round(float(side)) for side in reader.pages[0].mediabox[2:]] == [595, 842]
    assert [item.ReferencedSOPInstanceUID for item in read(one).SourceInstanceSequence] == [first.uid, second.uid]
    assert read(one).MIMETypeOfEncapsulatedDocument == "application/pdf" and len(read(one).EncapsulatedDocument) % 2 == 0


def test_patient_and_study_stand_as_the_source_has_them(kit: Any) -> None:
    said = text(made(kit, kit.Source()))
    for part in ("Muster Erika", "P-1", "1970-01-01", "A1", "2026-11-20", "Universitätsklinikum"):
        assert part in said


@pytest.mark.parametrize(("name", "shown"), [
    ("Люксембург^Роза", "Люксембург Роза"), ("Παπαδόπουλος", "Παπαδόπουλος"), ("Nguyễn^Thị", "Nguyễn Thị"),
    ("Yamada^Tarou=山田^太郎", "Yamada Tarou"),
])  # fmt: skip
def test_foreign_names_are_printed_in_their_letters(kit: Any, name: str, shown: str) -> None:
    said = text(made(kit, kit.Source(attributes=kit.BASIC | {"PatientName": name})))
    assert shown in said
    assert NOT_SHOWN not in said


def test_a_name_that_cannot_be_printed_is_said_in_words_and_never_as_boxes(kit: Any) -> None:
    said = text(made(kit, kit.Source(attributes=kit.BASIC | {"PatientName": "山田^太郎"})))
    assert "[…]" in said and NOT_SHOWN in said
    assert "山" not in said


def test_markup_in_a_name_is_text(kit: Any) -> None:
    assert "<b>Muster</b> & Co" in text(made(kit, kit.Source(attributes=kit.BASIC | {"PatientName": "<b>Muster</b> & Co"})))


def test_call_figures_threshold_size_and_algorithms_are_there(kit: Any) -> None:
    said = text(made(kit, kit.Source()))
    for part in (
        "Lesion 1, 1 image", "Melanoma 87.3 %", "50 %, bundle author", "Melanocytic nevus 12.7 %", f"area {kit.Source().mask.sum()} pixels",
        "The pixel size is unknown", "melanoma_nevus_alexnet 1.2.0, research grade", "b" * 32, "SYNTHETIC",
        "another kind of lesion gets one of these names all the same",
    ):  # fmt: skip
        assert part.replace(" ", "") in said.replace(" ", ""), part


def test_skin_is_told_by_its_share_alone_and_passes_the_last_look(kit: Any) -> None:
    source = kit.Source()
    skin = Segmentation(output="skin", concept="skin", threshold=0.5, mask=np.ones_like(source.mask))
    case = CaseFindings(runs=(kit.SEGMENTER,), findings=(source.finding("a" * 64, [skin, kit.outlined(source.mask)]),))
    said = text(made(kit, source, case=case))
    assert re.search(r"Skin: *100(\.0)? *% *of *the *image", said), said


def test_every_page_says_research_use(kit: Any) -> None:
    source = kit.Source(sop_class=kit.MULTI_FRAME_CAPTURE, frames=MOST_PICTURES + 2)
    told = pages(made(kit, source))
    assert len(told) > 1
    assert all(HONESTY in page for page in told)
    assert "2 more are not printed" in " ".join(told)


def test_what_was_not_analysed_and_what_cannot_be_read_is_listed_with_its_remedy(kit: Any) -> None:
    source = kit.Source()
    refused = Refusal(reason="poor_quality_blur", detail="sharpness 12.3, at least 40")
    case = CaseFindings(runs=(kit.CLASSIFIER,), findings=(source.finding("b" * 64, [refused]),), unreadable=("1.2.3.99",))
    said = text(made(kit, source, case=case))
    for part in ("Not analysed", "The image is not sharp enough (sharpness 12.3, at least 40)", "Take the image again, in focus.", "1.2.3.99"):
        assert part in said


def test_a_lesion_over_several_images_and_its_change_are_told(kit: Any) -> None:
    tracked = kit.BASIC | {"TrackingUID": "1.2.3.4"}
    sources = [kit.Source(number=number, attributes=tracked) for number in (1, 2)]
    classifier = replace(kit.CLASSIFIER, lesion_rules=(LesionRule(output="diagnosis", combine=Combine.MEAN),))
    report = Reference(form=Form.REPORT_SR, sop_class_uid="1.2", sop_instance_uid="1.2.3", series_instance_uid="1.2.4", study_instance_uid="1.2.5")
    before = LesionVisit(
        tracking_uid="1.2.3.4", tracked=True, site=None, laterality=None, study_instance_uid="1.2.5", study_date=date(2026, 3, 2),
        report=report, images=(), area=None, diameter=None, share=0.1, outlined_by=("a" * 64,),
        probabilities=(LesionProbability(bundle_hash="b" * 64, output="diagnosis", class_id="melanoma", concept="melanoma", probability=0.42),),
    )
    case = replace(kit.whole_case(sources), runs=(kit.SEGMENTER, classifier), visits=(before,))
    said = text(made(kit, *sources, case=case))
    assert "Lesion 1, 2 images" in said and "(mean of 2)" in said
    assert "Since the visit of 2026-03-02" in said and "42.0 % → 87.3 % (+45.3 points)" in said


def test_demonstration_is_said(kit: Any) -> None:
    source = kit.Source()
    classifier = replace(kit.CLASSIFIER, bundle=replace(kit.CLASSIFIER.bundle, grade=Grade.DEMONSTRATION))
    case = CaseFindings(runs=(kit.SEGMENTER, classifier), findings=kit.whole_case([source]).findings)
    assert "DEMONSTRATION" in text(made(kit, source, case=case))


def test_the_same_case_gives_the_same_bytes(kit: Any) -> None:
    assert made(kit, kit.Source()).sha256 == made(kit, kit.Source()).sha256


@pytest.mark.parametrize("attributes", [{}, {"PatientName": "Люксембург"}, {"PatientName": "", "AccessionNumber": ""}], ids=str)
def test_dciodvfy_reports_no_error(kit: Any, tmp_path: Path, attributes: dict[str, Any]) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (apt-get install dicom3tools)")
    file = tmp_path / "report.dcm"
    file.write_bytes(made(kit, kit.Source(attributes=kit.BASIC | attributes)).data)
    done = subprocess.run(["dciodvfy", "-new", file], capture_output=True, text=True, errors="replace", check=False)
    assert [line for line in done.stderr.splitlines() if line.startswith("Error")] == []


def broken(dataset: Dataset) -> None:
    dataset.EncapsulatedDocument = b"%PDF-1.4 and no more"


def one_bit(dataset: Dataset) -> None:
    file = bytes(dataset.EncapsulatedDocument)
    dataset.EncapsulatedDocument = file[:5] + b"9" + file[6:]


CHANGES: list[tuple[Callable[[Dataset], None], str]] = [(broken, "PDF report"), (one_bit, "not the one that the findings give")]


@pytest.mark.parametrize(("change", "said"), CHANGES, ids=lambda one: getattr(one, "__name__", ""))
def test_a_changed_report_is_found(kit: Any, change: Callable[[Dataset], None], said: str) -> None:
    source = kit.Source()
    one = made(kit, source)
    dataset = read(one)
    change(dataset)
    with io.BytesIO() as buffer:
        pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
        data = buffer.getvalue()
    wrong = replace(one, data=data, sha256=hashlib.sha256(data).hexdigest())
    with pytest.raises(Defect, match=said):
        kit.checked((wrong,), kit.whole_case([source]), source, **given(kit, source))


def test_another_findings_report_is_found_by_its_words(kit: Any) -> None:
    source = kit.Source()
    with pytest.raises(Defect, match="does not say the probability of Lesion 1"):
        kit.checked((made(kit, source),), kit.whole_case([source], melanoma=0.91), source, **given(kit, source))


def test_another_patients_report_is_found_without_naming_the_patient(kit: Any) -> None:
    source, other = kit.Source(), kit.Source(attributes=kit.BASIC | {"PatientName": "Another^One"})
    with pytest.raises(Defect, match=r"the source's patient|PatientName is not the source's") as caught:
        kit.checked((made(kit, source),), kit.whole_case([other]), other, **given(kit, other))
    assert "Another" not in str(caught.value) and "Muster" not in str(caught.value)


@pytest.mark.parametrize(("name", "said"), [("HONESTY", "does not say research use"), ("figure", "does not say the probability"), ("marks", "synthetic")])
def test_a_report_made_wrongly_is_found_by_reading_it(kit: Any, monkeypatch: pytest.MonkeyPatch, name: str, said: str) -> None:
    source = kit.Source()
    wrong: dict[str, Any] = {"HONESTY": "A result", "figure": lambda *_: "1.0 %", "marks": lambda _: ()}
    if name == "marks":
        monkeypatch.setattr(pdf_report, "notes", lambda _: ())
    monkeypatch.setattr(pdf_report, name, wrong[name])
    (one,) = kit.composed(kit.whole_case([source]), source, **given(kit, source))
    with pytest.raises(Defect, match=said):
        kit.checked((one,), kit.whole_case([source]), source, **given(kit, source))

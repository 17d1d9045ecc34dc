"""Every judge bites: an object that was changed after it was made is found by the one who must find it."""

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom import Dataset

from derm_pacs.domain.composed import Form
from tests.results.product.judgement import JUDGES
from tests.results.product.judges import Tools
from tests.results.product.readers import read
from tests.results.product.test_findings import PHOTOGRAPH
from tests.results.product.told import Case, case

pytestmark = pytest.mark.server  # computes for long: each test composes whole studies


@pytest.fixture(scope="module")
def whole() -> Case:
    return case(PHOTOGRAPH)


def changed(of: Case, form: Form, change: Callable[[Dataset], None]) -> Case:
    """The case with its first object of a form changed."""
    first = of.of(form)[0]
    dataset = read(first)
    change(dataset)
    with io.BytesIO() as buffer:
        pydicom.dcmwrite(buffer, dataset)
        other = replace(first, data=buffer.getvalue())
    return replace(of, composed=tuple(other if one is first else one for one in of.composed))


def another_probability(report: Dataset) -> None:
    measured = next(item for item in report.iterall() if item.keyword == "MeasuredValueSequence").value[0]
    measured.NumericValue = "0.25"
    measured.FloatingPointValue = 0.25


def another_pixel(seg: Dataset) -> None:
    pixels = np.frombuffer(seg.PixelData, np.uint8).copy()
    pixels[0] ^= 1
    seg.PixelData = pixels.tobytes()


def another_patient(report: Dataset) -> None:
    report.PatientID = "P-2"


def no_rows(picture: Dataset) -> None:
    del picture.Rows


def no_relationship(report: Dataset) -> None:
    del report.ContentSequence[0].RelationshipType


def another_meaning(report: Dataset) -> None:
    report.ContentSequence[0].ConceptNameCodeSequence[0].CodeMeaning = "Language"


def another_lesion(report: Dataset) -> None:
    item = next(one for one in report.iterall() if one.keyword == "UID" and one.value != report.DeviceSerialNumber)
    item.value = "1.2.3"


def more_than_certain(report: Dataset) -> None:
    measured = next(item for item in report.iterall() if item.keyword == "MeasuredValueSequence").value[0]
    measured.NumericValue = "1.25"
    measured.FloatingPointValue = 1.25


def out_of_place(report: Dataset) -> None:
    report.ContentSequence.append(report.ContentSequence[-1].ContentSequence[0].ContentSequence[0])


def no_words(picture: Dataset) -> None:
    picture.BurnedInAnnotation = "NO"


@pytest.mark.parametrize(
    ("form", "change", "judge"),
    [
        (Form.REPORT_SR, another_probability, "figures"),
        (Form.SEG, another_pixel, "masks"),
        (Form.PICTURE, another_patient, "names"),
        (Form.REPORT_SR, another_patient, "dcentvfy"),
        (Form.PICTURE, no_rows, "dciodvfy"),
        (Form.OVERLAY_SR, no_relationship, "dsrdump"),
        (Form.OVERLAY_SR, another_meaning, "template"),
        (Form.REPORT_SR, another_lesion, "template"),
        (Form.REPORT_SR, more_than_certain, "template"),
        (Form.REPORT_SR, out_of_place, "template"),
        (Form.PICTURE, no_words, "pictures"),
        (Form.PRESENTATION, another_patient, "our own check"),
    ],
    ids=lambda one: one.__name__ if callable(one) else str(one),
)
def test_what_was_changed_is_found(
    whole: Case, form: Form, change: Callable[[Dataset], None], judge: str, tools: Tools
) -> None:
    assert list(JUDGES[judge](whole, tools)) == []
    assert list(JUDGES[judge](changed(whole, form, change), tools)) != []


@pytest.mark.parametrize("reader", ["tid1500reader", "highdicom", "pydicom"])
def test_each_reader_of_figures_finds_a_changed_one(whole: Case, reader: str, tools: Tools) -> None:
    said = list(JUDGES["figures"](changed(whole, Form.REPORT_SR, another_probability), tools))
    assert any(one.startswith(f"{reader} does not find") for one in said), said

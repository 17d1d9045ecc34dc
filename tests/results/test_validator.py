"""The second look finds what is wrong, forgives what is the sender's, and repeats no value."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom import Dataset

from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.edition import COMPREHENSIVE_3D_SR, LABEL_MAP_SEGMENTATION
from derm_pacs.results import validator
from derm_pacs.results.compose import compose

needs_the_program = pytest.mark.skipif(
    shutil.which(validator.PROGRAM) is None, reason="dciodvfy is not installed (apt-get install dicom3tools)"
)


@pytest.fixture
def report(kit: Any) -> Composed:
    source = kit.Source(attributes=kit.BASIC)
    objects = compose(kit.whole_case([source]), {source.uid: source.part10}, kit.identity(), kit.edition(), {})
    return next(one for one in objects if one.form is Form.REPORT_SR)


def changed(one: Composed, change: Callable[[Dataset], None]) -> Composed:
    dataset = pydicom.dcmread(io.BytesIO(one.data))
    change(dataset)
    with io.BytesIO() as buffer:
        dataset.save_as(buffer)
        data = buffer.getvalue()
    return Composed(
        form=one.form, sop_class_uid=one.sop_class_uid, sop_instance_uid=one.sop_instance_uid,
        series_instance_uid=one.series_instance_uid, transfer_syntax_uid=one.transfer_syntax_uid, sha256=one.sha256,
        about=one.about, data=data,
    )


@needs_the_program
def test_what_we_compose_is_without_complaint(report: Composed) -> None:
    assert validator.complaints(report) == ()


@needs_the_program
def test_a_missing_module_is_complained_of(report: Composed) -> None:
    def without_flags(dataset: Dataset) -> None:
        del dataset.CompletionFlag

    (said,) = validator.complaints(changed(report, without_flags))
    assert "CompletionFlag" in said


@needs_the_program
@pytest.mark.filterwarnings("ignore")
def test_the_senders_own_odd_values_are_forgiven_and_ours_are_not_repeated(report: Composed) -> None:
    def odd_patient(dataset: Dataset) -> None:
        dataset.PatientID = "x" * 70
        dataset.PatientSex = "X"

    assert validator.complaints(changed(report, odd_patient)) == ()

    def odd_series(dataset: Dataset) -> None:
        dataset.SeriesDescription = "secret" * 20

    said = validator.complaints(changed(report, odd_series))
    assert any("SeriesDescription" in line for line in said)
    assert not any("secret" in line for line in said)


def test_a_false_complaint_is_false_in_its_class_only() -> None:
    line = "Error - Information Object Not found"
    assert validator.is_false(line, LABEL_MAP_SEGMENTATION)
    assert not validator.is_false(line, COMPREHENSIVE_3D_SR)


def test_every_false_complaint_has_a_reason() -> None:
    assert all(len(one.reason) > 40 and one.says for one in validator.FALSE_COMPLAINTS)


def test_without_the_program_nothing_is_said(report: Composed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert validator.complaints(report) == ()


def test_a_program_that_hangs_or_falls_gives_no_verdict(
    report: Composed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / validator.PROGRAM
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(validator, "_SECONDS", 0.5)
    for body in ("while :; do :; done", "kill -SEGV $$"):
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
        assert validator.complaints(report) == ()

"""The sample studies: synthetic by every name, the same at every drawing, fit for the gate that photographs pass."""

import functools
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import DermoscopicPhotographyImageStorage, VLPhotographicImageStorage

from derm_pacs.domain.bundle import ServingDescription
from derm_pacs.inference.quality import gate, measure
from derm_pacs.samples.studies import SAMPLES, Sample, Study, make

pytestmark = pytest.mark.server  # drawing the studies takes long

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DESCRIPTIONS = sorted((Path(__file__).resolve().parents[2] / "monai_bundles").glob("*/configs/serving.json"))


@functools.cache
def study(name: str) -> Study:
    return make(next(one for one in SAMPLES if one.name == name), AT)


def images(name: str) -> list[Dataset]:
    return [dcmread(io.BytesIO(data)) for data in study(name).files]


def each_sample() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("sample", SAMPLES, ids=lambda one: one.name)


@each_sample()
def test_every_name_that_a_person_reads_says_synthetic(sample: Sample) -> None:
    for ds in images(sample.name):
        for text in (ds.PatientName, ds.PatientID, ds.StudyDescription, ds.SeriesDescription, ds.Manufacturer):
            assert "SYNTHETIC" in str(text)


@each_sample()
def test_a_study_is_one_study_of_one_patient_with_a_series_for_each_image(sample: Sample) -> None:
    found = images(sample.name)
    assert {ds.StudyInstanceUID for ds in found} == {study(sample.name).study_uid}
    assert len({ds.PatientID for ds in found}) == 1
    assert len({ds.SeriesInstanceUID for ds in found}) == len({ds.SOPInstanceUID for ds in found}) == len(sample.images)


def test_the_same_time_gives_the_same_bytes_and_another_time_another_study() -> None:
    quickest = SAMPLES[-1]
    assert make(quickest, AT) == study(quickest.name)
    assert make(quickest, AT.replace(year=2027)).study_uid != study(quickest.name).study_uid


def test_no_two_samples_share_a_uid_nor_a_patient_unless_one_is_a_later_visit() -> None:
    found = [ds for sample in SAMPLES for ds in images(sample.name)]
    assert len({ds.SOPInstanceUID for ds in found}) == len(found)
    assert len({ds.StudyInstanceUID for ds in found}) == len(SAMPLES)
    assert len({ds.PatientID for ds in found}) == len([one for one in SAMPLES if not one.follows])


def test_a_later_visit_shows_the_same_lesion_of_the_same_patient_a_month_later() -> None:
    (later,) = (one for one in SAMPLES if one.follows)
    (before,), (now,) = images(later.follows), images(later.name)
    assert (now.PatientID, now.TrackingUID, now.PixelSpacing) == (before.PatientID, before.TrackingUID, before.PixelSpacing)
    assert study(later.name).later_visit
    assert not study(later.follows).later_visit
    assert now.StudyDate > before.StudyDate


@pytest.mark.skipif(not DESCRIPTIONS, reason="no trained bundle is there, so no limits to hold the pictures against")
@pytest.mark.parametrize("description", DESCRIPTIONS, ids=lambda path: path.parents[1].name)
def test_every_sharp_photograph_passes_the_bundles_gate_and_the_blurred_one_does_not(description: Path) -> None:
    limits = ServingDescription.model_validate(json.loads(description.read_text())).quality
    for sample in SAMPLES:
        for ds in images(sample.name):
            if ds.SOPClassUID not in {DermoscopicPhotographyImageStorage, VLPhotographicImageStorage}:
                continue
            refusal = gate(measure(np.asarray(ds.pixel_array)), limits)
            if sample.name == "FOUR":
                assert refusal is not None
                assert refusal.reason == "poor_quality_blur"
            else:
                assert refusal is None

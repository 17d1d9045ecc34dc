"""Two studies of two patients never mix, in whatever order their images are received, filed, closed and answered."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from derm_pacs.domain.case import State
from derm_pacs.ledger.database import Database
from derm_pacs.samples.wrap import Kind, wrap_bytes
from tests.acceptance import studies
from tests.acceptance.peers import Pacs
from tests.acceptance.way import Way, said_of, settings_for

pytestmark = pytest.mark.server

MELANOMA = {"A": 0.21, "B": 0.83}
"""What the bundle says of each patient's images: a figure in the other's report would show."""
PROBABILITY = "122157"


@dataclass
class Pair:
    """Two patients, each with one study of two images; the pictures and the lesions' tracking UIDs are the same."""

    images: dict[str, pydicom.Dataset]

    @classmethod
    def new(cls) -> "Pair":
        images = {}
        for patient in MELANOMA:
            study = studies.new_study()
            for number in (1, 2):
                label = studies.label(study, patient=f"{patient}-{study[-12:]}", series=number)
                made = wrap_bytes(picture(number), Kind.DERMOSCOPIC, label)
                made.StudyDate = "20260101" if patient == "A" else "20260201"
                made.TrackingUID, made.TrackingID = f"2.25.{number}", f"mole {number}"
                images[f"{patient}{number}"] = made
        return cls(images)

    def of(self, patient: str) -> list[pydicom.Dataset]:
        return [one for name, one in self.images.items() if name.startswith(patient)]


def picture(seed: int) -> bytes:
    with io.BytesIO() as buffer:
        pixels = np.random.default_rng(seed).integers(0, 255, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(buffer, "PNG")
        return buffer.getvalue()


ORDERS = st.permutations(
    ["A1", "A2", "B1", "B2", *["file"] * 3, *["later"] * 3, *["close"] * 3, *[f"step {nth}" for nth in (0, 0, 0, 0, 1, 1, 2)]]
)
"""Everything that happens, in any order; a step runs the next job that is due, or one behind it."""


@pytest.fixture
def archive() -> Iterator[Pacs]:
    with Pacs() as made:
        yield made


@pytest.fixture
def way(tmp_path: Path, database: Database, archive: Pacs) -> Way:
    made = settings_for(
        tmp_path, [{"name": "archive", "peer": "archive"}], peers={"archive": archive.port}, lesions={"grouping": "site"}
    )
    return Way(
        tmp_path, database, made,
        say=lambda image: said_of(image.Rows, image.Columns, melanoma=MELANOMA[str(image.PatientID)[0]]),
    )


@given(order=ORDERS)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_two_studies_interleaved_in_any_order_never_mix(way: Way, archive: Pacs, order: list[str]) -> None:
    pair = Pair.new()
    for event in order:
        happen(way, pair, event)
    way.clock.at += timedelta(minutes=5)
    way.file()
    way.close()
    way.walk()
    way.clock.at += timedelta(minutes=5)
    way.file()
    way.close()
    way.walk()
    for patient in MELANOMA:
        assert_of_its_own_study(way, archive, pair, patient)


def happen(way: Way, pair: Pair, event: str) -> None:
    if event in pair.images:
        way.receive(pair.images[event])
    elif event == "file":
        way.file()
    elif event == "later":
        way.clock.at += timedelta(seconds=65)
    elif event == "close":
        way.close()
    else:
        way.step(nth=int(event.removeprefix("step ")))


def assert_of_its_own_study(way: Way, archive: Pacs, pair: Pair, patient: str) -> None:
    images = pair.of(patient)
    study = str(images[0].StudyInstanceUID)
    story = way.story(study)
    assert story.revisions[-1].state is State.CONFIRMED, story.revisions[-1].last_error
    seen: set[float] = set()
    made = {line.sop_instance_uid: line.sha256 for revision in story.revisions for line in revision.results}
    own = {str(one.SOPInstanceUID) for one in images} | set(made)
    for uid, sha256 in made.items():
        result = pydicom.dcmread(io.BytesIO(way.result(sha256)))
        assert (result.PatientID, result.StudyInstanceUID) == (images[0].PatientID, study)
        for element in result.iterall():
            if element.keyword == "ReferencedSOPInstanceUID":
                assert str(element.value) in own
            if element.keyword == "StudyInstanceUID":
                assert str(element.value) == study
        if uid in archive.objects:
            there = pydicom.dcmread(io.BytesIO(archive.objects[uid]))
            assert (there.PatientID, there.StudyInstanceUID) == (images[0].PatientID, study)
        seen |= probabilities(result)
    assert seen == {MELANOMA[patient], round(1 - MELANOMA[patient], 6)}
    newest = {line.sop_instance_uid for line in story.revisions[-1].results}
    assert newest <= set(archive.objects)
    told = {
        str(element.value)
        for uid in newest
        for element in pydicom.dcmread(io.BytesIO(archive.objects[uid])).iterall()
        if element.keyword == "ReferencedSOPInstanceUID"
    }
    assert {str(one.SOPInstanceUID) for one in images} <= told, "an image of the study is told by nothing"


def probabilities(result: pydicom.Dataset) -> set[float]:
    """Return every class probability that an SR tells."""
    found: set[float] = set()

    def walk(item: pydicom.Dataset) -> None:
        for child in item.get("ContentSequence", []):
            if child.ValueType == "NUM" and child.ConceptNameCodeSequence[0].CodeValue == PROBABILITY:
                found.add(round(float(child.MeasuredValueSequence[0].NumericValue), 6))
            walk(child)

    walk(result)
    return found

"""What leaves is checked, is the same whoever makes it when, and is told against the visit before."""

import copy
import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import UID
from sqlalchemy.orm import Session

from derm_pacs.domain.case import State
from derm_pacs.domain.composed import Composed, Form
from derm_pacs.ledger import patients
from derm_pacs.ledger.database import Database
from derm_pacs.ledger.reading import RevisionStory
from derm_pacs.ledger.tables import Patient
from derm_pacs.pipeline import editions
from derm_pacs.results.compose import compose
from derm_pacs.spool.segment import file_name
from tests.acceptance import studies
from tests.acceptance.peers import CAPTURE, SR_2D, Pacs, RecordSystem
from tests.acceptance.way import START, Way, said_of, settings_for
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.acceptance

LESION = "2.25.4711"


@pytest.fixture
def archive() -> Iterator[Pacs]:
    with Pacs() as made:
        yield made


@pytest.fixture
def way(tmp_path: Path, database: Database, archive: Pacs) -> Way:
    return Way(tmp_path, database, settings_for(tmp_path, [{"name": "archive", "peer": "archive"}], peers={"archive": archive.port}))


@pytest.fixture
def image() -> pydicom.Dataset:
    return studies.drawn(studies.new_study())


def damaged(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bit of the spool flips behind the back of everybody."""
    del monkeypatch
    path = way.settings.spool_dir / "listener-0" / file_name(1)
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


def with_changed(change: Callable[[pydicom.Dataset], None]) -> Callable[[Way, pytest.MonkeyPatch], None]:
    def breaks(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
        del way

        def wrong(*given: Any) -> tuple[Composed, ...]:
            *others, last = compose(*given)
            return (*others, rewritten(last, change))

        monkeypatch.setattr(editions, "compose", wrong)

    return breaks


def rewritten(one: Composed, change: Callable[[pydicom.Dataset], None]) -> Composed:
    """Return the object as a composer with a defect would give it: consistent in itself, and wrong."""
    dataset = pydicom.dcmread(io.BytesIO(one.data))
    change(dataset)
    with io.BytesIO() as buffer:
        dataset.save_as(buffer, enforce_file_format=True)
        data = buffer.getvalue()
    return replace(one, data=data, sha256=hashlib.sha256(data).hexdigest())


def of_another_patient(dataset: pydicom.Dataset) -> None:
    dataset.PatientID = "SOMEBODY ELSE"


def of_another_study(dataset: pydicom.Dataset) -> None:
    dataset.StudyInstanceUID = "2.25.1"


def about_another_image(dataset: pydicom.Dataset) -> None:
    for element in dataset.iterall():
        if element.keyword == "ReferencedSOPInstanceUID":
            element.value = UID("2.25.2")


def without_a_pixel(dataset: pydicom.Dataset) -> None:
    dataset.PixelData = bytes([255 - dataset.PixelData[0]]) + dataset.PixelData[1:]


BREAKS = {
    "the source's bytes in the spool": (damaged, "spool_missing"),
    "the patient": (with_changed(of_another_patient), "result_invalid"),
    "the study": (with_changed(of_another_study), "result_invalid"),
    "the references": (with_changed(about_another_image), "result_invalid"),
    "the pixels of the picture": (with_changed(without_a_pixel), "result_invalid"),
}


@pytest.mark.parametrize("what", list(BREAKS))
def test_a_result_that_fails_its_check_is_held_and_nothing_is_sent(
    way: Way, archive: Pacs, image: pydicom.Dataset, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    breaks, reason = BREAKS[what]
    way.complete(image)
    way.step()  # analysed, while everything was well
    breaks(way, monkeypatch)
    way.walk()
    ended = way.newest(str(image.StudyInstanceUID))
    assert (ended.state, ended.reason_code) == (State.HELD, reason), ended.last_error
    assert ended.deliveries == ()
    assert archive.stores == 0


def test_an_edition_that_fails_its_check_later_holds_the_case_and_names_the_destination(
    tmp_path: Path, database: Database, image: pydicom.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Pacs() as archive, Pacs(takes=[SR_2D, CAPTURE]) as old:
        named = [{"name": name, "peer": name} for name in ("archive", "old")]
        way = Way(tmp_path, database, settings_for(tmp_path, named, peers={"archive": archive.port, "old": old.port}))
        way.complete(image)
        way.step()
        way.step()  # composed as the settings want it
        with_changed(of_another_patient)(way, monkeypatch)
        way.walk()
        ended = way.newest(str(image.StudyInstanceUID))
        assert (ended.state, ended.reason_code) == (State.HELD, "result_invalid")
        assert "old" in (ended.reason_detail or "")
        assert old.stores == 0
        assert archive.objects


def test_bytes_that_change_in_the_results_folder_are_not_sent(way: Way, archive: Pacs, image: pydicom.Dataset) -> None:
    way.complete(image)
    while not (made := way.newest(str(image.StudyInstanceUID)).results):
        way.step()
    path = editions.result_path(way.settings.results_dir, made[-1].sha256)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    way.walk()
    ended = way.newest(str(image.StudyInstanceUID))
    assert (ended.state, ended.reason_code) == (State.HELD, "result_invalid")
    assert made[-1].sop_instance_uid not in archive.objects


def test_the_same_case_is_made_of_the_same_bytes_by_other_processes_on_other_days(
    tmp_path: Path, database: Database, ledger_url: str, image: pydicom.Dataset
) -> None:
    with ExitStack() as stack:
        archives = {"archive": Pacs(), "old": Pacs(takes=[SR_2D, CAPTURE])}
        for one in archives.values():
            stack.enter_context(one)
        record = stack.enter_context(RecordSystem())
        named: list[dict[str, Any]] = [
            {"name": name, "peer": name, "results": ["report_sr", "overlay_sr", "seg", "picture", "presentation", "pdf"]}
            for name in archives
        ]
        settings = settings_for(
            tmp_path, [*named, {"name": "record", "peer": "record", "results": ["message"]}],
            peers={name: one.port for name, one in archives.items()}, record_peers={"record": record.port},
        )
        way = Way(tmp_path, database, settings)
        ended = way.end_of(image)
    assert ended.state is State.CONFIRMED
    assert {one.form for one in ended.results} == set(Form)
    first = {one.sop_instance_uid: one.sha256 for one in ended.results}
    for days in ("0", "400"):
        done = subprocess.run(
            [sys.executable, "-m", "tests.acceptance.elsewhere", ledger_url, settings.model_dump_json(by_alias=True), str(ended.revision_id), days],
            cwd=REPOSITORY, capture_output=True, text=True, check=False,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == first


def visit(days: int, *, patient: str = "P1", lesion: str | None = LESION, dated: bool = True, seed: int = 1) -> pydicom.Dataset:
    """Return an image of a lesion, taken so many days after the first."""
    made = copy.deepcopy(studies.drawn(studies.new_study(), seed=seed, patient=patient))
    at = START + timedelta(days=days)
    made.StudyDate = at.strftime("%Y%m%d") if dated else ""
    if lesion is not None:
        made.TrackingUID, made.TrackingID = lesion, "mole 1"
    return made


def report_of(way: Way, ended: RevisionStory) -> pydicom.Dataset:
    (line,) = [one for one in ended.results if one.form is Form.REPORT_SR]
    return pydicom.dcmread(io.BytesIO(way.result(line.sha256)))


def study_uids_in(report: pydicom.Dataset) -> set[str]:
    return {str(element.value) for element in report.iterall() if element.keyword == "StudyInstanceUID"}


def test_a_second_visit_a_month_later_tells_the_change(way: Way) -> None:
    way.answers.say = lambda image: said_of(image.Rows, image.Columns, melanoma=0.2)
    first = visit(0)
    before = way.end_of(first)
    way.clock.at += timedelta(days=31)
    way.answers.say = lambda image: said_of(image.Rows, image.Columns, melanoma=0.9)
    after = way.end_of(visit(31, seed=2))
    report = report_of(way, after)
    assert str(first.StudyInstanceUID) in study_uids_in(report)
    assert str(report_of(way, before).SOPInstanceUID) in str(report)
    values = {float(one.value) for one in report.iterall() if one.keyword == "NumericValue"}
    assert any(abs(value - 0.7) < 1e-6 or abs(value - 70) < 1e-6 for value in values), values


def after_erasure(way: Way) -> pydicom.Dataset:
    def work(tx: Session) -> None:
        (row,) = tx.query(Patient).all()
        patients.erase(tx, row.id, actor="admin", reason="asked for", now=way.clock())

    way.database.transaction(work)
    return visit(31)


OTHERS: dict[str, Callable[[Way], pydicom.Dataset]] = {
    "another patient's lesion of the same tracking UID": lambda _way: visit(31, patient="P2"),
    "another lesion": lambda _way: visit(31, lesion="2.25.4712"),
    "a lesion that nothing tracks": lambda _way: visit(31, lesion=None),
    "an earlier study that came later": lambda _way: visit(-31),
    "a study of the same day": lambda _way: visit(0),
    "an erased patient's": after_erasure,
}


@pytest.mark.parametrize("what", list(OTHERS))
def test_nothing_else_is_compared_with_a_visit(way: Way, what: str) -> None:
    first = visit(0)
    way.end_of(first)
    way.clock.at += timedelta(days=31)
    other = OTHERS[what](way)
    ended = way.end_of(other)
    assert ended.state is State.CONFIRMED
    assert str(first.StudyInstanceUID) not in study_uids_in(report_of(way, ended))


def test_studies_without_a_date_are_compared_in_the_order_of_their_receipt(way: Way) -> None:
    first = visit(0, dated=False)
    way.end_of(first)
    way.clock.at += timedelta(days=31)
    assert str(first.StudyInstanceUID) in study_uids_in(report_of(way, way.end_of(visit(0, dated=False))))


def test_an_edition_made_later_is_told_against_the_same_visit_as_the_first(tmp_path: Path, database: Database) -> None:
    """The earlier study gets a late image between the two compositions, and so another report."""
    with Pacs() as archive, Pacs() as old:
        named = [{"name": name, "peer": name} for name in ("archive", "old")]
        way = Way(tmp_path, database, settings_for(tmp_path, named, peers={"archive": archive.port, "old": old.port}))
        first = visit(0)
        before = way.end_of(first)
        old.close()
        old.takes = [SR_2D, CAPTURE]
        old.open()
        way.clock.at += timedelta(days=31)
        second = visit(31, seed=2)
        way.complete(second)
        way.step()
        way.step()
        composed = way.newest(str(second.StudyInstanceUID)).results
        late = visit(0, seed=3)
        late.StudyInstanceUID = first.StudyInstanceUID
        way.complete(late)
        way.walk()
        ended = way.newest(str(second.StudyInstanceUID))
        assert way.newest(str(first.StudyInstanceUID)).number == 2
    assert {one.sop_instance_uid for one in composed} < {one.sop_instance_uid for one in ended.results}
    reports = [one.sop_instance_uid for one in before.results if one.form is Form.REPORT_SR]
    for line in ended.results:
        if line.form is Form.REPORT_SR:
                    assert any(uid in str(pydicom.dcmread(io.BytesIO(way.result(line.sha256)))) for uid in reports)

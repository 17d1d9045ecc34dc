"""QIDO-RS: which of our objects a service has, and what is said of one that cannot be asked."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from derm_pacs.delivery import web_query
from derm_pacs.domain.composed import Composed
from derm_pacs.domain.errors import Busy, Rejected, Transient
from derm_pacs.domain.reasons import ACCESS_DENIED, NO_QUERY, PEER_AWAY, PEER_BUSY

from .web_peer import Reply, Request, WebService, serving, told


def listing(*uids: str) -> Reply:
    return told([{"00080018": {"vr": "UI", "Value": [uid]}} for uid in uids])


@pytest.fixture
def service() -> Iterator[WebService]:
    with serving(lambda _request: listing()) as running:
        yield running


def test_what_is_listed_of_ours_is_present_and_each_series_is_asked_once(service: WebService, objects: list[Composed]) -> None:
    seg, _, report = objects
    has = {seg.series_instance_uid: seg.sop_instance_uid, report.series_instance_uid: report.sop_instance_uid}

    def answer(request: Request) -> Reply:
        series = request.path.split("/")[5]
        return listing(has[series], "2.25.99") if series in has else listing()

    service.answer = answer
    assert web_query.present(service.destination(), "2.25.1", objects) == {seg.sop_instance_uid, report.sop_instance_uid}
    asked = {(one.method, one.path) for one in service.asked}
    assert asked == {("GET", f"/dicom-web/studies/2.25.1/series/{one.series_instance_uid}/instances") for one in objects}


def test_a_service_that_answers_page_by_page_is_asked_until_all_is_seen(service: WebService, objects: list[Composed]) -> None:
    members = [f"2.25.{number}" for number in range(1, 6)]
    ours = [replace(objects[0], sop_instance_uid=uid) for uid in members]

    def answer(request: Request) -> Reply:
        start = int(request.query.get("offset", ["0"])[0])
        return listing(*members[start : start + 2])

    service.answer = answer
    assert web_query.present(service.destination(), "2.25.1", ours) == set(members)
    assert len(service.asked) == 3


def test_a_service_that_passes_over_the_offset_is_not_asked_for_ever(service: WebService, objects: list[Composed]) -> None:
    service.answer = lambda _request: listing("2.25.99")
    assert web_query.present(service.destination(), "2.25.1", objects[:1]) == frozenset()
    assert len(service.asked) == 2


def test_a_service_that_always_finds_more_is_not_asked_for_ever(
    service: WebService, objects: list[Composed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_query, "MOST_ANSWERS", 5)
    service.answer = lambda request: listing(f"2.25.99.{int(request.query.get('offset', ['0'])[0])}") if len(service.asked) < 50 else listing()
    with pytest.raises(Rejected) as caught:
        web_query.present(service.destination(), "2.25.1", objects[:1])
    assert caught.value.reason is NO_QUERY
    assert len(service.asked) == 6


def test_no_content_is_nothing_found(service: WebService, objects: list[Composed]) -> None:
    service.answer = lambda _request: (204, "", b"")
    assert web_query.present(service.destination(), "2.25.1", objects) == frozenset()


def test_a_series_that_is_not_there_is_told_from_a_service_without_qido(service: WebService, objects: list[Composed]) -> None:
    service.answer = lambda request: listing() if request.path == "/dicom-web/studies" else (404, "text/plain", b"")
    assert web_query.present(service.destination(), "2.25.1", objects) == frozenset()
    service.answer = lambda _request: (404, "text/plain", b"")
    with pytest.raises(Rejected) as caught:
        web_query.present(service.destination(), "2.25.1", objects)
    assert caught.value.reason is NO_QUERY


@pytest.mark.parametrize("reply", [(405, "", b""), (501, "", b""), (400, "", b""), (302, "", b""), (200, "text/html", b"<p>hello"), (200, "", b"[3]")])
def test_a_service_that_cannot_be_asked_is_told(service: WebService, objects: list[Composed], reply: Reply) -> None:
    service.answer = lambda _request: reply
    with pytest.raises(Rejected) as caught:
        web_query.present(service.destination(), "2.25.1", objects)
    assert caught.value.reason is NO_QUERY


@pytest.mark.parametrize(
    ("status", "error", "reason"),
    [(401, Transient, ACCESS_DENIED), (503, Busy, PEER_BUSY), (429, Busy, PEER_BUSY), (504, Transient, PEER_AWAY)],
)
def test_what_may_mend_is_not_called_no_query(
    service: WebService, objects: list[Composed], status: int, error: type[Exception], reason: Any
) -> None:
    service.answer = lambda _request: (status, "", b"")
    with pytest.raises(error) as caught:
        web_query.present(service.destination(), "2.25.1", objects)
    assert getattr(caught.value, "reason", None) is reason


def test_whether_it_can_be_asked_is_found_out_without_any_patient(service: WebService) -> None:
    web_query.require_query(service.destination())
    (asked,) = service.asked
    assert (asked.path, asked.query["StudyInstanceUID"]) == ("/dicom-web/studies", ["2.25.0"])

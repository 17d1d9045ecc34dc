"""C-FIND: which of our objects a destination has, and what is said of one that cannot be asked."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import evt

from derm_pacs.delivery import query
from derm_pacs.domain.composed import Composed
from derm_pacs.domain.errors import Busy, Rejected, Transient
from derm_pacs.domain.reasons import NO_QUERY, PEER_AWAY, PEER_BUSY, PEER_REFUSES

pytestmark = pytest.mark.server  # peers on real sockets, whose silences take their time

Answers = Iterator[tuple[int, Dataset | None]]


def listing(*uids: str) -> Any:
    """Answer every question with these instances."""

    def find(event: evt.Event) -> Answers:
        for uid in uids:
            answer = Dataset()
            answer.QueryRetrieveLevel, answer.SOPInstanceUID = "IMAGE", uid
            answer.SeriesInstanceUID = event.identifier.SeriesInstanceUID
            yield 0xFF00, answer

    return [(evt.EVT_C_FIND, find)]


def test_what_is_listed_of_ours_is_present(place: Any, make_peer: Any, objects: list[Composed]) -> None:
    seg, overlay, _report = objects
    peer = make_peer(handlers=listing(seg.sop_instance_uid, overlay.sop_instance_uid, "2.25.99"))
    assert query.present(place.of(peer), "2.25.1", objects) == {seg.sop_instance_uid, overlay.sop_instance_uid}
    assert peer.associations == 1


def test_each_series_is_asked_for_with_the_keys_of_every_level(place: Any, make_peer: Any, objects: list[Composed]) -> None:
    asked: list[Dataset] = []

    def find(event: evt.Event) -> Answers:
        asked.append(event.identifier)
        yield 0x0000, None

    assert query.present(place.of(make_peer(handlers=[(evt.EVT_C_FIND, find)])), "2.25.1", objects) == frozenset()
    assert {one.SeriesInstanceUID for one in asked} == {one.series_instance_uid for one in objects}
    for one in asked:
        assert (one.QueryRetrieveLevel, one.StudyInstanceUID, one.SOPInstanceUID) == ("IMAGE", "2.25.1", "")
        assert {element.keyword for element in one} == {"QueryRetrieveLevel", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"}


def test_a_peer_without_c_find_is_told(place: Any, make_peer: Any, objects: list[Composed]) -> None:
    with pytest.raises(Rejected) as caught:
        query.present(place.of(make_peer(find=False)), "2.25.1", objects)
    assert caught.value.reason is NO_QUERY


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0x0122, 0x0124])
def test_a_refused_question_is_no_query(place: Any, make_peer: Any, objects: list[Composed], status: int) -> None:
    def find(_event: evt.Event) -> Answers:
        yield status, None

    with pytest.raises(Rejected) as caught:
        query.present(place.of(make_peer(handlers=[(evt.EVT_C_FIND, find)])), "2.25.1", objects)
    assert caught.value.reason is NO_QUERY
    assert f"0x{status:04X}" in caught.value.detail


def test_a_peer_out_of_resources_is_busy(place: Any, make_peer: Any, objects: list[Composed]) -> None:
    def find(_event: evt.Event) -> Answers:
        yield 0xA700, None

    with pytest.raises(Busy) as caught:
        query.present(place.of(make_peer(handlers=[(evt.EVT_C_FIND, find)])), "2.25.1", objects)
    assert caught.value.reason is PEER_BUSY


def test_a_peer_that_does_not_know_us_refuses_and_that_is_not_called_no_query(place: Any, make_peer: Any, objects: list[Composed]) -> None:
    with pytest.raises(Rejected) as caught:
        query.present(place.of(make_peer(known=["ANOTHER"])), "2.25.1", objects)
    assert caught.value.reason is PEER_REFUSES


def test_an_abort_in_the_middle_is_transient(place: Any, make_peer: Any, objects: list[Composed]) -> None:
    def find(event: evt.Event) -> Answers:
        event.assoc.abort()
        yield 0x0000, None

    with pytest.raises(Transient) as caught:
        query.present(place.of(make_peer(handlers=[(evt.EVT_C_FIND, find)])), "2.25.1", objects)
    assert caught.value.reason is PEER_AWAY


def test_a_question_that_is_never_answered_is_left_in_time(place: Any, make_peer: Any, objects: list[Composed]) -> None:
    over = threading.Event()

    def find(_event: evt.Event) -> Answers:
        over.wait(20)
        yield 0x0000, None

    began = time.monotonic()
    try:
        with pytest.raises(Transient) as caught:
            query.present(place.of(make_peer(handlers=[(evt.EVT_C_FIND, find)]), 1.0), "2.25.1", objects)
    finally:
        over.set()
    assert caught.value.reason is PEER_AWAY
    assert time.monotonic() - began < 15

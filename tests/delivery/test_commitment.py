"""Asking for storage commitment: reports at once, reports later, and peers that do not commit."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import evt

from derm_pacs.delivery import commitment
from derm_pacs.domain.commitment import Reported
from derm_pacs.domain.errors import Busy, Rejected, Transient
from derm_pacs.domain.reasons import NO_COMMITMENT, PEER_AWAY, PEER_BUSY, PEER_REFUSES

pytestmark = pytest.mark.server  # peers on real sockets, whose silences take their time

TRANSACTION = "2.25.77"
REFERENCES = [("1.2.840.10008.5.1.4.1.1.66.4", "2.25.1"), ("1.2.840.10008.5.1.4.1.1.88.34", "2.25.2")]


def report(transaction: str, committed: list[str], failed: list[tuple[str, int]]) -> Dataset:
    information = Dataset()
    information.TransactionUID = transaction
    information.ReferencedSOPSequence, information.FailedSOPSequence = [], []
    for uid in committed:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.66.4", uid
        information.ReferencedSOPSequence.append(item)
    for uid, reason in failed:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.66.4", uid
        item.FailureReason = reason
        information.FailedSOPSequence.append(item)
    if not failed:
        del information.FailedSOPSequence
    return information


def answering(status: int, *reports: Dataset, answers: list[int] | None = None) -> Callable[[evt.Event], tuple[int, None]]:
    """Answer the N-ACTION and report on the same association after the answer has gone."""

    def act(event: evt.Event) -> tuple[int, None]:
        def tell() -> None:
            for one in reports:
                kind = 2 if "FailedSOPSequence" in one else 1
                answer, _ = event.assoc.send_n_event_report(one, kind, commitment.COMMITMENT_PUSH_MODEL, commitment.WELL_KNOWN_INSTANCE)
                if answers is not None:
                    answers.append(int(answer.Status))

        if reports:
            threading.Timer(0.2, tell).start()
        return status, None

    return act


def test_a_report_on_the_same_association_is_returned(place: Any, make_peer: Any) -> None:
    act = answering(0x0000, report(TRANSACTION, ["2.25.1", "2.25.2"], []))
    reported = commitment.ask(
        place.of(make_peer(handlers=[(evt.EVT_N_ACTION, act)])), TRANSACTION, REFERENCES, wait_seconds=20
    )
    assert reported == Reported(transaction_uid=TRANSACTION, committed=frozenset({"2.25.1", "2.25.2"}), failed=())


def test_failures_come_with_their_reasons(place: Any, make_peer: Any) -> None:
    act = answering(0x0000, report(TRANSACTION, ["2.25.1"], [("2.25.2", 0x0112)]))
    reported = commitment.ask(
        place.of(make_peer(handlers=[(evt.EVT_N_ACTION, act)])), TRANSACTION, REFERENCES, wait_seconds=20
    )
    assert reported is not None
    assert (reported.committed, reported.failed) == (frozenset({"2.25.1"}), (("2.25.2", 0x0112),))


def test_the_request_names_transaction_and_every_reference(place: Any, make_peer: Any) -> None:
    asked: list[Dataset] = []

    def act(event: evt.Event) -> tuple[int, None]:
        asked.append(event.action_information)
        return 0x0000, None

    destination = place.of(make_peer(handlers=[(evt.EVT_N_ACTION, act)]))
    assert commitment.ask(destination, TRANSACTION, REFERENCES, wait_seconds=0.1) is None
    assert asked[0].TransactionUID == TRANSACTION
    assert [(one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID) for one in asked[0].ReferencedSOPSequence] == REFERENCES


def test_a_report_that_comes_later_is_not_waited_for_longer_than_asked(place: Any, make_peer: Any) -> None:
    destination = place.of(make_peer(handlers=[(evt.EVT_N_ACTION, answering(0x0000))]))
    began = time.monotonic()
    assert commitment.ask(destination, TRANSACTION, REFERENCES, wait_seconds=0.3) is None
    assert time.monotonic() - began < 8


def test_waiting_ends_when_the_peer_leaves(place: Any, make_peer: Any) -> None:
    def leave(event: evt.Event) -> tuple[int, None]:
        threading.Timer(0.2, event.assoc.release).start()
        return 0x0000, None

    destination = place.of(make_peer(handlers=[(evt.EVT_N_ACTION, leave)]))
    began = time.monotonic()
    assert commitment.ask(destination, TRANSACTION, REFERENCES, wait_seconds=20) is None
    assert time.monotonic() - began < 10


def test_another_transactions_report_is_left_to_its_sender(place: Any, make_peer: Any) -> None:
    answers: list[int] = []
    act = answering(0x0000, report("2.25.66", ["2.25.9"], []), report(TRANSACTION, ["2.25.1", "2.25.2"], []), answers=answers)
    reported = commitment.ask(
        place.of(make_peer(handlers=[(evt.EVT_N_ACTION, act)])), TRANSACTION, REFERENCES, wait_seconds=20
    )
    assert reported is not None
    assert reported.transaction_uid == TRANSACTION
    assert answers[0] == 0x0110


def test_a_peer_without_commitment_is_known_by_its_contexts(place: Any, make_peer: Any) -> None:
    with pytest.raises(Rejected) as caught:
        commitment.ask(place.of(make_peer(commitment=False)), TRANSACTION, REFERENCES)
    assert caught.value.reason is NO_COMMITMENT


@pytest.mark.parametrize("status", [0x0122, 0x0211, 0x0124, 0x0112])
def test_a_refused_request_is_no_commitment(place: Any, make_peer: Any, status: int) -> None:
    with pytest.raises(Rejected) as caught:
        commitment.ask(place.of(make_peer(handlers=[(evt.EVT_N_ACTION, answering(status))])), TRANSACTION, REFERENCES)
    assert caught.value.reason is NO_COMMITMENT
    assert f"0x{status:04X}" in caught.value.detail


@pytest.mark.parametrize("status", [0x0110, 0x0213])
def test_a_request_that_fails_for_now_is_busy(place: Any, make_peer: Any, status: int) -> None:
    with pytest.raises(Busy) as caught:
        commitment.ask(place.of(make_peer(handlers=[(evt.EVT_N_ACTION, answering(status))])), TRANSACTION, REFERENCES)
    assert caught.value.reason is PEER_BUSY


def test_a_peer_that_does_not_know_us_refuses_and_that_is_not_called_no_commitment(place: Any, make_peer: Any) -> None:
    with pytest.raises(Rejected) as caught:
        commitment.ask(place.of(make_peer(known=["ANOTHER"])), TRANSACTION, REFERENCES)
    assert caught.value.reason is PEER_REFUSES


def test_an_abort_instead_of_an_answer_is_transient(place: Any, make_peer: Any) -> None:
    def abort(event: evt.Event) -> tuple[int, None]:
        event.assoc.abort()
        return 0x0000, None

    with pytest.raises(Transient) as caught:
        commitment.ask(place.of(make_peer(handlers=[(evt.EVT_N_ACTION, abort)])), TRANSACTION, REFERENCES)
    assert caught.value.reason is PEER_AWAY


def test_a_request_that_is_never_answered_is_left_in_time(place: Any, make_peer: Any) -> None:
    over = threading.Event()

    def hang(_event: evt.Event) -> tuple[int, None]:
        over.wait(20)
        return 0x0000, None

    began = time.monotonic()
    try:
        with pytest.raises(Transient) as caught:
            commitment.ask(place.of(make_peer(handlers=[(evt.EVT_N_ACTION, hang)]), 1.0), TRANSACTION, REFERENCES)
    finally:
        over.set()
    assert caught.value.reason is PEER_AWAY
    assert time.monotonic() - began < 15

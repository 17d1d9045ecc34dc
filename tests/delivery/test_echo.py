"""C-ECHO: a destination answers, or the reason why not."""

from dataclasses import replace
from typing import Any

import pytest
from pynetdicom import evt

from derm_pacs.delivery.echo import echo
from derm_pacs.domain.errors import Rejected, Transient
from derm_pacs.domain.marks import IMPLEMENTATION_CLASS_UID
from derm_pacs.domain.reasons import PEER_AWAY, PEER_REFUSES

pytestmark = pytest.mark.server  # peers on real sockets, whose silences take their time


def test_a_peer_that_answers_raises_nothing_and_learns_who_we_are(place: Any, make_peer: Any) -> None:
    seen: list[str] = []

    def look(event: evt.Event) -> None:
        seen.append(str(event.assoc.requestor.implementation_class_uid))

    echo(place.of(make_peer(handlers=[(evt.EVT_ACCEPTED, look)])))
    assert seen == [IMPLEMENTATION_CLASS_UID]


def test_a_peer_that_does_not_know_us_refuses(place: Any, make_peer: Any) -> None:
    with pytest.raises(Rejected) as caught:
        echo(place.of(make_peer(known=["ANOTHER"])))
    assert caught.value.reason is PEER_REFUSES


def test_a_failing_status_refuses(place: Any, make_peer: Any) -> None:
    with pytest.raises(Rejected) as caught:
        echo(place.of(make_peer(handlers=[(evt.EVT_C_ECHO, lambda _event: 0x0122)])))
    assert caught.value.reason is PEER_REFUSES


def test_silence_is_transient(place: Any) -> None:
    with pytest.raises(Transient) as caught:
        echo(place.silent())
    assert caught.value.reason is PEER_AWAY


def test_an_abort_instead_of_an_answer_is_transient(place: Any, make_peer: Any) -> None:
    def abort(event: evt.Event) -> int:
        event.assoc.abort()
        return 0x0000

    with pytest.raises(Transient) as caught:
        echo(place.of(make_peer(handlers=[(evt.EVT_C_ECHO, abort)])))
    assert caught.value.reason is PEER_AWAY


def test_a_name_that_no_one_knows_is_transient(place: Any) -> None:
    with pytest.raises(Transient) as caught:
        echo(replace(place.at(104), host="nowhere.invalid"))
    assert caught.value.reason is PEER_AWAY

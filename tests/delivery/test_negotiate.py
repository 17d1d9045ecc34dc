"""What a destination takes: found out by negotiation alone, against peers that take little, nothing, or never answer."""

import socket
import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import pytest
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom import evt

from derm_pacs.delivery.negotiate import accepted
from derm_pacs.domain.composed import Form
from derm_pacs.domain.edition import (
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    RLE_LOSSLESS,
    Edition,
    SrClass,
    agree,
    candidates,
)
from derm_pacs.domain.errors import Busy, Rejected, Transient
from derm_pacs.domain.reasons import PEER_AWAY, PEER_BUSY, PEER_REFUSES

pytestmark = pytest.mark.server  # peers on real sockets, whose silences take their time

WANTED = Edition(forms=frozenset({Form.REPORT_SR, Form.OVERLAY_SR, Form.SEG, Form.PICTURE}))
NATIVE = {EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN}
SC, SEG, SR, SR_3D = (
    SecondaryCaptureImageStorage, SegmentationStorage, ComprehensiveSRStorage, Comprehensive3DSRStorage,
)


@pytest.mark.parametrize(
    ("storage", "forms", "sr", "left_out"),
    [
        ([SC, SEG, SR, SR_3D], WANTED.forms, SrClass.COMPREHENSIVE_3D, ()),
        ([SC], {Form.PICTURE}, SrClass.COMPREHENSIVE_3D, (Form.SEG, Form.OVERLAY_SR, Form.REPORT_SR)),
        ([SC, SR_3D], WANTED.forms - {Form.SEG}, SrClass.COMPREHENSIVE_3D, (Form.SEG,)),
        ([SC, SEG, SR], WANTED.forms, SrClass.COMPREHENSIVE, ()),
        ([SR_3D], {Form.REPORT_SR, Form.OVERLAY_SR}, SrClass.COMPREHENSIVE_3D, (Form.SEG, Form.PICTURE)),
    ],
)
def test_a_destination_gets_what_it_takes(
    place: Any, make_peer: Any, storage: Sequence[str], forms: AbstractSet[Form], sr: SrClass, left_out: tuple[Form, ...]
) -> None:
    found = accepted(place.of(make_peer(storage=storage)), candidates(WANTED))
    assert found == dict.fromkeys(storage, NATIVE)
    said = agree(WANTED, found)
    assert said.edition is not None
    assert (said.edition.forms, said.edition.sr, said.left_out) == (forms, sr, left_out)


def test_each_syntax_is_known_by_itself(place: Any, make_peer: Any) -> None:
    peer = make_peer(storage=[SC, SEG, SR_3D], syntaxes=[IMPLICIT_LITTLE_ENDIAN, RLE_LOSSLESS])
    found = accepted(place.of(peer), candidates(WANTED))
    assert found == {SC: {IMPLICIT_LITTLE_ENDIAN, RLE_LOSSLESS}, SEG: {IMPLICIT_LITTLE_ENDIAN, RLE_LOSSLESS}, SR_3D: {IMPLICIT_LITTLE_ENDIAN}}
    said = agree(WANTED, found)
    assert said.edition is not None
    assert said.edition.rle == {Form.PICTURE}


@pytest.mark.parametrize("storage", [[], ["1.2.840.10008.5.1.4.1.1.2"]])
def test_a_destination_that_takes_nothing_of_ours_is_an_answer(place: Any, make_peer: Any, storage: Sequence[str]) -> None:
    found = accepted(place.of(make_peer(storage=storage)), candidates(WANTED))
    assert found == {}
    assert agree(WANTED, found).edition is None


def test_nothing_is_sent_and_the_association_is_released(place: Any, make_peer: Any) -> None:
    ends: list[str] = []
    peer = make_peer(handlers=[(evt.EVT_RELEASED, lambda _: ends.append("released")), (evt.EVT_ABORTED, lambda _: ends.append("aborted"))])
    accepted(place.of(peer), candidates(WANTED))
    assert (peer.associations, peer.received) == (1, [])
    deadline = time.monotonic() + 5
    while not ends and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ends == ["released"]


def test_more_pairs_than_an_association_has_contexts_go_over_several(place: Any, make_peer: Any) -> None:
    peer = make_peer(storage=[SC])
    many = {f"1.2.826.0.1.3680043.8.498.{number}": (EXPLICIT_LITTLE_ENDIAN,) for number in range(1, 200)}
    assert accepted(place.of(peer), many | {SC: (EXPLICIT_LITTLE_ENDIAN,)}) == {SC: {EXPLICIT_LITTLE_ENDIAN}}
    assert peer.associations == 2


def test_a_peer_that_does_not_know_us_refuses_for_good(place: Any, make_peer: Any) -> None:
    with pytest.raises(Rejected) as caught:
        accepted(place.of(make_peer(known=["ANOTHER"])), candidates(WANTED))
    assert caught.value.reason is PEER_REFUSES


def test_a_transient_rejection_is_tried_again(place: Any, make_peer: Any) -> None:
    def congested(event: evt.Event) -> None:
        event.assoc.acse.send_reject(0x02, 0x03, 0x01)
        event.assoc.kill()

    with pytest.raises(Busy) as caught:
        accepted(place.of(make_peer(handlers=[(evt.EVT_REQUESTED, congested)])), candidates(WANTED))
    assert caught.value.reason is PEER_BUSY


def test_nobody_listening_is_transient(place: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(Transient) as caught:
        accepted(place.at(port), candidates(WANTED))
    assert caught.value.reason is PEER_AWAY


@pytest.mark.parametrize("said", [b"", b"\x02\x00\x00\x00\x01\x00\x00"])
def test_a_peer_that_goes_silent_in_the_middle_is_left_in_time(place: Any, said: bytes) -> None:
    began = time.monotonic()
    with pytest.raises(Transient) as caught:
        accepted(place.stammering(said) if said else place.silent(), candidates(WANTED))
    assert caught.value.reason is PEER_AWAY
    assert time.monotonic() - began < 15

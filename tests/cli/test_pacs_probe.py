"""`derm-pacs pacs probe`, and what `check` says of destinations: against peers that take all, little or nothing."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom import AE, evt

from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.cli.main import run
from derm_pacs.domain.composed import Form
from derm_pacs.domain.edition import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN, RLE_LOSSLESS, SegKind
from derm_pacs.settings.model import DestinationSettings, ProofBy, Settings, SpoolSettings
from derm_pacs.settings.peers import Peer, RecordPeer, WebAuth, WebPeer
from derm_pacs.settings.write import to_toml

from .conftest import Installation, Said

pytestmark = pytest.mark.server  # peers on real sockets, whose silences take their time

VERIFICATION, COMMITMENT, FIND = "1.2.840.10008.1.1", "1.2.840.10008.1.20.1", "1.2.840.10008.5.1.4.1.2.2.1"
ALL = (SecondaryCaptureImageStorage, SegmentationStorage, ComprehensiveSRStorage, Comprehensive3DSRStorage, EncapsulatedPDFStorage)
NATIVE = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN)

StartPeer = Callable[..., Peer]
RunProbe = Callable[..., Said]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


@pytest.fixture
def start(stack: ExitStack) -> StartPeer:
    """Start a peer that takes these classes and offers these services; returns it as the settings name it."""

    def started(storage: Sequence[str] = ALL, services: Sequence[str] = (COMMITMENT, FIND), syntaxes: Sequence[str] = NATIVE) -> Peer:
        entity = AE("ORTHANC")
        for one in (VERIFICATION, *services):
            entity.add_supported_context(one)
        for one in storage:
            entity.add_supported_context(one, list(syntaxes))
        server: Any = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_ECHO, lambda _: 0x0000)])
        stack.callback(server.shutdown)
        return Peer(name="pacs", ae_title="ORTHANC", host="127.0.0.1", port=server.server_address[1])

    return started


@pytest.fixture
def command(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunProbe:
    """Write settings and run `derm-pacs pacs probe` with them."""

    def probed(settings: Settings, *arguments: str) -> Said:
        config = tmp_path / "s.toml"
        config.write_text(to_toml(settings), encoding="utf-8")
        monkeypatch.setenv("DERM_PACS_CONFIG", str(config))
        status = run(["pacs", "probe", *arguments])
        said = capsys.readouterr()
        return Said(status, said.out, said.err)

    return probed


def with_destination(peer: Peer, **changes: Any) -> Settings:
    return Settings(peers=(peer,), destinations=(DestinationSettings(name="archive", peer="pacs", **changes),))


def test_a_peer_that_takes_all_is_told_by_name_and_by_ae_title(start: StartPeer, command: RunProbe) -> None:
    settings = with_destination(start())
    for name in ("pacs", "ORTHANC"):
        said = command(settings, name)
        assert said.status == ExitCode.OK, said
    assert "answers C-ECHO of DERMPACS" in said.out
    assert "takes 5 of our 7 SOP classes" in said.out
    assert "Explicit VR Little Endian, Implicit VR Little Endian" in said.out
    assert "Storage commitment: offered" in said.out
    assert "Query (C-FIND): offered" in said.out
    assert "gets      seg, overlay_sr, report_sr, picture" in said.out
    assert "left out" not in said.out
    assert "proof     storage commitment" in said.out


def test_what_falls_away_is_told_with_the_class_that_is_missing(start: StartPeer, command: RunProbe) -> None:
    said = command(with_destination(start([SecondaryCaptureImageStorage, Comprehensive3DSRStorage])), "pacs")
    assert said.status == ExitCode.OK
    assert "left out  seg: the peer accepts no Segmentation Storage (1.2.840.10008.5.1.4.1.1.66.4)" in said.out
    assert "gets      overlay_sr, report_sr, picture" in said.out


def test_a_peer_that_takes_only_pictures_gets_the_picture(start: StartPeer, command: RunProbe) -> None:
    settings = with_destination(start([SecondaryCaptureImageStorage], ()), results=(Form.REPORT_SR, Form.SEG), seg=SegKind.LABELMAP)
    said = command(settings, "pacs")
    assert said.status == ExitCode.OK
    assert "gets      picture" in said.out
    assert "left out  report_sr: the peer accepts no Comprehensive 3D SR Storage (1.2.840.10008.5.1.4.1.1.88.34) and no Comprehensive SR" in said.out
    assert "left out  seg: the peer accepts no Label Map Segmentation Storage (1.2.840.10008.5.1.4.1.1.66.7) and no Segmentation" in said.out
    assert "The picture goes in place of what is left out." in said.out
    assert "none: the peer offers neither storage commitment nor a query" in said.out


def test_fallen_back_forms_are_notes(start: StartPeer, command: RunProbe) -> None:
    peer = start([ComprehensiveSRStorage, SegmentationStorage, SecondaryCaptureImageStorage], (FIND,), (*NATIVE, RLE_LOSSLESS))
    said = command(with_destination(peer, seg=SegKind.LABELMAP), "pacs")
    assert said.status == ExitCode.OK
    assert "The SRs go as Comprehensive SR" in said.out
    assert "Masks go as binary segmentations" in said.out
    assert "Compressed (RLE) where that is smaller: picture." in said.out
    assert "proof     a query for the objects, as the peer offers no storage commitment" in said.out


def test_a_peer_that_takes_nothing_of_ours_fails_with_the_remedy(start: StartPeer, command: RunProbe) -> None:
    said = command(with_destination(start([], ())), "pacs")
    assert said.status == ExitCode.FAILED
    assert "FAILED negotiation with pacs: takes 0 of our 7 SOP classes" in said.out
    assert "gets      nothing" in said.out
    assert "deliveries are refused and their cases held" in said.out


@pytest.mark.parametrize(
    ("proof", "services", "words"),
    [
        (ProofBy.QUERY, (FIND,), "a query for the objects"),
        (ProofBy.QUERY, (COMMITMENT,), "none: the peer offers no query; cases end unconfirmed"),
        (ProofBy.NONE, (COMMITMENT, FIND), "none, by the settings; cases end unconfirmed"),
    ],
)
def test_the_proof_is_told(start: StartPeer, command: RunProbe, proof: ProofBy, services: Sequence[str], words: str) -> None:
    said = command(with_destination(start(services=services), proof=proof), "pacs", "--json")
    assert said.value["destinations"][0]["proof"] == words


def test_json_has_it_all(start: StartPeer, command: RunProbe) -> None:
    said = command(with_destination(start([SecondaryCaptureImageStorage])), "pacs", "--json").value
    assert (said["peer"], said["offers_commitment"], said["offers_query"]) == ("pacs", True, True)
    taken = {one["sop_class_uid"]: one["transfer_syntaxes"] for one in said["takes"]}
    assert taken[SecondaryCaptureImageStorage] == ["Explicit VR Little Endian", "Implicit VR Little Endian"]
    assert taken[SegmentationStorage] == []
    (gets,) = said["destinations"]
    assert (gets["gets"], [one["form"] for one in gets["left_out"]]) == (["picture"], ["seg", "overlay_sr", "report_sr"])


def test_a_peer_of_no_destination_is_told_so(start: StartPeer, command: RunProbe) -> None:
    said = command(Settings(peers=(start(),)), "pacs")
    assert said.status == ExitCode.OK
    assert "No destination of the settings names pacs." in said.out


def test_nobody_there_and_nobody_known(start: StartPeer, command: RunProbe) -> None:
    away = Settings(peers=(Peer(name="pacs", ae_title="ORTHANC", host="127.0.0.1", port=1), Peer(name="camera", ae_title="CAMERA")))
    said = command(away, "pacs")
    assert said.status == ExitCode.UNAVAILABLE
    assert "FAILED peer pacs (ORTHANC at 127.0.0.1:1): peer_away" in said.out
    assert command(away, "camera").status == ExitCode.REFUSED
    unknown = command(away, "NOBODY")
    assert unknown.status == ExitCode.NOT_FOUND
    assert "known: pacs, camera" in unknown.talk


@pytest.fixture
def web(stack: ExitStack) -> str:
    """Address of a service that answers a search to who knows the password."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers.get("Authorization") == "Basic ZGVybTpnZWhlaW00NzEx"
            self.send_response(200 if known else 401)
            self.send_header("Content-Type", "application/dicom+json")
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    stack.callback(thread.join, 5)
    stack.callback(server.server_close)
    stack.callback(server.shutdown)
    return f"http://127.0.0.1:{server.server_address[1]}/dicom-web"


def test_a_web_peer_is_asked_with_our_credentials(web: str, command: RunProbe, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(
        web_peers=(WebPeer(name="cloud", url=web, auth=WebAuth.BASIC, user="derm"),),
        destinations=(DestinationSettings(name="archive", peer="cloud"),),
    )
    monkeypatch.setenv("DERM_PACS_SECRET_CLOUD", "geheim4711")
    said = command(settings, "cloud")
    assert said.status == ExitCode.OK, said
    assert f"ok     peer cloud ({web}): answers QIDO-RS to our credentials" in said.out
    assert "gets      seg, overlay_sr, report_sr, picture" in said.out
    assert "what it refuses is told by the delivery" in said.out
    assert "proof     a query for the objects" in said.out
    monkeypatch.setenv("DERM_PACS_SECRET_CLOUD", "wrong4711")
    denied = command(settings, "cloud")
    assert denied.status == ExitCode.UNAVAILABLE
    assert "access_denied" in denied.out
    assert "4711" not in denied.out + denied.talk + said.out
    monkeypatch.delenv("DERM_PACS_SECRET_CLOUD")
    absent = command(settings, "cloud")
    assert absent.status == ExitCode.SETTINGS
    assert "DERM_PACS_SECRET_CLOUD" in absent.talk


def test_a_record_peer_is_connected_to_and_sent_nothing(command: RunProbe) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        settings = Settings(
            record_peers=(RecordPeer(name="ris", host="127.0.0.1", port=listening.getsockname()[1]),),
            destinations=(DestinationSettings(name="record", peer="ris", results=(Form.MESSAGE,)),),
        )
        said = command(settings, "ris")
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(5)
            assert connection.recv(1) == b""
    assert said.status == ExitCode.OK, said
    assert "takes the connection; no message was sent" in said.out
    assert "gets      message" in said.out
    assert "proof     the acknowledgement of each message" in said.out
    assert command(settings, "ris").status == ExitCode.UNAVAILABLE


@pytest.mark.server
def test_check_says_what_falls_away_and_fails_only_where_nothing_is_left(installation: Installation, start: StartPeer) -> None:
    def checked(peer: Peer) -> Said:
        settings = Settings.model_validate(
            installation.settings.model_dump(by_alias=True) | with_destination(peer).model_dump(include={"peers", "destinations"})
            | {"spool": SpoolSettings(disk_reserve_megabytes=0)}
        )
        installation.config.write_text(to_toml(settings), encoding="utf-8")
        return replace(installation, settings=settings).run("check")

    little = checked(start([SecondaryCaptureImageStorage]))
    assert little.status == ExitCode.OK, little.out
    assert "note   destination archive on pacs: gets picture; left out seg: the peer accepts no Segmentation" in little.out
    assert "Remedy: see: derm-pacs pacs probe pacs" in little.out
    nothing = checked(start([]))
    assert nothing.status == ExitCode.FAILED
    assert "FAILED destination archive on pacs: would get nothing" in nothing.out

"""`derm-pacs check` and `pacs echo`: what is tried, against real sockets and a real database."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from pynetdicom import AE, evt

from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.domain.classes import VERIFICATION
from derm_pacs.settings.model import DestinationSettings, RouteSettings, Settings, SpoolSettings
from derm_pacs.settings.peers import Peer
from derm_pacs.settings.write import to_toml

from .conftest import Installation

pytestmark = pytest.mark.server


@pytest.fixture
def pacs_port() -> Iterator[int]:
    """A peer that answers C-ECHO."""
    entity = AE("ORTHANC")
    entity.add_supported_context(VERIFICATION)
    entity.require_called_aet = True
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_ECHO, lambda _: 0x0000)])
    assert server is not None
    yield server.server_address[1]
    server.shutdown()


def _with(here: Installation, **changes: object) -> Installation:
    settings = Settings.model_validate(here.settings.model_dump(by_alias=True) | changes)
    here.config.write_text(to_toml(settings), encoding="utf-8")
    return replace(here, settings=settings)


def _pacs(port: int) -> tuple[Peer, ...]:
    return (Peer(name="pacs", ae_title="ORTHANC", host="127.0.0.1", port=port, may_send=True),)


def test_an_installation_in_order_passes(installation: Installation, pacs_port: int) -> None:
    here = _with(installation, peers=_pacs(pacs_port), spool=SpoolSettings(disk_reserve_megabytes=0))
    said = here.run("check")
    assert said.status == ExitCode.OK, said.out + said.talk
    assert "quiet_seconds = 60.0" in said.out
    assert f"ok     peer pacs (ORTHANC at 127.0.0.1:{pacs_port}): answers C-ECHO of DERMPACS" in said.out
    assert "its schema is that of this program" in said.out
    assert "FAILED" not in said.out


def test_each_failure_is_told_with_its_remedy(unmigrated: Installation, pacs_port: int) -> None:
    peers = (*_pacs(1), Peer(name="other", ae_title="WRONG", host="127.0.0.1", port=pacs_port))
    here = _with(unmigrated, peers=peers, spool=SpoolSettings(disk_reserve_megabytes=10**9))
    said = here.run("check", "--json")
    assert said.status == ExitCode.FAILED
    failed = {one["what"].split(" ")[0] + one["what"].split(" ")[1]: one for one in said.value["checked"] if not one["ok"]}
    assert {"peerpacs", "peerother", "diskof"} < set(failed)
    assert all(one["remedy"] for one in failed.values())
    assert any(one["remedy"] == "run: derm-pacs migrate" for one in failed.values())
    assert "peer_refuses" in failed["peerother"]["says"]
    assert said.value["ok"] is False


def test_a_route_without_a_bundle_in_force_fails(installation: Installation, pacs_port: int) -> None:
    here = _with(
        installation, peers=_pacs(pacs_port), destinations=(DestinationSettings(name="pacs", peer="pacs"),),
        routes=(RouteSettings(name="dermoscopy", bundles=("melanoma_nevus_alexnet",), destinations=("pacs",)),),
    )
    said = here.run("check")
    assert said.status == ExitCode.FAILED
    assert "bundle melanoma_nevus_alexnet of route dermoscopy: no version of it is in force" in said.out
    assert "derm-pacs bundles activate" in said.out


def test_a_bundle_whose_files_are_gone_fails(held: Installation) -> None:
    said = held.run("check")
    assert said.status == ExitCode.FAILED
    assert "FAILED bundle melanoma_nevus_alexnet 1.0.0 (in force)" in said.out
    assert "NOT USABLE" in held.run("bundles", "list").out


def test_the_secret_is_in_no_output(installation: Installation) -> None:
    here = replace(installation, environment={"DERM_PACS_DATABASE_PASSWORD": "geheim4711"})
    for arguments in (("check",), ("check", "--json"), ("status",), ("cases", "list"), ("bundles", "list"), ("migrate",)):
        said = here.run(*arguments)
        assert "geheim4711" not in said.out + said.talk
    assert "******** (from the environment" in here.run("check").out


def test_echo_asks_one_peer_or_all(installation: Installation, pacs_port: int) -> None:
    here = _with(installation, peers=(*_pacs(pacs_port), Peer(name="camera", ae_title="CAMERA", may_send=True)))
    assert [one["ok"] for one in here.run("pacs", "echo", "--json").value] == [True]
    assert here.run("pacs", "echo", "pacs").status == ExitCode.OK
    unknown = here.run("pacs", "echo", "nobody")
    assert unknown.status == ExitCode.NOT_FOUND
    assert "known: pacs, camera" in unknown.talk
    assert here.run("pacs", "echo", "camera").status == ExitCode.REFUSED
    away = _with(here, peers=_pacs(1)).run("pacs", "echo", "pacs")
    assert away.status == ExitCode.UNAVAILABLE
    assert "FAILED" in away.out

"""The same against a real PACS: Orthanc stores, commits and reports to a listener of ours."""

import queue
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydicom.uid import UID
from pynetdicom import AE, evt

from derm_pacs.delivery import commitment, store
from derm_pacs.delivery.echo import echo
from derm_pacs.delivery.interface import Destination
from derm_pacs.demonstration.orthanc import Orthanc, program
from derm_pacs.domain.commitment import Reported
from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.errors import Rejected
from derm_pacs.domain.identifiers import derived_uid
from derm_pacs.domain.reasons import NO_CONTEXT

pytestmark = [pytest.mark.server, pytest.mark.skipif(program() is None, reason="Orthanc is not installed: apt-get install orthanc")]


class Reports:
    """A listener that takes storage commitment reports."""

    def __init__(self) -> None:
        self.taken: queue.Queue[Reported] = queue.Queue()
        entity = AE(ae_title="DERMPACS")
        entity.add_supported_context(UID(commitment.COMMITMENT_PUSH_MODEL), scu_role=True, scp_role=True)
        server: Any = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._take)])
        self.server = server
        self.port = int(server.server_address[1])

    def _take(self, event: evt.Event) -> tuple[int, None]:
        self.taken.put(commitment.reported(event.event_information))
        return 0x0000, None


@pytest.fixture(scope="module")
def reports() -> Iterator[Reports]:
    listener = Reports()
    yield listener
    listener.server.shutdown()


@pytest.fixture(scope="module")
def orthanc(reports: Reports, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with Orthanc(tmp_path_factory.mktemp("orthanc"), modalities={"dermpacs": ("DERMPACS", reports.port)}) as running:
        yield running


@pytest.fixture
def destination(orthanc: Orthanc) -> Destination:
    return Destination(name="pacs", ae_title="ORTHANC", host="127.0.0.1", port=orthanc.dicom_port, calling_ae="DERMPACS")


def test_orthanc_answers_an_echo(destination: Destination) -> None:
    echo(destination)


def test_objects_arrive_whole_and_are_committed_on_an_association_of_orthancs_own(
    orthanc: Orthanc, destination: Destination, reports: Reports, objects: list[Composed]
) -> None:
    log: list[tuple[str, int]] = []
    store.send(destination, objects, lambda uid, status: log.append((uid, status)))
    assert log == [(one.sop_instance_uid, 0x0000) for one in objects]
    kept = orthanc.instances(derived_uid(["study"]))
    for one in objects:
        data_set = one.data[one.data.index(b"\x08\x00\x05\x00CS") :]
        assert kept[one.sop_instance_uid].endswith(data_set)
    references = [(one.sop_class_uid, one.sop_instance_uid) for one in objects]
    at_once = commitment.ask(destination, "2.25.4711", references, wait_seconds=0.5)
    report = at_once or reports.taken.get(timeout=60)
    assert report == Reported(transaction_uid="2.25.4711", committed=frozenset(uid for _, uid in references), failed=())


def test_orthanc_reports_an_unknown_instance_as_failed(destination: Destination, reports: Reports, objects: list[Composed]) -> None:
    at_once = commitment.ask(destination, "2.25.4712", [(objects[0].sop_class_uid, "2.25.404")], wait_seconds=0.5)
    report = at_once or reports.taken.get(timeout=60)
    assert (report.committed, [uid for uid, _ in report.failed]) == (frozenset(), ["2.25.404"])


def test_a_class_that_orthanc_does_not_take_is_named(destination: Destination, make_object: Any) -> None:
    odd = replace(make_object(Form.SEG), sop_class_uid="1.2.840.10008.5.1.4.1.1.66.7")
    with pytest.raises(Rejected) as caught:
        store.send(destination, [odd], lambda _uid, _status: None)
    assert caught.value.reason is NO_CONTEXT

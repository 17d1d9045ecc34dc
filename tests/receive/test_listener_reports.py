"""Commitment reports over real sockets: taken whatever roles are proposed, kept before they are answered, or refused."""

from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role
from pynetdicom.sop_class import StorageCommitmentPushModel  # type: ignore[attr-defined]

from derm_pacs.domain import classes
from derm_pacs.receive.listener import Listener
from derm_pacs.spool.read import payload

pytestmark = pytest.mark.server

Bench = Any  # the class of tests/receive/conftest.py, which tests do not import


def report_to(listener: Listener, roles: tuple[bool, bool] | None, *, event: int = 1, uid: str | None = "1.2.9") -> tuple[Any, int]:
    peer = AE("REPORTER")
    peer.add_requested_context(StorageCommitmentPushModel)
    chosen: list[Any] = [] if roles is None else [build_role(StorageCommitmentPushModel, scu_role=roles[0], scp_role=roles[1])]
    association = peer.associate("127.0.0.1", listener.port, ae_title="DERMPACS", ext_neg=chosen)
    assert association.is_established
    (context,) = association.accepted_contexts
    item = Dataset()
    item.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.66.4"
    item.ReferencedSOPInstanceUID = "1.2.8"
    information = Dataset()
    if uid is not None:
        information.TransactionUID = uid
    information.ReferencedSOPSequence = [item]
    status, _ = association.send_n_event_report(
        information, event, StorageCommitmentPushModel, classes.STORAGE_COMMITMENT_INSTANCE
    )
    association.release()
    return context, status.Status


@pytest.mark.parametrize("roles", [(False, True), (True, True), None], ids=["scp only", "both", "none"])
def test_a_commitment_report_is_taken_whatever_roles_are_proposed(
    bench: Bench, listener: Listener, roles: tuple[bool, bool] | None
) -> None:
    context, status = report_to(listener, roles)
    assert status == 0x0000
    if roles is not None:
        assert context.as_scp
    (record,) = bench.spooled()
    assert (record.header.kind, record.header.calling_ae) == ("commitment_report", "REPORTER")
    assert payload(bench.policy.spool_dir, record.place) == b'{"transaction_uid":"1.2.9","committed":["1.2.8"],"failed":[]}'


@pytest.mark.parametrize(("event", "uid", "expected"), [(7, "1.2.9", 0x0113), (1, None, 0x0115)])
def test_a_report_that_cannot_be_understood_is_refused(
    bench: Bench, listener: Listener, event: int, uid: str | None, expected: int
) -> None:
    assert report_to(listener, (False, True), event=event, uid=uid)[1] == expected
    assert bench.spooled() == []


def test_a_report_that_cannot_be_kept_is_answered_out_of_resources(bench: Bench) -> None:
    bench.change(reserve_bytes=2**60)
    assert report_to(bench.listen(), (False, True))[1] == 0x0213


def test_a_request_for_our_commitment_is_refused_clearly(bench: Bench, listener: Listener) -> None:
    association = bench.associate(listener, classes=(StorageCommitmentPushModel,))
    information = Dataset()
    information.TransactionUID = "1.2.9"
    status, _ = association.send_n_action(
        information, 1, StorageCommitmentPushModel, classes.STORAGE_COMMITMENT_INSTANCE
    )
    assert status.Status == 0x0211
    assert status.ErrorComment.startswith("This AE asks for storage commitment")

"""A commitment report is filed with the transaction that it answers."""

import json
from dataclasses import replace

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from derm_pacs.domain.delivery import DeliveryState
from derm_pacs.domain.errors import Defect
from derm_pacs.ledger import filing
from derm_pacs.ledger.result_tables import CommitmentTransaction, DeliveryRow
from derm_pacs.spool import read
from tests.ledger.filing_site import Site

pytestmark = pytest.mark.server


def report(uid: str, committed: list[str], failed: list[list[object]]) -> bytes:
    return json.dumps({"transaction_uid": uid, "committed": committed, "failed": failed}).encode()


def test_a_commitment_report_is_kept_with_its_transaction_and_names_the_delivery(site: Site) -> None:
    filed = site.send(0)

    def ask(tx: Session) -> int:
        delivery = DeliveryRow(revision_id=filed.revision_id, destination="pacs", state=DeliveryState.SENT)
        tx.add(delivery)
        tx.flush()
        tx.add(CommitmentTransaction(
            transaction_uid="2.25.5", delivery_id=delivery.id, asked_at=site.at(1), deadline=site.at(99)
        ))
        return delivery.id

    delivery_id = site.database.transaction(ask)
    site.receive(2, report("2.25.5", ["1.2", "1.1"], [["1.3", 274]]), kind="commitment_report")
    (record,) = site.records()
    for second_payload in (report("2.25.5", ["1.2", "1.1"], [["1.3", 274]]), report("2.25.5", [], [])):
        answer = site.database.transaction(
            lambda tx, payload=second_payload: filing.file_report(tx, record, payload, now=site.at(3))  # type: ignore[misc]
        )
        assert answer == delivery_id
    kept = site.database.transaction(lambda tx: tx.scalars(select(CommitmentTransaction)).one())
    assert kept.report == {"committed": ["1.1", "1.2"], "failed": [["1.3", 274]]}
    assert kept.reported_at == site.at(3)


def test_a_report_on_what_we_never_asked_is_nobodys(site: Site) -> None:
    site.receive(2, report("2.25.6", [], []), kind="commitment_report")
    (record,) = site.records()
    payload = read.payload(site.folder, record.place)
    assert site.database.transaction(lambda tx: filing.file_report(tx, record, payload, now=site.at(3))) is None


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"transaction_uid": "1", "committed": [], "failed": [["1"]]}'])
def test_a_report_in_another_form_is_a_defect_that_says_where_it_lies(site: Site, payload: bytes) -> None:
    site.receive(2, payload, kind="commitment_report")
    (record,) = site.records()
    place = replace(record.place, segment=3)
    with pytest.raises(Defect, match="listener-0, segment 3"):
        site.database.transaction(
            lambda tx: filing.file_report(tx, replace(record, place=place), payload, now=site.at(3))
        )

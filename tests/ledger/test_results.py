"""Editions share what does not differ, an agreement is remembered, and a UID never stands for two byte strings."""

import hashlib
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy.orm import Session

from derm_pacs.domain.case import State
from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.delivery import DeliveryState, Proof
from derm_pacs.domain.edition import Agreed, Edition, SrClass
from derm_pacs.domain.errors import Defect
from derm_pacs.domain.findings import Classification, ClassProbability, Combine, LesionRule, Saliency
from derm_pacs.ledger import deliveries, results, runs
from derm_pacs.ledger.database import Database
from derm_pacs.ledger.tables import FindingRow, RunRow
from tests.pipeline import ledger_rows

pytestmark = pytest.mark.server

THREE = Edition(forms=frozenset({Form.SEG, Form.REPORT_SR}))
PLAIN = Edition(forms=frozenset({Form.SEG, Form.REPORT_SR}), sr=SrClass.COMPREHENSIVE)


def composed(form: Form, uid: str, data: bytes = b"x") -> Composed:
    return Composed(
        form=form, sop_class_uid="1.2", sop_instance_uid=uid, series_instance_uid=f"{uid}.1", transfer_syntax_uid="1.2",
        sha256=hashlib.sha256(data).hexdigest(), about=("1.2.3",), data=data,
    )


def test_editions_share_the_objects_that_do_not_differ_each_in_its_order(database: Database, now: datetime) -> None:
    def work(tx: Session) -> list[list[str]]:
        revision_id = ledger_rows.revision(tx, State.COMPOSING)
        outline = composed(Form.SEG, "2.25.1")
        results.keep(tx, revision_id, THREE, [outline, composed(Form.REPORT_SR, "2.25.2")], now)
        results.keep(tx, revision_id, PLAIN, [composed(Form.REPORT_SR, "2.25.3"), outline], now)
        results.keep(tx, revision_id, PLAIN, [composed(Form.REPORT_SR, "2.25.3"), outline], now)  # a try that did not settle
        kept = results.editions(tx, revision_id)
        return [[one.sop_instance_uid for one in kept[edition]] for edition in (THREE, PLAIN)]

    assert database.transaction(work) == [["2.25.1", "2.25.2"], ["2.25.3", "2.25.1"]]


def test_a_uid_that_was_made_again_with_other_bytes_is_refused(database: Database, now: datetime) -> None:
    def work(tx: Session) -> None:
        revision_id = ledger_rows.revision(tx, State.COMPOSING)
        results.keep(tx, revision_id, THREE, [composed(Form.SEG, "2.25.1", b"x")], now)
        results.keep(tx, revision_id, PLAIN, [composed(Form.SEG, "2.25.1", b"y")], now)

    with pytest.raises(Defect, match="with other bytes"):
        database.transaction(work)


def test_what_a_destination_took_is_remembered_for_the_same_wish_alone(database: Database, now: datetime) -> None:
    def work(tx: Session) -> list[Agreed]:
        made = ledger_rows.delivery(tx, ledger_rows.revision(tx, State.DELIVERING), "pacs")
        row = deliveries.locked(tx, made)
        assert row is not None
        deliveries.note_agreement(tx, row, THREE, Agreed(edition=THREE, left_out=()), now)
        deliveries.note_agreement(tx, row, THREE, Agreed(edition=PLAIN, left_out=(Form.PDF,)), now + timedelta(days=1))
        assert (row.edition, row.left_out) == (PLAIN.key, ["pdf"])
        return [
            deliveries.agreed_before(tx, "pacs", THREE), deliveries.agreed_before(tx, "pacs", PLAIN),
            deliveries.agreed_before(tx, "other", THREE),
        ]

    assert database.transaction(work) == [
        Agreed(edition=PLAIN, left_out=(Form.PDF,)), Agreed(edition=PLAIN, left_out=()), Agreed(edition=THREE, left_out=()),
    ]


def test_only_what_is_proven_has_a_proof(database: Database, now: datetime) -> None:
    def work(tx: Session) -> None:
        row = deliveries.locked(tx, ledger_rows.delivery(tx, ledger_rows.revision(tx, State.DELIVERING), "pacs"))
        assert row is not None
        with pytest.raises(ValueError, match="proof"):
            deliveries.move(row, DeliveryState.PROVEN, now=now)
        with pytest.raises(ValueError, match="proof"):
            deliveries.move(row, DeliveryState.SENT, now=now, proof=Proof.QUERY)
        deliveries.move(row, DeliveryState.PROVEN, now=now, proof=Proof.ACKNOWLEDGED)
        assert row.proof is Proof.ACKNOWLEDGED

    database.transaction(work)


def test_saliency_and_the_rules_of_a_run_come_back_as_they_were_kept(database: Database, now: datetime) -> None:
    grid = np.random.default_rng(1).integers(0, 255, (7, 9), dtype=np.uint8)
    said = Classification(
        output="class", probabilities=(ClassProbability(class_id="a", concept="melanoma", probability=1.0),),
        saliency=Saliency(method="grad_cam", class_id="a", grid=grid),
    )
    rule = LesionRule(output="class", combine=Combine.MAXIMUM)

    def keep(tx: Session) -> int:
        revision_id = ledger_rows.revision(tx, State.ANALYSING)
        ledger_rows.finding(tx, revision_id)
        run = tx.query(RunRow).one()
        instance_id = tx.query(FindingRow).one().instance_id
        runs.finish(tx, run_id=run.id, findings=[(instance_id, 1, (said,))], lesion_rules=(rule,), reused_from=None, now=now)
        return revision_id

    revision_id = database.transaction(keep)
    case = database.transaction(lambda tx: runs.case_findings(tx, revision_id))
    assert case.runs[0].lesion_rules == (rule,)
    ((outcome,),) = [one.outcomes for one in case.findings]
    assert isinstance(outcome, Classification)
    assert outcome.saliency is not None
    assert (outcome.saliency.method, outcome.saliency.class_id) == ("grad_cam", "a")
    assert np.array_equal(outcome.saliency.grid, grid)


def test_an_image_is_shown_by_the_first_bundle_that_has_read_it(database: Database, now: datetime) -> None:
    def work(tx: Session) -> list[tuple[Path, str]]:
        revision_id = ledger_rows.revision(tx, State.ANALYSING)
        ledger_rows.finding(tx, revision_id)
        return list(runs.readers(tx, revision_id).values())

    ((folder, content_hash),) = database.transaction(work)
    assert folder == Path("/nowhere")
    assert len(content_hash) == 64

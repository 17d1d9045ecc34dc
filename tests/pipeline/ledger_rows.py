"""Cases in the ledger at a chosen point of their walk, for tests of single stages."""

import itertools
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.orm import Session

from derm_pacs.domain.case import State, Step
from derm_pacs.domain.composed import Form
from derm_pacs.domain.delivery import DeliveryState, Proof
from derm_pacs.domain.edition import Agreed, Edition
from derm_pacs.domain.findings import Classification, ClassProbability, Grade, Refusal, RunRole
from derm_pacs.domain.reasons import OBJECT_REFUSED
from derm_pacs.domain.study import Arrivals, CloseReason, Complete
from derm_pacs.ledger import cases, deliveries, filing, runs
from derm_pacs.ledger.database import Database
from derm_pacs.ledger.tables import Bundle, Case, Instance, Peer, Revision, RunRow
from derm_pacs.pipeline.runners import Runners
from derm_pacs.pipeline.site import Site
from derm_pacs.settings.model import Settings

NOW = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
EDITION = Edition(forms=frozenset({Form.REPORT_SR}))
_NUMBERS = itertools.count(1)
_TO = {
    State.RECEIVING: (),
    State.QUEUED: (Step.CLOSE,),
    State.ANALYSING: (Step.CLOSE, Step.BEGIN_ANALYSIS),
    State.COMPOSING: (Step.CLOSE, Step.BEGIN_ANALYSIS, Step.FINISH_ANALYSIS),
    State.DELIVERING: (Step.CLOSE, Step.BEGIN_ANALYSIS, Step.FINISH_ANALYSIS, Step.FINISH_COMPOSING),
}


def site(database: Database, tmp_path: Path) -> Site:
    settings = Settings(data_dir=tmp_path)
    return Site(
        settings=settings, database=database, installation_uid="2.25.1", runners=Runners(settings.analysis), now=lambda: NOW
    )


def revision(tx: Session, state: State, *, case_id: int | None = None) -> int:
    """Return the id of a new revision in that state, of a new case unless one is given."""
    number = next(_NUMBERS)
    if case_id is None:
        case = Case(
            facility_id=filing.ensure_facility(tx, "Test"), study_instance_uid=f"1.2.{number}", created_at=NOW
        )
        tx.add(case)
        tx.flush()
        case_id = case.id
    made = cases.open_revision(tx, case_id, Arrivals(first_at=NOW, last_at=NOW), actor="test", now=NOW)
    for step in _TO[state]:
        if step is Step.CLOSE:
            cases.close(tx, made, Complete(reason=CloseReason.QUIET, at=NOW), actor="test", now=NOW)
        else:
            cases.take(tx, made, step, actor="test", now=NOW)
    return made


def state_of(tx: Session, revision_id: int) -> State:
    return tx.get_one(Revision, revision_id).state


def finding(tx: Session, revision_id: int, *, refused: bool = False) -> None:
    """Let a run of the revision say something of an image, or refuse it."""
    number = next(_NUMBERS)
    case_id = tx.get_one(Revision, revision_id).case_id
    facility_id = filing.ensure_facility(tx, "Test")
    peer = Peer(facility_id=facility_id, ae_title=f"AE{number}", first_seen_at=NOW, last_seen_at=NOW)
    bundle = Bundle(
        name=f"bundle{number}", version="1.0.0", content_hash=f"{number:064x}", title="Test", grade=Grade.RESEARCH,
        licence="test", folder="/nowhere", installed_at=NOW, active=False,
    )
    tx.add_all([peer, bundle])
    tx.flush()
    image = Instance(
        facility_id=facility_id, case_id=case_id, peer_id=peer.id, role="image", current=True, sop_class_uid="1.2",
        sop_instance_uid=f"1.2.3.{number}", series_instance_uid="1.2.3", study_instance_uid="1.2",
        transfer_syntax_uid="1.2.840.10008.1.2.1", sha256=f"{number:064x}", pixel_sha256=None, modality="DMS",
        number_of_frames=1, listener="listener-0", segment=1, offset=number, length=1, received_at=NOW, filed_at=NOW,
    )
    run = RunRow(
        revision_id=revision_id, bundle_id=bundle.id, role=RunRole.ACTIVE, settings={}, operating_points=[], started_at=NOW
    )
    tx.add_all([image, run])
    tx.flush()
    said = Refusal(reason="poor_quality_blur", detail="0.4, at least 8") if refused else Classification(
        output="class", probabilities=(ClassProbability(class_id="a", concept="melanoma", probability=1.0),)
    )
    runs.finish(tx, run_id=run.id, findings=[(image.id, 1, (said,))], lesion_rules=(), reused_from=None, now=NOW)
    tx.flush()


def delivery(tx: Session, revision_id: int, destination: str, *states: DeliveryState) -> int:
    """Return the id of a delivery that has gone through these states."""
    (made,) = deliveries.open_all(tx, revision_id, {destination: Agreed(edition=EDITION, left_out=())})
    row = deliveries.locked(tx, made)
    assert row is not None
    for state in states:
        reason = OBJECT_REFUSED if state is DeliveryState.REFUSED else None
        proof = Proof.COMMITMENT if state is DeliveryState.PROVEN else None
        deliveries.move(row, state, now=NOW, reason=reason, detail="0xC000" if reason else "", proof=proof)
    tx.flush()
    return made

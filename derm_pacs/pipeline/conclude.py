"""How the deliveries of a revision end it, and what a later revision does to an earlier one."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from derm_pacs.domain.case import TRANSITIONS, State, Step
from derm_pacs.domain.delivery import DeliveryState, case_end
from derm_pacs.domain.findings import Refusal
from derm_pacs.domain.reasons import REASONS, Reason
from derm_pacs.ledger import cases, deliveries, runs
from derm_pacs.ledger.tables import Revision
from derm_pacs.pipeline import analyse, trying
from derm_pacs.pipeline.site import Site


def conclude(tx: Session, revision_id: int, site: Site) -> None:
    """Take the step that the revision's deliveries demand, if all of them have ended."""
    revision = trying.locked(tx, revision_id)
    if revision.state is not State.DELIVERING:
        return
    rows = deliveries.of_revision(tx, revision_id)
    case = runs.case_findings(tx, revision_id)
    step = case_end([row.state for row in rows], analysed=case.analysed)
    if step is None:
        return
    reason: Reason | None = None
    detail = ""
    if step is Step.HOLD:
        refused = [row for row in rows if row.state is DeliveryState.REFUSED]
        reason = REASONS[refused[0].reason_code or "object_refused"]
        detail = "; ".join(f"destination {row.destination}: {row.reason_detail or row.reason_code}" for row in refused)
    elif step is Step.REJECT:
        refusals = [one for finding in case.findings for one in finding.outcomes if isinstance(one, Refusal)]
        reason, detail = analyse.first_reason(refusals)
    elif step is Step.END_UNCONFIRMED:
        unproven = [row for row in rows if row.state is DeliveryState.UNPROVABLE]
        reason = REASONS[unproven[0].reason_code] if unproven[0].reason_code else None
        detail = ", ".join(f"destination {row.destination}" for row in unproven)
    cases.take(tx, revision_id, step, actor=trying.ACTOR, reason=reason, detail=detail, now=site.now())
    supersede_earlier(tx, revision.case_id, site)


def supersede_earlier(tx: Session, case_id: int, site: Site) -> None:
    """Supersede every ended revision that has a later one whose results are with their destinations."""
    rows = list(
        tx.scalars(select(Revision).where(Revision.case_id == case_id).order_by(Revision.number).with_for_update())
    )
    answered = [row.number for row in rows if row.state in (State.CONFIRMED, State.UNCONFIRMED, State.REJECTED)]
    for row in rows:
        if answered and row.number < max(answered) and Step.SUPERSEDE in TRANSITIONS[row.state]:
            cases.take(tx, row.id, Step.SUPERSEDE, actor=trying.ACTOR, now=site.now())

"""How the deliveries of a revision decide its end: the table of ends, mixed destinations included."""

from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from derm_pacs.domain.case import State, Step
from derm_pacs.domain.delivery import DeliveryState
from derm_pacs.ledger import cases
from derm_pacs.ledger.database import Database
from derm_pacs.ledger.tables import Revision
from derm_pacs.pipeline.conclude import conclude
from tests.pipeline import ledger_rows
from tests.pipeline.ledger_rows import NOW

pytestmark = pytest.mark.server

PROVEN = (DeliveryState.SENT, DeliveryState.PROVEN)
UNPROVABLE = (DeliveryState.SENT, DeliveryState.UNPROVABLE)
REFUSED = (DeliveryState.REFUSED,)
WAITING = (DeliveryState.SENT,)
PENDING = ()


@pytest.mark.parametrize(
    ("ways", "analysed", "end"),
    [
        ((PROVEN,), True, State.CONFIRMED),
        ((PROVEN, PROVEN), True, State.CONFIRMED),
        ((PROVEN, UNPROVABLE), True, State.UNCONFIRMED),
        ((PROVEN, REFUSED), True, State.HELD),
        ((UNPROVABLE, REFUSED), False, State.HELD),
        ((PROVEN, WAITING), True, State.DELIVERING),
        ((REFUSED, PENDING), True, State.DELIVERING),
        ((PROVEN,), False, State.REJECTED),
        ((UNPROVABLE,), False, State.REJECTED),
    ],
)
def test_the_deliveries_decide_the_end(
    database: Database, tmp_path: Path, ways: tuple[tuple[DeliveryState, ...], ...], analysed: bool, end: State
) -> None:
    site = ledger_rows.site(database, tmp_path)

    def work(tx: Session) -> Revision:
        revision_id = ledger_rows.revision(tx, State.DELIVERING)
        ledger_rows.finding(tx, revision_id, refused=not analysed)
        for number, states in enumerate(ways):
            ledger_rows.delivery(tx, revision_id, f"destination{number}", *states)
        conclude(tx, revision_id, site)
        return tx.get_one(Revision, revision_id)

    ended = database.transaction(work)
    assert ended.state is end
    if end is State.HELD:
        assert ended.reason_code == "object_refused"
        assert "destination1" in (ended.reason_detail or "")
    if end is State.REJECTED:
        assert ended.reason_code == "poor_quality_blur"


def test_an_ended_later_revision_supersedes_the_earlier_ones_and_not_those_on_their_way(
    database: Database, tmp_path: Path
) -> None:
    site = ledger_rows.site(database, tmp_path)

    def work(tx: Session) -> list[State]:
        first = ledger_rows.revision(tx, State.DELIVERING)
        ledger_rows.finding(tx, first)
        case_id = tx.get_one(Revision, first).case_id
        ledger_rows.delivery(tx, first, "a", *PROVEN)
        conclude(tx, first, site)
        second = ledger_rows.revision(tx, State.DELIVERING, case_id=case_id)
        ledger_rows.delivery(tx, second, "a", *WAITING)
        third = ledger_rows.revision(tx, State.DELIVERING, case_id=case_id)
        ledger_rows.finding(tx, third)
        ledger_rows.delivery(tx, third, "a", *PROVEN)
        conclude(tx, third, site)
        return [ledger_rows.state_of(tx, one) for one in (first, second, third)]

    assert database.transaction(work) == [State.SUPERSEDED, State.DELIVERING, State.CONFIRMED]


def test_a_cancelled_revision_is_left_alone(database: Database, tmp_path: Path) -> None:
    site = ledger_rows.site(database, tmp_path)

    def work(tx: Session) -> State:
        revision_id = ledger_rows.revision(tx, State.DELIVERING)
        ledger_rows.delivery(tx, revision_id, "a", *PROVEN)
        cases.take(tx, revision_id, Step.CANCEL, actor="admin", now=NOW)
        conclude(tx, revision_id, site)
        return ledger_rows.state_of(tx, revision_id)

    assert database.transaction(work) is State.CANCELLED

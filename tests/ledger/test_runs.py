"""What a run said of crops comes back as it was kept, and is taken over by the same bundle for the same pixels."""

from datetime import datetime

import psycopg
import pytest
from sqlalchemy.orm import Session

from derm_pacs.domain.case import State
from derm_pacs.domain.findings import Classification, ClassProbability, Crops, Outcome, Rectangle, Refusal
from derm_pacs.domain.routing import Route
from derm_pacs.ledger import migrate, runs
from derm_pacs.ledger.database import Database
from derm_pacs.ledger.tables import FindingRow, Instance, Revision, RunRow
from tests.pipeline import ledger_rows

pytestmark = pytest.mark.server

LEFT, RIGHT = (Rectangle(left=left, top=2, width=10, height=12) for left in (0, 20))


def called(region: Rectangle | None, chance: float = 1.0) -> Classification:
    one = ClassProbability(class_id="a", concept="melanoma", probability=chance)
    return Classification(output="class", probabilities=(one,), region=region)


def kept(tx: Session, *outcomes: Outcome, now: datetime) -> int:
    """Return the id of a revision of which a run said this of one image, whose pixels are known."""
    revision_id = ledger_rows.revision(tx, State.ANALYSING)
    ledger_rows.finding(tx, revision_id)
    run = tx.query(RunRow).filter_by(revision_id=revision_id).one()
    (row,) = tx.query(FindingRow).filter_by(run_id=run.id)
    tx.get_one(Instance, row.instance_id).pixel_sha256 = "f" * 64
    runs.finish(
        tx, run_id=run.id, findings=[(row.instance_id, 1, outcomes)], lesion_rules=(), reused_from=None, now=now
    )
    tx.flush()
    return revision_id


def test_crops_and_what_was_read_on_each_come_back_in_their_order(database: Database, now: datetime) -> None:
    refused = Refusal(
        reason="too_small", detail="shorter side 10", region=Rectangle(left=1, top=1, width=10, height=10)
    )
    said = (called(RIGHT, 0.25), called(LEFT, 0.75), Crops(output="class", rectangles=(RIGHT, LEFT)), refused)
    revision_id = database.transaction(lambda tx: kept(tx, *said, now=now))
    (found,) = database.transaction(lambda tx: runs.case_findings(tx, revision_id)).findings
    assert set(found.outcomes) == set(said)
    assert [one for one in found.outcomes if isinstance(one, Classification)] == [
        called(RIGHT, 0.25),
        called(LEFT, 0.75),
    ]


def test_what_was_said_of_crops_is_known_in_the_order_of_reading(database: Database, now: datetime) -> None:
    def work(tx: Session) -> tuple[Outcome, ...]:
        first = kept(tx, called(RIGHT), called(LEFT), now=now)
        run = tx.query(RunRow).filter_by(revision_id=first).one()
        later = ledger_rows.revision(tx, State.RECEIVING, case_id=tx.get_one(Revision, first).case_id)
        again = RunRow(
            revision_id=later, bundle_id=run.bundle_id, role=run.role, settings={}, operating_points=[], started_at=now
        )
        tx.add(again)
        tx.flush()
        known = runs.known_outcomes(tx, run_id=again.id, pixel_sha256="f" * 64)
        assert known is not None
        return known[1][1]

    assert database.transaction(work) == (called(RIGHT), called(LEFT))


def test_a_route_is_another_once_it_hands_crops_over_or_is_no_longer_clinical(
    database: Database, now: datetime
) -> None:
    plain = Route(name="r", sop_classes=frozenset(), modalities=frozenset(), bundles=("a", "b"), destinations=("pacs",))
    chained = Route(
        name="r", sop_classes=frozenset(), modalities=frozenset(), bundles=("a", "b"), destinations=("pacs",), reads_crops_of={"b": "a"}
    )  # fmt: skip
    elsewhere = Route(
        name="r", sop_classes=frozenset(), modalities=frozenset(), bundles=("a", "b"), destinations=("pacs",), clinical=False
    )  # fmt: skip

    def work(tx: Session) -> list[int]:
        return [runs.remember_route(tx, one, now) for one in (plain, chained, elsewhere, plain)]

    made = database.transaction(work)
    assert made[0] == made[3]
    assert len(set(made)) == 3


@pytest.mark.parametrize("said", [called(LEFT), Crops(output="lesion", rectangles=(LEFT,))])
def test_the_way_back_is_refused_while_findings_of_crops_are_kept(
    database: Database, ledger_url: str, now: datetime, said: Outcome
) -> None:
    database.transaction(lambda tx: kept(tx, said, now=now))
    with pytest.raises(Exception, match="findings of crops are kept"):
        migrate.downgrade(ledger_url, "0002")
    assert migrate.current(ledger_url) == migrate.newest()
    with psycopg.connect(ledger_url) as connection:
        connection.execute("DELETE FROM findings")
    migrate.downgrade(ledger_url, "0002")
    assert migrate.current(ledger_url) == "0002"

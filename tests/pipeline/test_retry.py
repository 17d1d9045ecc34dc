"""What follows from a failed try."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derm_pacs.domain.errors import Busy, Defect, Rejected, Transient, WalkError
from derm_pacs.domain.reasons import DEADLINE, OBJECT_REFUSED, PEER_AWAY, PEER_BUSY, RUNNER_FAILED
from derm_pacs.pipeline.retry import DEFECT_TRIES, Again, GiveUp, Tries, decide, wait_before

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def tries(count: int, ago: timedelta | None = None) -> Tries:
    return Tries(count=count, first_failed_at=NOW - ago if ago is not None else None)


@pytest.mark.parametrize("error", [Transient(PEER_AWAY), Busy(PEER_BUSY)])
def test_what_may_mend_comes_again_until_its_deadline(error: WalkError) -> None:
    assert decide(error, tries(1), deadline=DAY, now=NOW) == Again(at=NOW + timedelta(seconds=2))
    assert isinstance(decide(error, tries(300, timedelta(hours=23)), deadline=DAY, now=NOW), Again)
    given_up = decide(error, tries(300, timedelta(hours=24)), deadline=DAY, now=NOW)
    assert isinstance(given_up, GiveUp)
    assert given_up.reason is DEADLINE
    assert error.reason.code in given_up.detail


def test_a_defect_is_tried_three_times() -> None:
    error = Defect(RUNNER_FAILED)
    outcomes = [decide(error, tries(count), deadline=DAY, now=NOW) for count in range(1, DEFECT_TRIES + 1)]
    assert [type(one) for one in outcomes] == [Again, Again, GiveUp]


def test_a_refusal_for_good_is_not_tried_again() -> None:
    assert decide(Rejected(OBJECT_REFUSED, "why"), tries(1), deadline=DAY, now=NOW) == GiveUp(
        reason=OBJECT_REFUSED, detail="why"
    )


@given(st.integers(1, 10**6))
def test_the_pause_grows_to_five_minutes_and_no_further(count: int) -> None:
    assert wait_before(count) <= wait_before(count + 1) <= timedelta(minutes=5)


@given(st.integers(1, 500), st.floats(0, 86400), st.floats(1, 86400))
def test_no_try_is_planned_behind_the_deadline(count: int, ago: float, deadline: float) -> None:
    limit = timedelta(seconds=deadline)
    decided = decide(Transient(PEER_AWAY), tries(count, timedelta(seconds=ago)), deadline=limit, now=NOW)
    if isinstance(decided, Again):
        assert decided.at <= NOW - timedelta(seconds=ago) + limit

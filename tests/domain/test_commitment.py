"""A commitment transaction is settled by its report, and only in full."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derm_pacs.domain.commitment import Asked, Confirmed, Failed, Overdue, Reported, Waiting, settle

DEADLINE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ASKED = Asked(transaction_uid="2.25.1", instances=frozenset({"1.1", "1.2"}), deadline=DEADLINE)


def reported(*committed: str, failed: tuple[tuple[str, int], ...] = ()) -> Reported:
    return Reported(transaction_uid="2.25.1", committed=frozenset(committed), failed=failed)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(-1, Waiting()), (0, Overdue()), (1, Overdue())]
)
def test_without_a_report_the_deadline_decides(seconds: int, expected: Waiting | Overdue) -> None:
    assert settle(ASKED, None, DEADLINE + timedelta(seconds=seconds)) == expected


def test_all_committed_is_confirmed_even_after_the_deadline() -> None:
    assert settle(ASKED, reported("1.1", "1.2"), DEADLINE + timedelta(days=1)) == Confirmed()


def test_more_than_was_asked_for_is_confirmed() -> None:
    assert settle(ASKED, reported("1.1", "1.2", "1.3"), DEADLINE) == Confirmed()


def test_an_instance_that_the_report_omits_is_not_committed() -> None:
    assert settle(ASKED, reported("1.2"), DEADLINE) == Failed(instances=("1.1",))


def test_failed_instances_are_named_in_order() -> None:
    answer = settle(ASKED, reported(failed=(("1.2", 0x0110), ("1.1", 0x0112))), DEADLINE)
    assert answer == Failed(instances=("1.1", "1.2"))


@given(st.sets(st.sampled_from(["1.1", "1.2", "1.3"])))
def test_confirmed_means_that_every_instance_came_back(committed: set[str]) -> None:
    confirmed = settle(ASKED, reported(*committed), DEADLINE) == Confirmed()
    assert confirmed == (ASKED.instances <= committed)

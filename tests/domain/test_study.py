"""When a study is complete, what an arriving image means, and how a revision is named."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derm_pacs.domain.study import (
    Arrivals,
    CloseReason,
    Complete,
    Open,
    Placement,
    Quiet,
    completeness,
    place,
    revision_hash,
)

START = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
QUIET = Quiet(quiet=timedelta(seconds=60), cap=timedelta(seconds=600))


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def arrivals(first: float, last: float) -> Arrivals:
    return Arrivals(first_at=at(first), last_at=at(last))


@pytest.mark.parametrize(
    ("first", "last", "now", "expected"),
    [
        (0, 0, 0, Open(due=at(60))),
        (0, 30, 60, Open(due=at(90))),
        (0, 30, 89.999, Open(due=at(90))),
        (0, 30, 90, Complete(reason=CloseReason.QUIET, at=at(90))),
        (0, 30, 5000, Complete(reason=CloseReason.QUIET, at=at(90))),
        (0, 580, 599, Open(due=at(600))),
        (0, 580, 600, Complete(reason=CloseReason.CAP, at=at(600))),
        (0, 580, 5000, Complete(reason=CloseReason.CAP, at=at(600))),
        (0, 540, 600, Complete(reason=CloseReason.CAP, at=at(600))),
    ],
)
def test_a_study_is_complete_after_the_quiet_period_or_at_the_cap(
    first: float, last: float, now: float, expected: Complete | Open
) -> None:
    assert completeness(arrivals(first, last), QUIET, at(now)) == expected


seconds = st.integers(0, 2000)


@given(first=seconds, more=st.integers(0, 590), now=seconds, later=seconds)
def test_complete_stays_complete_for_the_same_reason(first: int, more: int, now: int, later: int) -> None:
    seen = arrivals(first, first + more)
    early = completeness(seen, QUIET, at(first + more + now))
    late = completeness(seen, QUIET, at(first + more + now + later))
    if isinstance(early, Complete):
        assert late == early
    elif isinstance(late, Complete):
        assert late.at == early.due


@given(first=seconds, more=seconds, now=seconds)
def test_an_open_study_is_complete_when_it_is_due(first: int, more: int, now: int) -> None:
    seen = arrivals(first, first + more)
    answer = completeness(seen, QUIET, at(now))
    if isinstance(answer, Open):
        assert answer.due > at(now)
        assert completeness(seen, QUIET, answer.due) == Complete(
            reason=CloseReason.CAP if first + QUIET.cap.seconds <= first + more + QUIET.quiet.seconds else CloseReason.QUIET,
            at=answer.due,
        )


def test_the_first_image_opens_the_first_revision() -> None:
    assert where(receiving=None, any_revision=False) is Placement.FIRST


def test_an_image_joins_while_the_study_is_open() -> None:
    assert where(receiving=arrivals(0, 30), any_revision=True, received=89) is Placement.JOINS


def test_an_image_after_the_quiet_period_is_late_even_if_nobody_has_closed_the_study() -> None:
    assert where(receiving=arrivals(0, 30), any_revision=True, received=90) is Placement.LATE


def test_an_image_after_the_cap_is_late() -> None:
    assert where(receiving=arrivals(0, 599), any_revision=True, received=600) is Placement.LATE


def test_an_image_of_a_study_whose_revisions_are_closed_is_late() -> None:
    assert where(receiving=None, any_revision=True) is Placement.LATE


@pytest.mark.parametrize("receiving", [None, arrivals(0, 0)])
def test_the_same_bytes_again_are_a_resend(receiving: Arrivals | None) -> None:
    assert where(known=True, receiving=receiving, any_revision=True) is Placement.SAME


def where(
    *, known: bool = False, receiving: Arrivals | None, any_revision: bool, received: float = 0
) -> Placement:
    return place(
        known_in_case=known, receiving=receiving, any_revision=any_revision, quiet=QUIET, received_at=at(received)
    )


uids = st.from_regex(r"1\.[1-9][0-9]{0,8}", fullmatch=True)
hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
pairs = st.lists(st.tuples(uids, hashes), max_size=6)


@given(pairs, st.randoms())
def test_a_revision_is_named_by_its_set_whatever_the_order(
    instances: list[tuple[str, str]], random: Random
) -> None:
    shuffled = instances + instances[:2]
    random.shuffle(shuffled)
    assert revision_hash(shuffled) == revision_hash(instances)


@given(pairs, pairs)
def test_two_sets_have_two_names(one: list[tuple[str, str]], other: list[tuple[str, str]]) -> None:
    assert (revision_hash(one) == revision_hash(other)) == (set(one) == set(other))


def test_the_name_of_a_revision_never_changes_between_versions() -> None:
    # SHA-256 of "1.2 ab", a line feed and "1.3 cd".
    expected = "7b5061c50ba3f9c582297a1ecff1cd9f7835c6905f004083d67b45dcbeb41e79"
    assert revision_hash([("1.3", "cd"), ("1.2", "ab")]) == expected

"""The state machine of a case: every pair of state and step, the shape of the graph, and walks at random."""

from itertools import product

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from derm_pacs.domain.case import ENDS, MEANING, TRANSITIONS, ForbiddenStep, State, Step, advance, retry_step

EVERY_PAIR = list(product(State, Step))
WORKING = frozenset(State) - ENDS


def reachable(start: State) -> frozenset[State]:
    found = {start}
    waiting = [start]
    while waiting:
        for after in TRANSITIONS[waiting.pop()].values():
            if after not in found:
                found.add(after)
                waiting.append(after)
    return frozenset(found)


@pytest.mark.parametrize(("state", "step"), EVERY_PAIR)
def test_every_step_is_taken_by_the_table_or_refused_by_name(state: State, step: Step) -> None:
    if step in TRANSITIONS[state]:
        assert advance(state, step) is TRANSITIONS[state][step]
        return
    with pytest.raises(ForbiddenStep) as refused:
        advance(state, step)
    assert (refused.value.state, refused.value.step) == (state, step)
    message = str(refused.value)
    assert state in message
    assert step in message
    for allowed in TRANSITIONS[state]:
        assert allowed in message


def test_a_refusal_in_the_last_state_says_that_nothing_is_allowed() -> None:
    with pytest.raises(ForbiddenStep, match="allowed: nothing"):
        advance(State.SUPERSEDED, Step.CANCEL)


def test_every_state_has_a_row_and_a_meaning() -> None:
    assert set(TRANSITIONS) == set(State) == set(MEANING)


def test_every_state_is_reached_from_receiving() -> None:
    assert reachable(State.RECEIVING) == frozenset(State)


@pytest.mark.parametrize("state", sorted(WORKING))
def test_from_every_state_on_the_way_an_end_is_reachable(state: State) -> None:
    assert reachable(state) & ENDS


@pytest.mark.parametrize("state", sorted(WORKING))
def test_a_person_can_cancel_and_the_service_can_hold_wherever_a_case_is_on_its_way(state: State) -> None:
    assert advance(state, Step.CANCEL) is State.CANCELLED
    assert advance(state, Step.HOLD) is State.HELD


def test_every_step_is_used() -> None:
    assert {step for steps in TRANSITIONS.values() for step in steps} == set(Step)


def test_nothing_leaves_an_end_but_a_person_or_a_later_revision() -> None:
    by_persons = {Step.CANCEL, Step.SUPERSEDE} | {step for step in Step if step.startswith("retry_")}
    for state in ENDS:
        assert set(TRANSITIONS[state]) <= by_persons


def test_confirmed_is_entered_from_delivering_alone() -> None:
    before = {state for state, steps in TRANSITIONS.items() if State.CONFIRMED in steps.values()}
    assert before == {State.DELIVERING}


@pytest.mark.parametrize("state", sorted(WORKING))
def test_a_held_case_is_retried_where_it_was_held(state: State) -> None:
    assert advance(state, Step.HOLD) is State.HELD
    taken_on = advance(State.HELD, retry_step(state))
    assert taken_on is (State.QUEUED if state is State.ANALYSING else state)


@pytest.mark.parametrize("state", sorted(ENDS))
def test_no_case_is_held_in_an_end(state: State) -> None:
    with pytest.raises(ValueError, match=f"held in the state {state}"):
        retry_step(state)


class Walk(RuleBasedStateMachine):
    """A case takes steps at random, forbidden ones among them."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State.RECEIVING
        self.passed = [State.RECEIVING]
        self.held_in: State | None = None

    @rule(step=st.sampled_from(Step))
    def any_step(self, step: Step) -> None:
        allowed = TRANSITIONS[self.state]
        if step not in allowed:
            with pytest.raises(ForbiddenStep):
                advance(self.state, step)
            return
        self.take(step)

    @precondition(lambda self: bool(TRANSITIONS[self.state]))
    @rule(data=st.data())
    def allowed_step(self, data: st.DataObject) -> None:
        self.take(data.draw(st.sampled_from(sorted(TRANSITIONS[self.state]))))

    @precondition(lambda self: self.state is State.HELD)
    @rule()
    def retry_where_it_was_held(self) -> None:
        assert self.held_in is not None
        self.take(retry_step(self.held_in))

    def take(self, step: Step) -> None:
        before = self.state
        self.state = advance(before, step)
        if self.state is State.HELD:
            self.held_in = before
        self.passed.append(self.state)

    @invariant()
    def confirmed_came_through_delivering(self) -> None:
        for before, after in zip(self.passed, self.passed[1:], strict=False):
            if after in (State.CONFIRMED, State.UNCONFIRMED):
                assert before is State.DELIVERING

    @invariant()
    def superseded_is_the_last_word(self) -> None:
        assert State.SUPERSEDED not in self.passed[:-1]

    @invariant()
    def an_end_stays_reachable(self) -> None:
        assert reachable(self.state) & ENDS


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)

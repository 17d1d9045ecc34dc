"""How deliveries decide the end of their case."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derm_pacs.domain.case import TRANSITIONS, State, Step
from derm_pacs.domain.delivery import DELIVERY_TRANSITIONS, DeliveryState, case_end

PENDING, SENT, PROVEN, UNPROVABLE, REFUSED = DeliveryState


@pytest.mark.parametrize(
    ("states", "analysed", "expected"),
    [
        ([PROVEN], True, Step.CONFIRM),
        ([PROVEN, PROVEN], True, Step.CONFIRM),
        ([PROVEN, UNPROVABLE], True, Step.END_UNCONFIRMED),
        ([UNPROVABLE], True, Step.END_UNCONFIRMED),
        ([PROVEN, REFUSED], True, Step.HOLD),
        ([REFUSED, UNPROVABLE], True, Step.HOLD),
        ([REFUSED], False, Step.HOLD),
        ([PROVEN], False, Step.REJECT),
        ([UNPROVABLE], False, Step.REJECT),
        ([], False, Step.REJECT),
        ([PENDING, PROVEN], True, None),
        ([SENT, PROVEN], True, None),
        ([REFUSED, SENT], True, None),
        ([PENDING, REFUSED], False, None),
    ],
)
def test_the_deliveries_end_the_case(states: list[DeliveryState], *, analysed: bool, expected: Step | None) -> None:
    assert case_end(states, analysed=analysed) is expected


@given(st.lists(st.sampled_from(DeliveryState), max_size=5), st.booleans(), st.randoms())
def test_the_order_of_destinations_changes_nothing(states: list[DeliveryState], analysed: bool, random: Random) -> None:
    shuffled = list(states)
    random.shuffle(shuffled)
    assert case_end(iter(shuffled), analysed=analysed) is case_end(states, analysed=analysed)


@given(st.lists(st.sampled_from(DeliveryState), max_size=5), st.booleans())
def test_the_end_is_a_step_that_a_delivering_case_can_take(states: list[DeliveryState], analysed: bool) -> None:
    step = case_end(states, analysed=analysed)
    assert step is None or step in TRANSITIONS[State.DELIVERING]


def test_every_delivery_state_is_reached_and_only_a_retry_leaves_an_end() -> None:
    assert set(DELIVERY_TRANSITIONS) == set(DeliveryState)
    assert set().union(*DELIVERY_TRANSITIONS.values()) == set(DeliveryState)
    assert DELIVERY_TRANSITIONS[REFUSED] == {PENDING}
    assert not DELIVERY_TRANSITIONS[PROVEN]
    assert not DELIVERY_TRANSITIONS[UNPROVABLE]

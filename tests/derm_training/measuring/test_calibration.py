"""Calibration: known temperatures are found again, and what is fitted is measured on other lesions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from derm_training.measuring.calibration import (
    calibration,
    calibration_error,
    crossfitted,
    errors_by_chance,
    fit_temperature,
    reliability,
    softmax,
)


def drawn(count: int, heat: float, classes: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits (count, classes) that are `heat` times too large, and truths drawn from what they mean."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1.5, (count, classes))
    truth = np.array([random.choice(classes, p=row) for row in softmax(logits)])
    return logits * heat, truth


@pytest.mark.parametrize("heat", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("classes", [2, 5])
def test_the_temperature_that_was_put_in_is_found(heat: float, classes: int) -> None:
    assert fit_temperature(*drawn(8000, heat, classes)) == pytest.approx(heat, rel=0.08)


@given(st.integers(0, 1000), st.floats(0.3, 4.0))
def test_a_temperature_changes_no_ranking(seed: int, heat: float) -> None:
    logits, truth = drawn(40, heat, seed=seed)
    warm = softmax(logits / fit_temperature(logits, truth))
    assert np.array_equal(np.argsort(softmax(logits)[:, 1], kind="stable"), np.argsort(warm[:, 1], kind="stable"))


def test_too_sure_a_network_is_found_out_and_scaling_mends_it() -> None:
    logits, truth = drawn(2000, 4.0)
    groups = [str(i // 2) for i in range(2000)]
    found = calibration(logits, truth, groups, positive=1)
    assert found.temperature == pytest.approx(4.0, rel=0.15)
    assert found.ece_scaled is not None
    assert found.ece > 0.1 > 0.05 > found.ece_scaled
    assert found.ece_by_chance < found.ece_by_chance_most < 0.04
    assert sum(one.n for one in found.bins) == sum(one.n for one in found.bins_scaled) == 2000


def test_a_half_is_scaled_by_the_other_halfs_temperature() -> None:
    logits, truth = drawn(400, 2.0)
    groups = [str(i // 4) for i in range(400)]
    scaled = crossfitted(logits, truth, groups, seed=3)
    assert scaled is not None
    factors = (logits / scaled.logits)[:, 0]
    halves = [np.isclose(factors, one) for one in np.unique(factors.round(6))]
    assert [int(half.sum()) for half in halves] == [200, 200]
    for half, other in (halves, halves[::-1]):
        assert factors[half][0] == pytest.approx(fit_temperature(logits[other], truth[other]), rel=1e-4)
        assert {groups[i] for i in np.flatnonzero(half)}.isdisjoint(groups[i] for i in np.flatnonzero(other))


def test_one_class_alone_has_an_error_and_no_temperature() -> None:
    found = calibration(np.zeros((6, 2)), np.ones(6, dtype=np.intp), list("abcdef"), positive=1)
    assert (found.temperature, found.ece_scaled, found.bins_scaled) == (None, None, ())
    assert found.ece == pytest.approx(0.5)


@pytest.mark.parametrize("size", [0.5, 2.0, 9.0])
def test_where_all_or_nothing_is_in_order_no_temperature_is_the_best_and_that_is_told(size: float) -> None:
    truth = np.arange(40) % 2
    right = np.eye(2)[truth] * size
    for logits in (right, right[:, ::-1]):
        found = calibration(logits, truth, [str(n) for n in range(40)], positive=1)
        assert found.open
        assert found.fits_open == found.fits == 20
    inside = calibration(*drawn(400, 2.0), [str(n) for n in range(400)], positive=1)
    assert (inside.open, inside.fits, inside.fits_open) == (False, 20, 0)


def test_the_error_is_the_gap_weighted_by_the_images_of_a_bin() -> None:
    confidence = np.array([0.95, 0.95, 0.15, 1.0])
    observed = np.array([True, False, False, True])
    assert [(one.n, one.observed) for one in reliability(confidence, observed)] == [(1, 0.0), (3, pytest.approx(2 / 3))]
    assert calibration_error(confidence, observed) == pytest.approx(0.25 * 0.15 + 0.75 * abs(2.9 / 3 - 2 / 3))


def test_few_images_show_an_error_even_where_every_probability_is_right() -> None:
    assert errors_by_chance(np.linspace(0.05, 0.95, 20)).mean() > errors_by_chance(np.linspace(0.05, 0.95, 2000)).mean() > 0


def test_several_classes_are_judged_by_the_most_probable_one() -> None:
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]]))
    found = calibration(logits, np.array([0, 2]), ["a", "b"], positive=None)
    assert found.ece == pytest.approx((0.3 + 0.8) / 2)

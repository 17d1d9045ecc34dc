"""Figures of merit against the library's and against known answers, and intervals that know of lesions."""

import csv
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from derm_training.measuring.statistics import (
    Figure,
    area_under_curve,
    at_sensitivity,
    at_threshold,
    bootstrap,
    confusion,
    dice,
    jaccard,
    resamples,
    roc,
    roc_band,
    widened,
    wilson,
)
from tests.conftest import shared_data

# few distinct scores, so that ties are many
both_classes = st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=40).filter(
    lambda pairs: len({one for one, _ in pairs}) == 2
)


def arrays(pairs: list[tuple[bool, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([one for one, _ in pairs]), np.array([score / 5 for _, score in pairs])


@given(both_classes)
def test_the_area_is_the_librarys_also_with_ties(pairs: list[tuple[bool, int]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="needs the extra 'train'")
    truth, scores = arrays(pairs)
    assert area_under_curve(truth, scores) == pytest.approx(metrics.roc_auc_score(truth, scores))


def test_the_area_of_one_class_alone_is_no_number() -> None:
    assert math.isnan(area_under_curve([1, 1], [0.2, 0.3]))
    assert math.isnan(area_under_curve([0], [0.2]))
    assert math.isnan(area_under_curve([1, 0, 0], [math.nan, 0.2, 0.3])), "what has no place in an order"


@given(both_classes)
def test_the_curve_is_the_librarys_and_the_area_lies_under_it(pairs: list[tuple[bool, int]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="needs the extra 'train'")
    truth, scores = arrays(pairs)
    curve = roc(truth, scores)
    false_positive, true_positive, thresholds = metrics.roc_curve(truth, scores, drop_intermediate=False)
    assert curve.false_positive == pytest.approx(false_positive)
    assert curve.true_positive == pytest.approx(true_positive)
    assert curve.thresholds[1:] == pytest.approx(thresholds[1:])
    assert np.trapezoid(curve.true_positive, curve.false_positive) == pytest.approx(area_under_curve(truth, scores))


@given(both_classes)
def test_every_point_of_the_curve_is_what_its_threshold_gives(pairs: list[tuple[bool, int]]) -> None:
    truth, scores = arrays(pairs)
    curve = roc(truth, scores)
    for false, true, threshold in zip(curve.false_positive, curve.true_positive, curve.thresholds, strict=True):
        point = at_threshold(truth, scores, float(threshold))
        assert (1 - point.specificity, point.sensitivity) == pytest.approx((false, true))


def test_a_curve_of_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="both classes"):
        roc([0, 0], [0.1, 0.2])


@given(both_classes, st.floats(0.01, 1.0))
def test_the_threshold_for_a_sensitivity_reaches_it_and_no_larger_one_does(
    pairs: list[tuple[bool, int]], wanted: float
) -> None:
    truth, scores = arrays(pairs)
    point = at_sensitivity(truth, scores, wanted)
    assert point.sensitivity >= wanted - 1e-9
    for larger in np.unique(scores[scores > point.threshold]):
        assert at_threshold(truth, scores, float(larger)).sensitivity < wanted


def test_nineteen_of_twenty_are_a_sensitivity_of_0_95() -> None:
    scores = np.arange(20) / 20
    assert at_sensitivity(np.ones(20), scores, 0.95).threshold == scores[1]


def test_no_sensitivity_is_aimed_at_outside_its_range_or_without_positives() -> None:
    with pytest.raises(ValueError, match="at most 1"):
        at_sensitivity([1], [0.5], 1.2)
    with pytest.raises(ValueError, match="positive class"):
        at_sensitivity([0], [0.5], 0.9)


def test_the_published_readers_table_gives_its_known_figures() -> None:
    table = shared_data() / "readers" / "lesion-size-2020_metadata.csv"
    with table.open(encoding="utf-8", newline="") as stream:
        records = list(csv.DictReader(stream))
    truth = np.array([record["target"] == "1" for record in records])
    algorithm = np.array([float(record["adae_score"]) for record in records])
    crowd = np.array([float(record["crowd_score"]) for record in records])
    assert round(area_under_curve(truth, algorithm), 4) == 0.8096
    assert round(area_under_curve(truth, crowd), 4) == 0.7032


def test_pictures_of_one_lesion_widen_the_interval() -> None:
    values = np.repeat(np.random.default_rng(0).random(20), 10)

    def mean(indices: np.ndarray) -> float:
        return float(values[indices].mean())

    alone = bootstrap([str(i) for i in range(200)], mean)
    grouped = bootstrap([str(i // 10) for i in range(200)], mean)
    assert alone.value == grouped.value == pytest.approx(values.mean())
    assert alone.n == grouped.n == 200
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)
    assert grouped.low < grouped.value < grouped.high


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12))
def test_a_draw_holds_each_lesion_whole_and_as_many_as_there_are(groups: list[str]) -> None:
    for sample in resamples(groups, draws=5):
        counts = np.bincount(sample, minlength=len(groups))
        drawn = {name: {int(counts[i]) for i, one in enumerate(groups) if one == name} for name in set(groups)}
        assert all(len(times) == 1 for times in drawn.values())
        assert sum(next(iter(times)) for times in drawn.values()) == len(drawn)


def test_of_one_lesion_alone_there_is_no_interval() -> None:
    values = np.array([0.4, 0.6])
    alone = bootstrap(["L1", "L1"], lambda i: float(values[i].mean()))
    assert (alone.value, alone.n) == (0.5, 2)
    assert np.isnan([alone.low, alone.high]).all()
    assert str(alone) == "0.500 (no interval)"
    assert alone.signed() == "+0.500 (no interval)"
    assert str(Figure(value=float("nan"), low=float("nan"), high=float("nan"), n=0)) == "not defined"
    assert widened(alone, 1).low == pytest.approx(wilson(0.5, 1)[0]), "a share of one lesion has Wilson's"
    low, high = roc_band(np.array([True, False]), values, resamples(["L1", "L1"]), np.linspace(0, 1, 3))
    assert np.isnan([low, high]).all()


def test_what_no_draw_changes_has_no_interval() -> None:
    images = [str(number) for number in range(4)]
    never = bootstrap(images, lambda i: 0.1 + 0.2)
    assert math.isnan(never.low)
    assert math.isnan(never.high)
    assert str(never) == "0.300 (no interval)"
    assert widened(never, 4).low < 0.3 < widened(never, 4).high, "a share has Wilson's all the same"


def test_the_same_draws_come_again() -> None:
    first, second = (resamples(["a", "b", "c"], draws=4) for _ in range(2))
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def test_the_interval_of_a_share_is_wilsons() -> None:
    # Newcombe, Statistics in Medicine 1998;17:857, table I, method 3
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@given(st.integers(1, 5000), st.data())
def test_the_interval_of_a_share_holds_the_share(n: int, data: st.DataObject) -> None:
    found = data.draw(st.sampled_from([0.0, 1.0]) | st.integers(0, n).map(lambda k: k / n))
    low, high = wilson(found, n)
    assert 0 <= low <= found <= high <= 1
    assert low < high
    assert wilson(0 / 20, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1.0, 29)[1] == 1.0


def test_a_share_without_a_miss_still_has_an_interval() -> None:
    certain = Figure(value=1.0, low=1.0, high=1.0, n=5)
    assert widened(certain, 5).low == pytest.approx(wilson(1.0, 5)[0])
    assert widened(certain, 5).high == 1.0


@given(both_classes)
def test_the_band_holds_the_curve_of_most_draws(pairs: list[tuple[bool, int]]) -> None:
    truth, scores = arrays(pairs)
    grid = np.linspace(0, 1, 11)
    low, high = roc_band(truth, scores, [np.arange(len(truth))], grid)
    assert np.array_equal(low, high)  # of one draw
    assert (np.diff(low) >= 0).all()
    assert low[-1] == 1


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_the_table_of_confusion_counts_every_image_once(pairs: list[tuple[int, int]]) -> None:
    truth, called = np.array([one for one, _ in pairs]), np.array([one for _, one in pairs])
    table = confusion(truth, called, 4)
    assert table.sum() == len(pairs)
    for one in range(4):
        for other in range(4):
            assert table[one, other] == pairs.count((one, other))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_overlaps_agree_with_each_other(pixels: list[tuple[bool, bool]]) -> None:
    one, other = np.array([a for a, _ in pixels]), np.array([b for _, b in pixels])
    ratio = jaccard(one, other)
    assert dice(one, other) == pytest.approx(2 * ratio / (1 + ratio))
    assert jaccard(other, one) == ratio
    assert jaccard(one, one) == 1

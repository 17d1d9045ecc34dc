"""Figures of merit against the library's, and intervals that know of lesions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from derm_networks.figures import area_under_curve, bootstrap


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=40))
def test_the_area_is_the_librarys_also_with_ties(pairs: list[tuple[bool, int]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="needs the extra 'train'")
    truth = np.array([one for one, _ in pairs])
    scores = np.array([score for _, score in pairs], dtype=float)
    if truth.all() or not truth.any():
        assert np.isnan(area_under_curve(truth, scores))
    else:
        assert area_under_curve(truth, scores) == pytest.approx(metrics.roc_auc_score(truth, scores))


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

"""Windows cover a mosaic, leave out what is empty, and give one answer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from derm_networks.windows import combined, empty_share, filled_windows, strongest, windows

lengths = st.integers(min_value=1, max_value=300)
shares = st.floats(min_value=0.01, max_value=1)


@given(height=lengths, width=lengths, side=st.integers(1, 120), overlap=st.floats(0, 0.75))
def test_every_pixel_lies_in_a_window_and_no_window_reaches_beyond_the_image(
    height: int, width: int, side: int, overlap: float
) -> None:
    seen = np.zeros((height, width), dtype=np.int64)
    places = windows(height, width, side=side, overlap=overlap)
    for place in places:
        assert place.side == min(side, height, width)
        assert 0 <= place.top <= height - place.side
        assert 0 <= place.left <= width - place.side
        seen[place.top : place.top + place.side, place.left : place.left + place.side] += 1
    assert seen.min() >= 1
    assert len(set(places)) == len(places)


def test_windows_go_row_by_row_and_the_last_ends_at_the_edge() -> None:
    places = windows(100, 250, side=100, overlap=0.5)
    assert [(place.top, place.left) for place in places] == [(0, 0), (0, 50), (0, 100), (0, 150)]
    assert [place.left for place in windows(100, 230, side=100, overlap=0.5)] == [0, 50, 100, 130]
    assert [place.left for place in windows(40, 100, side=100, overlap=0)] == [0, 40, 60]


def test_windows_that_show_nothing_are_left_out() -> None:
    mosaic = np.zeros((100, 200), dtype=np.uint8)
    mosaic[:, 100:] = 90
    kept = filled_windows(mosaic, side=100, overlap=0.5, max_empty=0.5)
    assert [place.left for place in kept] == [50, 100]
    assert filled_windows(np.zeros_like(mosaic), side=100, overlap=0, max_empty=0.99) == ()
    assert kept[1].of(mosaic).min() == 90


def test_grey_and_three_equal_channels_are_equally_empty() -> None:
    grey = np.array([[0, 7, 8], [255, 7, 100]], dtype=np.uint8)
    assert empty_share(grey) == pytest.approx(0.5)
    assert empty_share(np.stack([grey] * 3, axis=-1)) == pytest.approx(0.5)


@given(
    values=st.lists(st.floats(0, 1), min_size=1, max_size=40).map(np.array),
    share=shares,
)
def test_the_strongest_are_at_least_one_and_none_of_the_others_is_higher(
    values: np.ndarray[tuple[int], np.dtype[np.float64]], share: float
) -> None:
    chosen = strongest(values, share)
    assert 1 <= len(chosen) <= len(values)
    assert len(chosen) <= max(1, len(values) * share + 1e-6)
    rest = np.delete(values, chosen)
    assert not len(rest) or values[chosen].min() >= rest.max()


def test_a_tenth_of_thirty_windows_is_three() -> None:
    assert len(strongest(np.arange(30.0), 0.1)) == 3


@given(number=st.integers(1, 20), classes=st.integers(2, 5), share=shares, seed=st.integers(0, 1000))
def test_the_answer_is_a_distribution_and_does_not_depend_on_the_order_of_windows(
    number: int, classes: int, share: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    given_ = random.dirichlet(np.ones(classes), size=number)
    found = combined(given_, share)
    assert found.sum() == pytest.approx(1)
    assert found.min() >= 0
    assert combined(random.permutation(given_), share) == pytest.approx(found)


def test_one_strong_window_of_ten_speaks_for_its_class_where_the_share_is_a_tenth() -> None:
    quiet = np.tile([0.8, 0.2], (10, 1))
    quiet[4] = [0.1, 0.9]
    assert combined(quiet, 0.1) == pytest.approx(np.array([0.8, 0.9]) / 1.7)
    assert combined(quiet, 1.0) == pytest.approx([0.73, 0.27])


def test_one_window_gives_its_own_probabilities() -> None:
    assert combined(np.array([[0.2, 0.3, 0.5]]), 0.1) == pytest.approx([0.2, 0.3, 0.5])

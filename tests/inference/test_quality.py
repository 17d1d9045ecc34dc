"""The quality gate's figures mean what they say, whatever the resolution, and its refusals name figure and limit."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from skimage import filters

from derm_pacs.domain.bundle import QualityLimits
from derm_pacs.inference.pixels import Pixels
from derm_pacs.inference.quality import Quality, gate, measure

gaussian: Callable[..., NDArray[np.float64]] = filters.gaussian

LIMITS = QualityLimits(min_laplacian_variance=10, max_dark_fraction=0.5, min_contrast=5)
GOOD = Quality(laplacian_variance=50, dark_fraction=0.1, contrast=30)

pictures = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3)), elements=st.integers(0, 255)
)


def noise(rows: int, columns: int) -> Pixels:
    return np.random.default_rng(5).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


def test_a_flat_picture_has_neither_contrast_nor_sharpness() -> None:
    figures = measure(np.full((50, 60, 3), 130, dtype=np.uint8))
    assert figures.contrast == pytest.approx(0, abs=1e-3)
    assert figures.laplacian_variance == pytest.approx(0, abs=1e-3)
    assert figures.dark_fraction == 0


def test_black_is_dark_and_twenty_is_not() -> None:
    pixels = np.zeros((10, 10), dtype=np.uint8)
    pixels[:3] = 20
    assert measure(pixels).dark_fraction == pytest.approx(0.7)


def test_green_counts_most() -> None:
    for channel, share in enumerate((0.299, 0.587, 0.114)):
        pixels = np.zeros((4, 4, 3), dtype=np.uint8)
        pixels[:2, :, channel] = 200
        assert measure(pixels).contrast == pytest.approx(share * 100, abs=0.01)


def test_one_white_pixel_gives_the_variance_of_the_laplacian_by_hand() -> None:
    pixels = np.zeros((5, 5), dtype=np.uint8)
    pixels[2, 2] = 100
    laplacian = np.array([[0, 100, 0], [100, -400, 100], [0, 100, 0]])
    assert measure(pixels).laplacian_variance == pytest.approx(laplacian.var())


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (1, 500), (3000, 2)])
def test_the_smallest_and_narrowest_pictures_have_figures(shape: tuple[int, int]) -> None:
    figures = measure(np.full(shape, 100, dtype=np.uint8))
    assert figures.laplacian_variance == pytest.approx(0)
    assert figures.contrast == pytest.approx(0)


def test_a_larger_print_of_the_same_picture_has_nearly_the_same_figures() -> None:
    picture = gaussian(noise(256, 200).astype(float), (2, 2, 0), mode="mirror")
    small = picture.astype(np.uint8)
    large = small.repeat(4, axis=0).repeat(4, axis=1)
    one, other = measure(small), measure(large)
    assert one.contrast == pytest.approx(other.contrast, rel=1e-4)
    assert one.laplacian_variance == pytest.approx(other.laplacian_variance, rel=1e-3)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_blurring_never_sharpens(seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (64, 48), dtype=np.uint8).astype(float)
    figures = [
        measure(np.clip(gaussian(picture, sigma, mode="mirror"), 0, 255).astype(np.uint8)).laplacian_variance
        for sigma in (0, 0.7, 1.5, 3)
    ]
    assert figures == sorted(figures, reverse=True)


@given(pictures, st.integers(0, 60))
@settings(deadline=None)
def test_less_light_never_makes_a_picture_less_dark(pixels: Pixels, less: int) -> None:
    dimmed = np.clip(pixels.astype(int) - less, 0, 255).astype(np.uint8)
    assert measure(dimmed).dark_fraction >= measure(pixels).dark_fraction


@given(pictures)
@settings(deadline=None)
def test_figures_stay_in_their_range_and_do_not_depend_on_mirroring(pixels: Pixels) -> None:
    figures, mirrored = measure(pixels), measure(pixels[:, ::-1])
    assert 0 <= figures.dark_fraction <= 1
    assert 0 <= figures.contrast <= 128
    assert figures.laplacian_variance >= 0
    assert mirrored.laplacian_variance == pytest.approx(figures.laplacian_variance, rel=1e-6, abs=1e-6)


def test_a_good_picture_passes() -> None:
    assert gate(GOOD, LIMITS) is None


@pytest.mark.parametrize(
    ("figures", "reason", "said"),
    [
        (Quality(laplacian_variance=9.994, dark_fraction=0.1, contrast=30), "poor_quality_blur", ("9.99", "10")),
        (Quality(laplacian_variance=50, dark_fraction=0.501, contrast=30), "poor_quality_dark", ("0.501", "0.5")),
        (Quality(laplacian_variance=50, dark_fraction=0.1, contrast=4.99), "poor_quality_contrast", ("4.99", "5")),
        (Quality(laplacian_variance=0, dark_fraction=1, contrast=0), "poor_quality_dark", ("1.000",)),
    ],
)
def test_a_refusal_names_the_figure_and_its_limit(figures: Quality, reason: str, said: tuple[str, ...]) -> None:
    refused = gate(figures, LIMITS)
    assert refused is not None
    assert refused.reason == reason
    for figure in said:
        assert figure in refused.detail


@given(st.floats(0, 1000), st.floats(0, 1), st.floats(0, 128))
def test_the_gate_opens_exactly_within_the_limits(sharpness: float, dark: float, contrast: float) -> None:
    figures = Quality(laplacian_variance=sharpness, dark_fraction=dark, contrast=contrast)
    assert (gate(figures, LIMITS) is None) == (sharpness >= 10 and dark <= 0.5 and contrast >= 5)

"""The quality gate's figures mean what they say, whatever the resolution, and its refusals name figure and limit."""

import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from skimage import filters

from derm_pacs.domain.bundle import QualityLimits
from derm_pacs.inference import quality
from derm_pacs.inference.pixels import Pixels
from derm_pacs.inference.quality import Quality, gate, is_skin, measure, skin_gate

gaussian: Callable[..., NDArray[np.float64]] = filters.gaussian

LIMITS = QualityLimits(
    min_laplacian_variance=10, max_dark_fraction=0.5, min_contrast=5, max_bright_fraction=0.3, min_skin_fraction=0.2
)
MONK_TONES = ("f6ede4", "f3e7db", "f7ead0", "eadaba", "d7bd96", "a07e56", "825c43", "604134", "3a312a", "292420")
"""The ten tones of the Monk Skin Tone scale (Monk 2019), from the palest to the darkest, as published."""
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


def test_more_than_250_is_bright() -> None:
    pixels = np.full((10, 10), 250, dtype=np.uint8)
    pixels[:4] = 251
    assert measure(pixels).bright_fraction == pytest.approx(0.4)


@pytest.mark.parametrize("tone", MONK_TONES)
def test_every_tone_of_skin_is_skin_in_full_and_in_half_the_light(tone: str) -> None:
    colour = np.array([int(tone[place : place + 2], 16) for place in (0, 2, 4)])
    for light in (1.0, 0.75, 0.5):
        if tone == MONK_TONES[-1] and light < 1:
            continue  # so dark and so near to grey that 8 bits hold no colour any more
        assert is_skin((colour * light).round().astype(np.uint8)[None, None]).all(), light


@pytest.mark.parametrize(
    ("colour", "what"),
    [
        ((255, 255, 255), "paper"), ((0, 0, 0), "a border"), ((128, 128, 128), "grey"), ((60, 120, 50), "grass"),
        ((90, 140, 200), "sky"), ((0, 120, 215), "a screen"), ((230, 30, 20), "red paint"), ((250, 220, 0), "yellow paint"),
        ((20, 60, 90), "a blue cloth"),
    ],
)  # fmt: skip
def test_what_is_no_skin_is_none(colour: tuple[int, int, int], what: str) -> None:
    assert not is_skin(np.array([[colour]], dtype=np.uint8)).any(), what


def test_the_skin_fraction_is_the_share_of_the_picture_and_a_grey_picture_has_none() -> None:
    pixels = np.full((40, 40, 3), 128, dtype=np.uint8)
    pixels[:10] = (200, 150, 130)
    assert measure(pixels).skin_fraction == pytest.approx(0.25)
    assert measure(pixels[..., 0]).skin_fraction == 0


@given(st.integers(1, 700), st.integers(1, 700), st.integers(1, 5000), st.booleans())
@settings(max_examples=25, deadline=None)
def test_figures_do_not_depend_on_how_many_rows_are_taken_at_a_time(
    rows: int, columns: int, band: int, coloured: bool
) -> None:
    shape = (rows, columns, 3) if coloured else (rows, columns)
    pixels = np.random.default_rng(rows * columns).integers(0, 256, shape, dtype=np.uint8)
    whole = measure(pixels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quality, "_BAND", band)
        assert measure(pixels) == whole


def test_a_mosaic_is_measured_without_a_floating_point_copy_of_it() -> None:
    mosaic = np.zeros((6000, 6000), dtype=np.uint8)
    mosaic[::2] = 180
    tracemalloc.start()
    measure(mosaic)
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert highest < mosaic.nbytes


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
        (
            Quality(laplacian_variance=50, dark_fraction=0.1, contrast=30, bright_fraction=0.301),
            "poor_quality_bright",
            ("0.301", "0.3"),
        ),
    ],
)
def test_a_refusal_names_the_figure_and_its_limit(figures: Quality, reason: str, said: tuple[str, ...]) -> None:
    refused = gate(figures, LIMITS)
    assert refused is not None
    assert refused.reason == reason
    for figure in said:
        assert figure in refused.detail


@given(st.floats(0, 1))
def test_the_gate_for_skin_opens_exactly_within_its_limit_and_names_it(share: float) -> None:
    refused = skin_gate(replace(GOOD, skin_fraction=share), LIMITS)
    assert (refused is None) == (share >= 0.2)
    if refused is not None:
        assert refused.reason == "no_skin"
        assert f"{share:.3f}, at least 0.2" in refused.detail


@given(st.floats(0, 1000), st.floats(0, 1), st.floats(0, 128), st.floats(0, 1))
def test_the_gate_opens_exactly_within_the_limits(
    sharpness: float, dark: float, contrast: float, bright: float
) -> None:
    figures = Quality(
        laplacian_variance=sharpness, dark_fraction=dark, contrast=contrast, bright_fraction=bright
    )
    within = sharpness >= 10 and dark <= 0.5 and contrast >= 5 and bright <= 0.3
    assert (gate(figures, LIMITS) is None) == within


def test_a_bundle_that_names_no_limit_of_light_or_skin_lets_every_image_of_that_kind_pass() -> None:
    silent = QualityLimits(min_laplacian_variance=10, max_dark_fraction=0.5, min_contrast=5)
    figures = replace(GOOD, bright_fraction=1.0, skin_fraction=0.0)
    assert gate(figures, silent) is None
    assert skin_gate(figures, silent) is None

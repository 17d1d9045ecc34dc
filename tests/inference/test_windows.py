"""A mosaic of any size gets one call, and a grid that shows where the windows lie that carried it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from derm_networks.windows import Window, windows
from derm_pacs.domain.bundle import ServingDescription
from derm_pacs.domain.findings import Classification, Refusal
from derm_pacs.inference.analyse import LoadedBundle, analyse_image, analyse_pixels
from derm_pacs.inference.pixels import Pixels
from derm_pacs.inference.windows import window_grid

SIDE = 32
CLASSES = [{"id": "benign", "concept": "benign"}, {"id": "malignant", "concept": "malignant"}]


class Brightness(nn.Module):
    """Its logit for malignant is eight times the window's mean brightness, 0 to 8, against 4 for benign."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.sizes.append(len(x))
        told = 8 * x.mean(dim=(1, 2, 3))
        return torch.stack([torch.full_like(told, 4.0), told], dim=1)


@pytest.fixture(scope="module")
def described(tiny_bundle: tuple[Path, ServingDescription]) -> ServingDescription:
    return changed(tiny_bundle[1])


def changed(description: ServingDescription, *, share: float = 0.1, batch: int = 4, **fields: Any) -> ServingDescription:
    told: dict[str, Any] = {
        "input": {"colour": "GREY", "min_short_side": 16, "intended": "drawn mosaics"},
        "preprocessing": [{"op": "resize", "height": 16, "width": 16, "mode": "bilinear", "antialias": True}],
        "inference": {"kind": "windows", "side": SIDE, "overlap": 0.5, "share": share, "max_empty": 0.5, "batch": batch},
        "outputs": [{"kind": "classification", "id": "mosaic", "activation": "softmax", "classes": CLASSES, "lesion_rule": "mean"}],
        "operating_points": [{"id": "default", "output": "mosaic", "positive": "malignant", "threshold": 0.5}],
        "explanation": {"method": "windows", "output": "mosaic"},
        "quality": {"min_laplacian_variance": 0, "max_dark_fraction": 1, "min_contrast": 0},
    }  # fmt: skip
    return ServingDescription.model_validate(description.model_dump(by_alias=True) | told | fields)


def mosaic(rows: int, columns: int, *bright: tuple[int, int], value: int = 60) -> NDArray[np.uint8]:
    """An even grey mosaic with squares of 255, each SIDE long, at the named rows and columns."""
    pixels = np.full((rows, columns), value, dtype=np.uint8)
    for row, column in bright:
        pixels[row : row + SIDE, column : column + SIDE] = 255
    return pixels


def called(description: ServingDescription, pixels: Pixels, network: nn.Module | None = None) -> Classification:
    (found,) = analyse_pixels(LoadedBundle(description=description, network=network or Brightness()), pixels)
    assert isinstance(found, Classification)
    return found


def expected(mean: float) -> float:
    """Probability of malignant for a window of this mean brightness, 0..255."""
    return float(1 / (1 + np.exp(4 - 8 * mean / 255)))


@given(
    rows=st.integers(1, 300), columns=st.integers(1, 300), side=st.integers(16, 100), overlap=st.sampled_from([0, 0.25, 0.5, 0.75])
)
@settings(deadline=None)
def test_every_pixel_lies_in_a_window_and_none_beyond_the_image(rows: int, columns: int, side: int, overlap: float) -> None:
    seen = np.zeros((rows, columns), dtype=int)
    for place in windows(rows, columns, side=side, overlap=overlap):
        part = place.of(np.zeros((rows, columns), dtype=np.uint8))
        assert part.shape == (place.side, place.side)
        seen[place.top : place.top + place.side, place.left : place.left + place.side] += 1
    assert seen.min() >= 1


@given(
    rows=st.integers(16, 150), columns=st.integers(16, 150), batch=st.integers(1, 64), share=st.floats(0.01, 1),
    seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
@settings(deadline=None, max_examples=30)
def test_the_call_does_not_depend_on_how_many_windows_go_in_a_batch(
    described: ServingDescription, rows: int, columns: int, batch: int, share: float, seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(10, 256, (rows, columns), dtype=np.uint8)
    one = called(changed(described, share=share, batch=1), pixels)
    several = called(changed(described, share=share, batch=batch), pixels)
    assert several.probability_of("malignant") == pytest.approx(one.probability_of("malignant"), abs=1e-6)
    assert sum(each.probability for each in several.probabilities) == pytest.approx(1, abs=1e-12)


def test_all_windows_are_read_in_batches_of_the_described_size(described: ServingDescription) -> None:
    network = Brightness()
    called(described, mosaic(80, 112), network)
    number = len(windows(80, 112, side=SIDE, overlap=0.5))
    assert network.sizes == [4] * (number // 4) + ([number % 4] if number % 4 else [])


def test_the_strongest_tenth_of_the_windows_decides(described: ServingDescription) -> None:
    pixels = mosaic(176, 176, (64, 96))  # 100 windows: ten decide, one of which is all bright, four half, four a quarter
    means = np.array([place.of(pixels).mean() for place in windows(176, 176, side=SIDE, overlap=0.5)])
    shares = np.array([expected(mean) for mean in means])
    assert len(shares) == 100
    high = np.sort(shares)[-10:].mean()
    low = np.sort(1 - shares)[-10:].mean()
    assert called(described, pixels).probability_of("malignant") == pytest.approx(high / (high + low), abs=1e-4)
    assert high > 0.4 > expected(60)


def test_the_grid_is_strongest_where_the_windows_lie_that_carried_the_call(described: ServingDescription) -> None:
    saliency = called(described, mosaic(192, 256, (96, 160))).saliency
    assert saliency is not None
    assert (saliency.method, saliency.class_id) == ("windows", "malignant")
    assert saliency.grid.shape == (24, 32), "two cells a step of 16 pixels"
    row, column = np.unravel_index(int(saliency.grid.argmax()), saliency.grid.shape)
    assert 96 <= row * 8 < 128
    assert 160 <= column * 8 < 192
    assert saliency.grid.max() == 255


def test_a_grid_has_at_most_64_cells_in_each_direction_and_holds_every_window() -> None:
    places = windows(5000, 700, side=20, overlap=0)
    values = np.zeros(len(places))
    values[1234] = 1
    grid = window_grid(places, values, rows=5000, columns=700, step=20)
    assert grid is not None
    assert grid.shape == (64, 64)
    row, column = np.unravel_index(int(grid.argmax()), grid.shape)
    assert row * 5000 / 64 <= places[1234].top + 20
    assert (row + 1) * 5000 / 64 >= places[1234].top
    assert column * 700 / 64 <= places[1234].left + 20
    assert (column + 1) * 700 / 64 >= places[1234].left


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60), st.floats(0, 1, allow_subnormal=False)), min_size=1, max_size=8))
def test_a_cell_is_the_mean_of_the_windows_in_it_and_nothing_where_there_is_none(found: list[tuple[int, int, float]]) -> None:
    places = [Window(top=top, left=left, side=20) for top, left, _ in found]
    values = np.array([value for _, _, value in found])
    grid = window_grid(places, values, rows=80, columns=80, step=10)
    sums, weights = np.zeros((80, 80)), np.zeros((80, 80))
    for place, value in zip(places, values, strict=True):
        sums[place.top : place.top + 20, place.left : place.left + 20] += value
        weights[place.top : place.top + 20, place.left : place.left + 20] += 1
    cells = [array.reshape(16, 5, 16, 5).sum(axis=(1, 3)) for array in (sums, weights)]
    wanted = np.divide(cells[0], cells[1], out=np.zeros((16, 16)), where=cells[1] > 0)
    if grid is None:
        assert wanted.max() - wanted.min() <= wanted.max() / 255
    else:
        assert np.abs(grid - wanted * 255 / wanted.max()).max() <= 0.51


def test_the_smallest_number_that_there_is_has_a_place_too() -> None:
    places = windows(40, 80, side=40, overlap=0)
    grid = window_grid(places, np.array([5e-324, 0.0]), rows=40, columns=80, step=40)
    assert grid is not None
    assert grid.tolist() == [[255, 255, 0, 0]] * 2


def test_a_mosaic_smaller_than_a_window_is_read_as_one(described: ServingDescription) -> None:
    network = Brightness()
    found = called(described, mosaic(20, 20, value=200), network)
    assert network.sizes == [1]
    assert found.probability_of("malignant") == pytest.approx(expected(200), abs=1e-4)
    assert found.saliency is None, "one window says no place"


def test_a_narrow_mosaic_is_read_by_windows_of_its_shorter_side(described: ServingDescription) -> None:
    pixels = mosaic(20, 100, value=40)
    pixels[:, 60:] = 250
    saliency = called(described, pixels).saliency
    assert saliency is not None
    halves = np.split(saliency.grid, [saliency.grid.shape[1] // 2], axis=1)
    assert halves[1].mean() > halves[0].mean()


def test_windows_on_the_black_border_are_left_out(described: ServingDescription) -> None:
    """They would be called benign with certainty; the grid is 0 where nothing was read."""
    filled = mosaic(160, 160, value=200)
    bordered = np.zeros((320, 320), dtype=np.uint8)
    bordered[:160, :160] = filled
    found = called(changed(described, share=1.0), bordered)
    without = [place for place in windows(320, 320, side=SIDE, overlap=0.5) if place.top <= 144 and place.left <= 144]
    assert found.probability_of("malignant") > 0.7
    assert found.saliency is not None
    assert found.saliency.grid[-1].max() == 0
    assert found.saliency.grid[:, -1].max() == 0
    assert len(without) == 100


def test_a_mosaic_of_nothing_but_border_is_refused_with_figure_and_limit(described: ServingDescription) -> None:
    pixels = np.zeros((100, 100), dtype=np.uint8)
    pixels[:10, :10] = 200
    (found,) = analyse_pixels(LoadedBundle(description=described, network=Brightness()), pixels)
    assert isinstance(found, Refusal)
    assert found.reason == "poor_quality_dark"
    assert "0.902" in found.detail
    assert "0.5" in found.detail


def test_a_tiled_image_is_one_mosaic_with_one_call(described: ServingDescription, make_part10: Any) -> None:
    tiles = np.full((4, 48, 48), 60, dtype=np.uint8)
    tiles[3] = 250
    part10 = make_part10(
        tiles, DimensionOrganizationType="TILED_FULL", TotalPixelMatrixRows=96, TotalPixelMatrixColumns=96
    )
    bundle = LoadedBundle(description=described, network=Brightness())
    (frame,) = analyse_image(bundle, part10, max_pixels=10**6, max_frames=1)
    (found,) = frame.outcomes
    assert isinstance(found, Classification)
    assert found.saliency is not None
    row, column = np.unravel_index(int(found.saliency.grid.argmax()), found.saliency.grid.shape)
    assert min(row, column) >= found.saliency.grid.shape[0] / 2


def highest_memory() -> int:
    """Return the highest resident size of this process since it was last reset, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the kernel says no highest resident size")


def test_a_mosaic_of_more_than_8000_by_8000_costs_hardly_more_memory_than_itself(described: ServingDescription) -> None:
    large = changed(
        described,
        inference={"kind": "windows", "side": 512, "overlap": 0.25, "share": 0.1, "max_empty": 0.5, "batch": 8},
        preprocessing=[{"op": "resize", "height": 64, "width": 64, "mode": "bilinear", "antialias": True}],
    )
    pixels = np.random.default_rng(0).integers(20, 200, (8200, 8300), dtype=np.uint8)
    pixels[4096:4608, 6144:6656] = 255
    called(large, pixels[:1024, :1024])  # what torch allocates once
    Path("/proc/self/clear_refs").write_text("5")
    before = highest_memory()
    saliency = called(large, pixels).saliency
    assert highest_memory() - before < pixels.nbytes  # a float copy would be four times that
    assert saliency is not None
    row, column = np.unravel_index(int(saliency.grid.argmax()), saliency.grid.shape)
    assert 4000 <= (row + 0.5) * 8200 / saliency.grid.shape[0] <= 4700
    assert 6000 <= (column + 0.5) * 8300 / saliency.grid.shape[1] <= 6800

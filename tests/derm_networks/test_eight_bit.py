"""8-bit weights: how far they may be from what was given, and what is refused."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from derm_networks.eight_bit import quantised, restored


@given(rows=st.integers(1, 6), columns=st.integers(1, 9), seed=st.integers(0, 10_000), size=st.floats(1e-6, 1e4))
def test_each_weight_comes_back_within_half_a_step_of_its_channel(
    rows: int, columns: int, seed: int, size: float
) -> None:
    weight = torch.randn(rows, columns, 3, generator=torch.Generator().manual_seed(seed)) * size
    packed = quantised({"w": weight})
    assert packed["w"].dtype == torch.int8
    assert packed["w"].shape == weight.shape
    assert packed["w.scale"].shape == (rows,)
    back = restored(packed)
    assert set(back) == {"w"}
    step = weight.flatten(1).abs().amax(dim=1)[:, None] / 127
    assert bool(((back["w"] - weight).flatten(1).abs() <= step * 0.5001).all())


def test_vectors_and_counters_are_left_as_they_are() -> None:
    state = {"bias": torch.randn(4), "seen": torch.tensor(7), "a.scale": torch.randn(3)}
    packed = quantised(state)
    assert set(packed) == set(state)
    assert restored(packed)["a.scale"] is state["a.scale"]


def test_a_channel_of_zeros_stays_zero() -> None:
    packed = quantised({"w": torch.tensor([[0.0, 0.0], [1.0, -2.0]])})
    assert bool((packed["w.scale"] > 0).all())
    assert restored(packed)["w"][0].tolist() == [0.0, 0.0]


def test_values_that_are_not_finite_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="w holds values that are not finite"):
        quantised({"w": torch.tensor([[float("nan"), 1.0]])})


@pytest.mark.parametrize("scale", [None, torch.ones(3)])
def test_a_weight_without_its_own_scales_is_refused(scale: torch.Tensor | None) -> None:
    state = {"w": torch.ones(2, 2, dtype=torch.int8)} | ({} if scale is None else {"w.scale": scale})
    with pytest.raises(ValueError, match="w has no scale for each of its output channels"):
        restored(state)

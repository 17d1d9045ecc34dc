"""Weights fit the network exactly, or they are refused by the name of the tensor, before a tensor is read."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from derm_networks.eight_bit import quantised
from derm_pacs.domain.bundle import NetworkDescription, WeightsDescription
from derm_pacs.inference.networks import build
from derm_pacs.inference.weights import WrongWeights, load

Tensors = dict[str, Tensor]


def network() -> nn.Module:
    args: dict[str, int | float | str | bool | list[int] | list[str]] = {
        "in_channels": 1, "num_classes": 2, "init_features": 4, "growth_rate": 2, "block_config": [1],
    }  # fmt: skip
    return build(NetworkDescription(name="densenet", args=args))


def written(folder: Path, tensors: Tensors, dtype: Literal["float32", "float16", "int8"] = "float32") -> WeightsDescription:
    data = safetensors.torch.save(tensors)
    (folder / "w.safetensors").write_bytes(data)
    return WeightsDescription(file="w.safetensors", sha256=hashlib.sha256(data).hexdigest(), dtype=dtype)


def halved(tensors: Tensors) -> Tensors:
    return {name: one.half() if one.is_floating_point() else one for name, one in tensors.items()}


def test_float16_weights_become_float32(tmp_path: Path) -> None:
    given, target = halved(network().state_dict()), network()
    load(tmp_path, written(tmp_path, given, "float16"), target)
    for name, tensor in target.state_dict().items():
        assert tensor.dtype == (torch.float32 if given[name].is_floating_point() else given[name].dtype)
        assert torch.equal(tensor, given[name].to(tensor.dtype))


def without_first(tensors: Tensors) -> Tensors:
    return dict(list(tensors.items())[1:])


def with_another(tensors: Tensors) -> Tensors:
    return tensors | {"back.door": torch.zeros(1)}


def transposed(tensors: Tensors) -> Tensors:
    return {name: one.t().contiguous() if one.ndim == 2 else one for name, one in tensors.items()}


def not_finite(tensors: Tensors) -> Tensors:
    name = next(name for name, one in tensors.items() if one.is_floating_point())
    return tensors | {name: torch.full_like(tensors[name], float("nan"))}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without_first, "lacks the tensor"),
        (with_another, "'back.door' that the network does not know"),
        (transposed, "of shape"),
        (halved, "is not F32"),
        (not_finite, "not finite"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, change: Callable[[Tensors], Tensors], said: str) -> None:
    with pytest.raises(WrongWeights, match=said):
        load(tmp_path, written(tmp_path, change(network().state_dict())), network())


def test_another_file_is_refused_by_its_hash(tmp_path: Path) -> None:
    described = written(tmp_path, network().state_dict())
    (tmp_path / "w.safetensors").write_bytes((tmp_path / "w.safetensors").read_bytes() + b"\0")
    with pytest.raises(WrongWeights, match="SHA-256"):
        load(tmp_path, described, network())


@pytest.mark.parametrize("content", [b"", b"\xff" * 20, b"\x80\x04pickle", (2).to_bytes(8, "little") + b"[]"])
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.safetensors").write_bytes(content)
    described = WeightsDescription(file="w.safetensors", sha256=hashlib.sha256(content).hexdigest(), dtype="float32")
    with pytest.raises(WrongWeights, match="safetensors"):
        load(tmp_path, described, network())


def in_eight_bits(tensors: Tensors) -> Tensors:
    packed = quantised(tensors)
    return {
        name: one.half() if one.is_floating_point() and not name.endswith(".scale") else one for name, one in packed.items()
    }


def a_weight(tensors: Tensors) -> str:
    return next(name for name, one in tensors.items() if one.dtype == torch.int8)


def test_8_bit_weights_come_back_within_half_a_step(tmp_path: Path) -> None:
    given, target = network().state_dict(), network()
    load(tmp_path, written(tmp_path, in_eight_bits(given), "int8"), target)
    seen = 0
    for name, tensor in target.state_dict().items():
        if not tensor.is_floating_point() or tensor.ndim < 2:
            continue
        seen += 1
        step = given[name].flatten(1).abs().amax(dim=1) / 127
        assert tensor.dtype == torch.float32
        assert bool(((tensor - given[name]).flatten(1).abs().amax(dim=1) <= step * 0.5001).all())
    assert seen > 3


def without_a_scale(tensors: Tensors) -> Tensors:
    return {name: one for name, one in tensors.items() if name != a_weight(tensors) + ".scale"}


def a_scale_too_long(tensors: Tensors) -> Tensors:
    name = a_weight(tensors) + ".scale"
    return tensors | {name: torch.ones(len(tensors[name]) + 1)}


def scales_in_half(tensors: Tensors) -> Tensors:
    return {name: one.half() if name.endswith(".scale") else one for name, one in tensors.items()}


def with_scale(value: float) -> Callable[[Tensors], Tensors]:
    def change(tensors: Tensors) -> Tensors:
        name = a_weight(tensors) + ".scale"
        scale = tensors[name].clone()
        scale[-1] = value
        return tensors | {name: scale}

    return change


def a_weight_in_half(tensors: Tensors) -> Tensors:
    return tensors | {a_weight(tensors): tensors[a_weight(tensors)].half()}


def a_scale_for_what_has_none(tensors: Tensors) -> Tensors:
    name = next(name for name, one in tensors.items() if one.dtype == torch.float16)
    return tensors | {name + ".scale": torch.ones(len(tensors[name]))}


def the_lowest_integer(tensors: Tensors) -> Tensors:
    return tensors | {a_weight(tensors): torch.full_like(tensors[a_weight(tensors)], -128)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without_a_scale, "lacks the tensor .*scale"),
        (a_scale_too_long, "scale' is not F32 of shape"),
        (scales_in_half, "scale' is not F32"),
        (with_scale(0.0), "finite and above zero"),
        (with_scale(-0.1), "finite and above zero"),
        (with_scale(float("nan")), "finite and above zero"),
        (with_scale(float("inf")), "finite and above zero"),
        (a_weight_in_half, "is not I8"),
        (a_scale_for_what_has_none, "that the network does not know"),
        (the_lowest_integer, "holds -128"),
        (without_first, "lacks the tensor"),
        (with_another, "'back.door' that the network does not know"),
    ],
)
def test_8_bit_weights_that_are_damaged_are_refused(
    tmp_path: Path, change: Callable[[Tensors], Tensors], said: str
) -> None:
    damaged = change(in_eight_bits(network().state_dict()))
    with pytest.raises(WrongWeights, match=said):
        load(tmp_path, written(tmp_path, damaged, "int8"), network())


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_8_bit_weights_described_as_floating_point_are_refused(
    tmp_path: Path, dtype: Literal["float32", "float16"]
) -> None:
    with pytest.raises(WrongWeights, match="that the network does not know"):
        load(tmp_path, written(tmp_path, in_eight_bits(network().state_dict()), dtype), network())


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    data = safetensors.torch.save(in_eight_bits(network().state_dict()))[:-10]
    (tmp_path / "w.safetensors").write_bytes(data)
    described = WeightsDescription(file="w.safetensors", sha256=hashlib.sha256(data).hexdigest(), dtype="int8")
    with pytest.raises(WrongWeights, match="tensors"):
        load(tmp_path, described, network())

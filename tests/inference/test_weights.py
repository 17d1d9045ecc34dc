"""Weights fit the network exactly, or they are refused by the name of the tensor, before a tensor is read."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from derm_pacs.domain.bundle import NetworkDescription, WeightsDescription
from derm_pacs.inference.networks import build
from derm_pacs.inference.weights import WrongWeights, load

Tensors = dict[str, Tensor]


def network() -> nn.Module:
    args: dict[str, int | float | str | bool | list[int]] = {
        "in_channels": 1, "num_classes": 2, "init_features": 4, "growth_rate": 2, "block_config": [1],
    }  # fmt: skip
    return build(NetworkDescription(name="densenet", args=args))


def written(folder: Path, tensors: Tensors, dtype: Literal["float32", "float16"] = "float32") -> WeightsDescription:
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

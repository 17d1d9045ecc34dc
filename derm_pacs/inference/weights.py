"""Weights into a network: the file's header is held against the network before a tensor is read."""

import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from derm_pacs.domain.bundle import WeightsDescription

_FLOATS = {"float32": "F32", "float16": "F16"}
_OTHERS = {torch.int64: "I64", torch.int32: "I32", torch.uint8: "U8", torch.bool: "BOOL"}


class WrongWeights(ValueError):
    """The file is not the one described, or does not fit the network."""


def load(folder: Path, description: WeightsDescription, network: nn.Module) -> None:
    """Read the file once, check those bytes, and load them as float32.

    Raises `WrongWeights` naming the file and the first tensor that is missing, unknown, of another shape or type.
    """
    data = (folder / description.file).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != description.sha256:
        raise WrongWeights(f"{description.file} has SHA-256 {found}, described as {description.sha256}")
    _compare(_header(data, description.file), _expected(network, description), description.file)
    tensors = safetensors.torch.load(data)
    floats = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    for name, tensor in floats.items():
        if not torch.isfinite(tensor).all():
            raise WrongWeights(f"{description.file}: tensor {name!r} holds values that are not finite")
    network.load_state_dict(floats, strict=True)


def _header(data: bytes, file: str) -> dict[str, Any]:
    length = int.from_bytes(data[:8], "little")
    if not 0 < length <= len(data) - 8:
        raise WrongWeights(f"{file} is no safetensors file")
    try:
        header = json.loads(data[8 : 8 + length])
    except ValueError as error:
        raise WrongWeights(f"{file} is no safetensors file") from error
    if not isinstance(header, dict):
        raise WrongWeights(f"{file} is no safetensors file")
    return {name: entry for name, entry in header.items() if name != "__metadata__"}


def _expected(network: nn.Module, description: WeightsDescription) -> dict[str, tuple[str, list[int]]]:
    return {
        name: (
            _FLOATS[description.dtype] if tensor.is_floating_point() else _OTHERS[tensor.dtype],
            list(tensor.shape),
        )
        for name, tensor in network.state_dict().items()
    }


def _compare(header: dict[str, Any], expected: dict[str, tuple[str, list[int]]], file: str) -> None:
    for name in sorted(expected.keys() - header.keys()):
        raise WrongWeights(f"{file} lacks the tensor {name!r}")
    for name in sorted(header.keys() - expected.keys()):
        raise WrongWeights(f"{file} has a tensor {name!r} that the network does not know")
    for name, (dtype, shape) in expected.items():
        entry = header[name]
        if not isinstance(entry, dict) or (entry.get("dtype"), entry.get("shape")) != (dtype, shape):
            raise WrongWeights(f"{file}: tensor {name!r} is not {dtype} of shape {shape}")

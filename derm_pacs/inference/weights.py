"""Weights into a network: the file's header is held against the network before a tensor is read."""

import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from derm_networks.eight_bit import SCALE, held_in_eight_bits, restored
from derm_pacs.domain.bundle import WeightsDescription

_FLOATS = {"float32": "F32", "float16": "F16", "int8": "F16"}  # beside 8-bit weights all else is float16
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
    try:
        tensors = safetensors.torch.load(data)
    except SafetensorError as error:
        raise WrongWeights(f"{description.file}: its tensors cannot be read: {error}") from error
    if description.dtype == "int8":
        tensors = _from_eight_bits(tensors, description.file)
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
    expected: dict[str, tuple[str, list[int]]] = {}
    for name, tensor in network.state_dict().items():
        shape = list(tensor.shape)
        if description.dtype == "int8" and held_in_eight_bits(tensor):
            expected |= {name: ("I8", shape), name + SCALE: ("F32", shape[:1])}
        elif tensor.is_floating_point():
            expected[name] = _FLOATS[description.dtype], shape
        else:
            expected[name] = _OTHERS[tensor.dtype], shape
    return expected


def _from_eight_bits(tensors: dict[str, Tensor], file: str) -> dict[str, Tensor]:
    for name, tensor in tensors.items():
        if tensor.dtype != torch.int8:
            continue
        if bool((tensor == -128).any()):
            raise WrongWeights(f"{file}: tensor {name!r} holds -128, and 8-bit weights are -127 to 127")
        scale = tensors[name + SCALE]
        if not bool((torch.isfinite(scale) & (scale > 0)).all()):
            raise WrongWeights(f"{file}: the scales of tensor {name!r} are not all finite and above zero")
    return restored(tensors)


def _compare(header: dict[str, Any], expected: dict[str, tuple[str, list[int]]], file: str) -> None:
    for name in sorted(expected.keys() - header.keys()):
        raise WrongWeights(f"{file} lacks the tensor {name!r}")
    for name in sorted(header.keys() - expected.keys()):
        raise WrongWeights(f"{file} has a tensor {name!r} that the network does not know")
    for name, (dtype, shape) in expected.items():
        entry = header[name]
        if not isinstance(entry, dict) or (entry.get("dtype"), entry.get("shape")) != (dtype, shape):
            raise WrongWeights(f"{file}: tensor {name!r} is not {dtype} of shape {shape}")

"""Weights held as 8-bit integers with one scale per output channel: a quarter of float32, and nearly the same answers.

Symmetric and linear, as in Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference" (2018), section 2.2;
only the file is small: networks compute in float32 all the same.
"""

import torch
from torch import Tensor

SCALE = ".scale"
"""What follows a tensor's name in the name of its scales."""
_HIGHEST = 127


def held_in_eight_bits(tensor: Tensor) -> bool:
    """Say whether a tensor of a state dict is held in 8 bits: floating point, of two or more dimensions."""
    return tensor.is_floating_point() and tensor.ndim >= 2


def quantised(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return `state` with its weights as int8 in -127..127, each beside its float32 scales (output channels,).

    All other tensors stay as they are. Raises ValueError naming a weight that holds values which are not finite.
    """
    result: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if not held_in_eight_bits(tensor):
            result[name] = tensor
            continue
        rows = tensor.float().flatten(1)
        if not torch.isfinite(rows).all():
            raise ValueError(f"{name} holds values that are not finite")
        scale = rows.abs().amax(dim=1) / _HIGHEST
        scale[scale < torch.finfo(torch.float32).tiny] = 1.0  # a channel of zeros: any scale does
        result[name] = (rows / scale[:, None]).round().clamp(-_HIGHEST, _HIGHEST).to(torch.int8).view_as(tensor)
        result[name + SCALE] = scale
    return result


def restored(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return `state` with every int8 tensor multiplied by its scales, as float32, and without the scales.

    Raises ValueError naming a weight whose scales are missing or are not its own.
    """
    result = {name: tensor for name, tensor in state.items() if not _is_scale(name, state)}
    for name, tensor in result.items():
        if tensor.dtype != torch.int8:
            continue
        scale = state.get(name + SCALE)
        if scale is None or scale.shape != tensor.shape[:1]:
            raise ValueError(f"{name} has no scale for each of its output channels")
        result[name] = tensor.float() * scale.float().view(-1, *[1] * (tensor.ndim - 1))
    return result


def _is_scale(name: str, state: dict[str, Tensor]) -> bool:
    owner = state.get(name.removesuffix(SCALE)) if name.endswith(SCALE) else None
    return owner is not None and owner.dtype == torch.int8

"""The serving operations: 8-bit pixels to the network's float32 input, by the transforms that training uses."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from monai.transforms.intensity.array import NormalizeIntensity
from monai.utils.type_conversion import convert_to_tensor
from torch import Tensor

from derm_networks.transforms import ResizeAntialiased
from derm_pacs.domain.bundle import PreprocessingStep, Resize, ServingDescription
from derm_pacs.inference.pixels import Pixels


def prepare(pixels: Pixels, steps: Sequence[PreprocessingStep]) -> Tensor:
    """Bring (rows, columns, 3) or (rows, columns) pixels to a float32 tensor (1, C, H, W).

    Values are scaled to 0..1 first; then the steps follow in their order.
    """
    planes = pixels[np.newaxis] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    tensor = torch.from_numpy(np.ascontiguousarray(planes)).to(torch.float32).div_(255)
    for step in steps:
        tensor = cast(Tensor, _transform(step)(tensor))
    return cast(Tensor, convert_to_tensor(tensor, dtype=torch.float32, track_meta=False)).unsqueeze(0)


def empty_input(description: ServingDescription) -> Tensor:
    """Return what the network sees of the smallest black image that the bundle reads, to try the network by."""
    side = description.input.min_short_side
    shape = (side, side, 3) if description.input.colour == "RGB" else (side, side)
    return prepare(np.zeros(shape, dtype=np.uint8), description.preprocessing)


def _transform(step: PreprocessingStep) -> ResizeAntialiased | NormalizeIntensity:
    if isinstance(step, Resize):
        return ResizeAntialiased(height=step.height, width=step.width, mode=step.mode, antialias=step.antialias)
    return NormalizeIntensity(subtrahend=step.mean, divisor=step.std, channel_wise=True)

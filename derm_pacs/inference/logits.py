"""What a network gives, as the description says it: one tensor an output, the mean over mirror images, probabilities."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from derm_networks.mirrors import MIRRORS, mean_turned_back, turned
from derm_pacs.domain.bundle import ClassificationOutput, OutputDescription, SegmentationOutput
from derm_pacs.domain.findings import Classification, ClassProbability


class WrongOutput(RuntimeError):
    """The network gave something else than its description says."""


def forward(network: nn.Module, prepared: Tensor, outputs: Sequence[OutputDescription], *, flips: bool = False) -> tuple[Tensor, ...]:
    """Run the network on (N, C, H, W) and return one tensor an output, in the description's order.

    With `flips`, N is 1 and each tensor is the mean over the image and its three mirror images; maps are turned back before.
    Raises `WrongOutput`.
    """
    seen = torch.cat([turned(prepared, axes) for axes in MIRRORS]) if flips else prepared
    tensors = assigned(network(seen), outputs)
    return tuple(_mean_of_mirrors(tensor) for tensor in tensors) if flips else tensors


def assigned(given: Tensor | Sequence[Tensor], outputs: Sequence[OutputDescription]) -> tuple[Tensor, ...]:
    """Return the tensor of each output.

    Each output has its own; but where the network gives one tensor of maps for all segmentations, they share it.
    Raises `WrongOutput` where the number is another one or a value is not finite.
    """
    tensors = (given,) if isinstance(given, Tensor) else tuple(given)
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
        raise WrongOutput("an output holds values that are not finite")
    if len(tensors) == len(outputs):
        return tensors
    maps = [tensor for tensor in tensors if tensor.ndim == 4]
    drawn = sum(isinstance(output, SegmentationOutput) for output in outputs)
    if len(maps) != 1 or len(tensors) != len(outputs) - drawn + 1:
        raise WrongOutput(f"{len(tensors)} outputs, described are {len(outputs)}")
    others = iter([tensor for tensor in tensors if tensor.ndim != 4])
    return tuple(maps[0] if isinstance(output, SegmentationOutput) else next(others) for output in outputs)


def probabilities(logits: Tensor, output: ClassificationOutput) -> NDArray[np.float64]:
    """Return (N, classes) from logits of this shape; in float64, so that each row sums to 1. Raises `WrongOutput`."""
    if logits.ndim != 2 or logits.shape[1] != len(output.classes):
        raise WrongOutput(f"{output.id}: logits of shape {tuple(logits.shape)} for {len(output.classes)} classes")
    return np.asarray(torch.softmax(logits.double() / output.temperature, dim=1).numpy(), dtype=np.float64)


def classification(shares: NDArray[np.float64], output: ClassificationOutput) -> Classification:
    """Return the finding of (classes,) probabilities."""
    return Classification(
        output=output.id,
        probabilities=tuple(
            ClassProbability(class_id=one.id, concept=one.concept, probability=float(share))
            for one, share in zip(output.classes, shares, strict=True)
        ),
    )


def _mean_of_mirrors(tensor: Tensor) -> Tensor:
    if tensor.shape[0] != len(MIRRORS):
        raise WrongOutput(f"an output of shape {tuple(tensor.shape)} for {len(MIRRORS)} mirror images")
    return mean_turned_back(torch.split(tensor, 1))

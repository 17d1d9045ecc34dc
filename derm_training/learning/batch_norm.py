"""Batch normalisation for networks that have none, while they learn: folded into the layers before the weights are kept.

Ioffe and Szegedy, ICML 2015. An AlexNet from random weights learns several times faster with it, and what is served stays the
plain network with the plain keys.
"""

from typing import cast

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval


class Normalised(nn.Module):
    """A convolution or linear layer (or a product of linear layers) and the normalisation of its output."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        last = _last(layer)
        self.norm: nn.BatchNorm2d | nn.BatchNorm1d
        if isinstance(last, nn.Conv2d):
            self.norm = nn.BatchNorm2d(last.out_channels)
        else:
            self.norm = nn.BatchNorm1d(last.out_features)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised output of the layer."""
        return cast(Tensor, self.norm(self.layer(x)))

    def folded(self) -> nn.Module:
        """Return the layer alone, with weights that do what both do in evaluation mode."""
        self.eval()
        if isinstance(self.layer, nn.Conv2d):
            return fuse_conv_bn_eval(self.layer, self.norm)
        if isinstance(self.layer, nn.Linear):
            return fuse_linear_bn_eval(self.layer, self.norm)
        *before, last = cast(nn.Sequential, self.layer)
        return nn.Sequential(*before, fuse_linear_bn_eval(cast(nn.Linear, last), self.norm))


def normalised(network: nn.Module, parts: list[str]) -> nn.Module:
    """Normalise each layer of the sequences called `parts` that a nonlinearity follows, in place; return the network."""
    for part in parts:
        sequence = cast(nn.Sequential, network.get_submodule(part))
        for number, layer in enumerate(sequence):
            followed = number + 1 < len(sequence) and isinstance(sequence[number + 1], nn.ReLU)
            if followed and isinstance(layer, nn.Conv2d | nn.Linear | nn.Sequential):
                sequence[number] = Normalised(layer)
    return network


def fold(network: nn.Module) -> nn.Module:
    """Replace each `Normalised` of the network by its folded layer, in place; return the network."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Normalised):
                setattr(parent, name, child.folded())
    return network


def _last(layer: nn.Module) -> nn.Conv2d | nn.Linear:
    while isinstance(layer, nn.Sequential):
        layer = layer[-1]
    if not isinstance(layer, nn.Conv2d | nn.Linear):
        raise TypeError(f"{type(layer).__name__} is no convolution and no linear layer")
    return layer

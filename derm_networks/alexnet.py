"""AlexNet with factored fully connected layers.

Krizhevsky, Sutskever and Hinton, NeurIPS 2012, in the one-column form of Krizhevsky 2014 ("One weird trick"). The keys of
`features` are torchvision's. The two hidden fully connected layers of the original hold 54 of its 57 million parameters;
here each may be a product of two thin matrices (`rank`), and `rank` None gives the original layers.
"""

from typing import cast

import torch
from torch import Tensor, nn

_GRID = 6
_FEATURES = 256
_HIDDEN = 4096


class AlexNet(nn.Module):
    """Five convolutions and three fully connected layers; input 224 x 224, at least 63 x 63."""

    def __init__(self, *, num_classes: int, rank: int | None = None, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, _FEATURES, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(_GRID)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            _linear(_FEATURES * _GRID * _GRID, _HIDDEN, rank),
            nn.ReLU(),
            nn.Dropout(dropout),
            _linear(_HIDDEN, _HIDDEN, rank),
            nn.ReLU(),
            nn.Linear(_HIDDEN, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) normalised RGB to logits (N, num_classes)."""
        grid = self.avgpool(self.features(x))  # (N, 256, 6, 6)
        return cast(Tensor, self.classifier(torch.flatten(grid, 1)))

    def pooled_features(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to the last hidden layer (N, 4096), which the logits are linear in."""
        grid = self.avgpool(self.features(x))
        return cast(Tensor, self.classifier[:-1](torch.flatten(grid, 1)))


def start_weights(module: nn.Module) -> None:
    """Give a layer He's initial weights; torch's default is too small for a network this deep without normalisation.

    Use with `network.apply`. The first half of a factored layer, which has no bias and no ReLU after it, keeps the
    variance of its input instead.
    """
    if isinstance(module, nn.Conv2d | nn.Linear):
        narrowing = isinstance(module, nn.Linear) and module.bias is None
        nn.init.kaiming_normal_(module.weight, nonlinearity="linear" if narrowing else "relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _linear(inputs: int, outputs: int, rank: int | None) -> nn.Module:
    if rank is None:
        return nn.Linear(inputs, outputs)
    return nn.Sequential(nn.Linear(inputs, rank, bias=False), nn.Linear(rank, outputs))

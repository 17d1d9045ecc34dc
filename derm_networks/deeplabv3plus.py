"""DeepLabv3+ with an EfficientNet-Lite encoder: a light network that draws the lesion mask.

Chen et al., "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation", ECCV 2018.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from derm_networks.efficientnet_lite import EfficientNetLiteEncoder, Variant


class DeepLabV3Plus(nn.Module):
    """Encoder at stride 16, atrous spatial pyramid pooling, and a decoder that adds the stride-4 features.

    Height and width of the input are multiples of 16. Output: logits at the input's size, one map per class of
    `num_classes`.
    """

    def __init__(
        self,
        *,
        num_classes: int = 1,
        encoder: Variant = "lite0",
        rates: tuple[int, ...] | list[int] = (3, 6, 9),
        channels: int = 128,
        low_level_channels: int = 32,
        dropout: float = 0.1,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = EfficientNetLiteEncoder(encoder, output_stride=16, drop_path=drop_path)
        self.pyramid = AtrousPyramid(self.encoder.deep_channels, channels, tuple(rates))
        self.low_level = _unit(self.encoder.low_level_channels, low_level_channels)
        self.decoder = nn.Sequential(
            separable(channels + low_level_channels, channels),
            separable(channels, channels),
            nn.Dropout2d(dropout),
        )
        self.classifier = nn.Conv2d(channels, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) normalised RGB to logits (N, num_classes, H, W)."""
        low, deep = self.encoder(x)  # (N, 24, H/4, W/4), (N, 320, H/16, W/16)
        context = enlarge(self.pyramid(deep), low.shape[2:])
        y = self.classifier(self.decoder(torch.cat([context, self.low_level(low)], dim=1)))
        return enlarge(y, x.shape[2:])

    def pooled_features(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to the means of the encoder's last maps (N, C), by which an image unlike all others is told."""
        _, deep = self.encoder(x)
        return cast(Tensor, deep.mean(dim=(2, 3)))


class AtrousPyramid(nn.Module):
    """Parallel 1x1, dilated separable 3x3 and image-mean branches, concatenated and projected."""

    def __init__(self, channels_in: int, channels: int, rates: tuple[int, ...]) -> None:
        super().__init__()
        self.point = _unit(channels_in, channels)
        self.atrous = nn.ModuleList([separable(channels_in, channels, rate) for rate in rates])
        self.mean = _unit(channels_in, channels)
        self.project = _unit(channels * (2 + len(rates)), channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to (N, channels, h, w)."""
        mean = self.mean(x.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, x.shape[2], x.shape[3])
        branches = [self.point(x), *(branch(x) for branch in self.atrous), mean]
        return cast(Tensor, self.project(torch.cat(branches, dim=1)))


def enlarge(x: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
    """Resize bilinearly to (height, width) with pixel centres aligned by area, as everywhere in these bundles."""
    return functional.interpolate(x, size=(int(size[0]), int(size[1])), mode="bilinear", align_corners=False)


def separable(channels_in: int, channels_out: int, rate: int = 1) -> nn.Sequential:
    """Return a depthwise 3x3 convolution dilated by `rate`, then 1x1, each with normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_in, 3, padding=rate, dilation=rate, groups=channels_in, bias=False),
        nn.BatchNorm2d(channels_in),
        nn.ReLU(),
        *_unit(channels_in, channels_out),
    )


def _unit(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 1, bias=False), nn.BatchNorm2d(channels_out), nn.ReLU()
    )

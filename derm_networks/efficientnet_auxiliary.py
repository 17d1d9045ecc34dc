"""EfficientNet with a classifier on each of its seven groups of blocks, after Zhu et al., Front Med 2021;8:626369.

The paper says that seven auxiliary classifiers sit on the intermediate layer groups; that these are the seven groups of
blocks of EfficientNet (Tan and Le, ICML 2019), and that each is a mean and a linear layer, is our reading.
"""

from typing import Literal, cast

from monai.networks.nets.efficientnet import EfficientNetBN
from torch import Tensor, nn

from derm_networks.class_maps import linear_on_maps

ModelName = Literal["efficientnet-b0", "efficientnet-b1", "efficientnet-b2", "efficientnet-b3", "efficientnet-b4"]


class EfficientNetAuxiliary(EfficientNetBN):
    """MONAI's EfficientNet for RGB, with its keys; with `auxiliary` seven more heads, which only training needs.

    The served network is made without them: its weights are those of stock MONAI's EfficientNetBN.
    """

    def __init__(self, model_name: ModelName, *, num_classes: int, auxiliary: bool = False) -> None:
        super().__init__(model_name, pretrained=False, spatial_dims=2, in_channels=3, num_classes=num_classes)
        self.auxiliary: nn.ModuleList | None = None
        if auxiliary:
            widths = [arguments.output_filters for arguments in self._blocks_args]
            self.auxiliary = nn.ModuleList([nn.Linear(width, num_classes) for width in widths])

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, list[Tensor]]:
        """(N, 3, H, W) to logits (N, num_classes).

        In training mode and with `auxiliary`, to these and the seven groups' own logits, each (N, num_classes).
        """
        groups = self._groups(x)
        logits = cast(Tensor, self._fc(self._dropout(self._head(groups[-1]).mean(dim=(2, 3)))))
        if not self.training or self.auxiliary is None:
            return logits
        return logits, [head(group.mean(dim=(2, 3))) for head, group in zip(self.auxiliary, groups, strict=True)]

    def pooled_features(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to the features that the main head's linear layer reads (N, C)."""
        return self._head(self._groups(x)[-1]).mean(dim=(2, 3))

    def class_maps(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to one map per class (N, num_classes, H / 32, W / 32), whose means are the main head's logits."""
        return linear_on_maps(self._head(self._groups(x)[-1]), self._fc)

    def class_bias(self) -> Tensor:
        """Return the part of each class's logit that no place of the image speaks for (num_classes,)."""
        return self._fc.bias.detach()

    def _groups(self, x: Tensor) -> list[Tensor]:
        y = self._swish(self._bn0(self._conv_stem(self._conv_stem_padding(x))))
        found = []
        for group in self._blocks:
            y = group(y)
            found.append(y)
        return found

    def _head(self, x: Tensor) -> Tensor:
        return cast(Tensor, self._swish(self._bn1(self._conv_head(self._conv_head_padding(x)))))


def without_auxiliary(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights that the served network holds, without those of the seven heads."""
    return {key: value for key, value in state.items() if not key.startswith("auxiliary.")}

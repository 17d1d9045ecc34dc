"""Several EfficientNet-Lite networks that answer together."""

from typing import cast

import torch
from torch import Tensor, nn

from derm_networks.efficientnet_lite import EfficientNetLite, Variant


class EfficientNetLiteEnsemble(nn.Module):
    """The mean of the logits of several networks, one of each variant of `variants`, which may repeat."""

    def __init__(
        self,
        variants: tuple[Variant, ...] | list[Variant],
        *,
        num_classes: int,
        dropout: float = 0.2,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        if not variants:
            raise ValueError("an ensemble has at least one network: variants is empty")
        self.members = nn.ModuleList(
            [EfficientNetLite(one, num_classes=num_classes, dropout=dropout, drop_path=drop_path) for one in variants]
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to logits (N, num_classes)."""
        return torch.stack([member(x) for member in self.members]).mean(dim=0)

    def pooled_features(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to the pooled features of the first member (N, 1280), which the others follow.

        What is unlike all that was learned is told by one network that learned it; a member that keeps its ImageNet weights
        knows screens and documents too, and beside it they would no longer stand out.
        """
        return cast(EfficientNetLite, self.members[0]).pooled_features(x)

    def class_maps(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to one map per class (N, num_classes, H / 32, W / 32), whose means are the logits."""
        return torch.stack([cast(EfficientNetLite, member).class_maps(x) for member in self.members]).mean(dim=0)

    def class_bias(self) -> Tensor:
        """Return the part of each class's logit that no place of the image speaks for (num_classes,)."""
        return torch.stack([cast(EfficientNetLite, member).class_bias() for member in self.members]).mean(dim=0)


def joined(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the ensemble's state dict of its members' own, in their order."""
    return {f"members.{number}.{key}": value for number, state in enumerate(states) for key, value in state.items()}

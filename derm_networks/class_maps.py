"""Class activation maps in closed form (Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016)."""

import torch
from torch import Tensor, nn


def linear_on_maps(maps: Tensor, linear: nn.Linear) -> Tensor:
    """Apply a linear layer, bias included, at every place of (N, C, h, w): the mean of the maps is the layer of the mean."""
    return torch.einsum("nchw,kc->nkhw", maps, linear.weight) + linear.bias[:, None, None]

"""A large network that starts from a small relative says at first what the small one says."""

import pytest
import torch
from monai.networks.nets.efficientnet import EfficientNetBN
from torch import Tensor

from derm_networks.efficientnet_lite import EfficientNetLite
from derm_training.learning.widening import widen

pytest.importorskip("ignite", reason="needs the extra 'train'")


def network(name: str) -> EfficientNetBN:
    return EfficientNetBN(name, pretrained=False, spatial_dims=2, in_channels=3, num_classes=5).eval()


def stem(small: EfficientNetLite, large: EfficientNetBN, images: Tensor) -> tuple[Tensor, Tensor]:
    """What the first block gives: the small network's channels, in both."""
    said = small.encoder.blocks[0](small.encoder.stem(images))
    inner = large._swish(large._bn0(large._conv_stem(large._conv_stem_padding(images))))
    return said, next(large._blocks[0].children())(inner)[:, : said.shape[1]]


@torch.inference_mode()
def test_the_small_networks_channels_come_through_the_large_one() -> None:
    torch.manual_seed(0)
    small, large = EfficientNetLite("lite2", num_classes=3).eval(), network("efficientnet-b2")
    images = torch.rand(6, 3, 64, 64) * 2 - 1
    before = stem(small, large, images)
    assert widen(small, large, images) == len(small.encoder.blocks)
    after = stem(small, large, images)
    agreement = [torch.corrcoef(torch.stack([one.flatten() for one in pair]))[0, 1].item() for pair in (before, after)]
    assert agreement[1] > 0.9 > agreement[0]


@torch.inference_mode()
def test_new_blocks_begin_as_shortcuts_and_statistics_are_finite() -> None:
    torch.manual_seed(0)
    large = network("efficientnet-b2")
    widen(EfficientNetLite("lite2", num_classes=3), large, torch.rand(4, 3, 64, 64))
    extra = list(large._blocks[0].children())[-1]
    given = torch.rand(1, len(extra.get_parameter("_bn2.weight")), 8, 8)
    assert torch.equal(extra(given.clone()), given)
    assert all(bool(torch.isfinite(value).all()) for value in large.state_dict().values())


def test_a_network_that_is_not_deeper_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        widen(EfficientNetLite("lite2", num_classes=3), network("efficientnet-b0"), torch.rand(2, 3, 64, 64))

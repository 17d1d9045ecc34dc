"""Shapes, sizes and keys of the networks that the bundles name."""

import pytest
import torch

from derm_networks.alexnet import AlexNet, start_weights
from derm_networks.deeplabv3plus import DeepLabV3Plus


@pytest.mark.parametrize(("height", "width"), [(64, 96), (144, 192)])
def test_deeplab_gives_one_logit_a_pixel(height: int, width: int) -> None:
    with torch.inference_mode():
        assert DeepLabV3Plus().eval()(torch.zeros(2, 3, height, width)).shape == (2, 1, height, width)


def test_alexnet_without_a_rank_is_the_published_network() -> None:
    with torch.device("meta"):
        network = AlexNet(num_classes=2)
    assert sum(value.numel() for value in network.parameters()) == 57_012_034  # torchvision's with two outputs
    assert {"features.0.weight", "features.10.bias", "classifier.1.weight", "classifier.6.bias"} <= network.state_dict().keys()


def test_a_rank_makes_alexnet_small() -> None:
    network = AlexNet(num_classes=2, rank=192)
    assert sum(value.numel() for value in network.parameters()) < 7_000_000
    with torch.inference_mode():
        assert network.eval()(torch.zeros(1, 3, 224, 224)).shape == (1, 2)


def test_start_weights_carry_a_signal_through_the_factored_layers() -> None:
    torch.manual_seed(0)
    network = AlexNet(num_classes=2, rank=64).eval()
    network.apply(start_weights)
    with torch.inference_mode():
        logits = network(torch.randn(8, 3, 224, 224))
    assert 0.05 < logits.std() < 20

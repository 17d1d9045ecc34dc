"""Shapes, sizes and keys of the networks that the bundles name."""

from typing import cast

import pytest
import torch
from monai.networks.nets.efficientnet import EfficientNetBN
from monai.networks.nets.resnet import ResNet
from torch import nn

from derm_networks.alexnet import AlexNet, start_weights
from derm_networks.deeplabv3plus import DeepLabV3Plus
from derm_networks.efficientnet_auxiliary import EfficientNetAuxiliary, without_auxiliary
from derm_networks.efficientnet_lite import EfficientNetLite
from derm_networks.ensemble import EfficientNetLiteEnsemble, joined
from derm_networks.residual import ResidualNetwork


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


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def shaken(network: nn.Module) -> nn.Module:
    """Running statistics and last layers as after some training: fresh ones hide a normalisation that is left out."""
    for number, value in enumerate(network.state_dict().values()):
        if value.is_floating_point():
            value.add_(torch.rand(value.shape, generator=torch.Generator().manual_seed(number)) * 0.1)
    return network.eval()


def test_stock_monais_residual_network_takes_our_weights_and_gives_our_numbers() -> None:
    ours = shaken(ResidualNetwork(in_channels=1, num_classes=3, block="basic", layers=(2, 2, 2, 2)))
    stock = ResNet(
        "basic", [2, 2, 2, 2], [64, 128, 256, 512], spatial_dims=2, n_input_channels=1, conv1_t_stride=2,
        num_classes=3, bias_downsample=False,
    ).eval()  # fmt: skip
    stock.load_state_dict(ours.state_dict(), strict=True)
    picture = random(2, 1, 64, 96)
    with torch.inference_mode():
        torch.testing.assert_close(ours(picture), stock(picture))
        assert ours.pooled_features(picture).shape == (2, 512)  # type: ignore[operator]


def test_the_default_body_of_the_mosaic_network_has_sixteen_residual_convolutions() -> None:
    network = ResidualNetwork(num_classes=3, block="basic", layers=(2, 2, 2, 2))
    inside = [name for name, one in network.named_modules() if isinstance(one, nn.Conv2d) and ".conv" in name]
    assert len(inside) == 16


def test_a_stride_in_the_first_convolution_keeps_keys_and_shapes() -> None:
    first, middle = (
        ResidualNetwork(num_classes=2, block="bottleneck", layers=(1, 1, 1, 1), stride_first=stride).eval()
        for stride in (True, False)
    )
    first.load_state_dict(middle.state_dict(), strict=True)
    picture = random(1, 3, 64, 64)
    with torch.inference_mode():
        assert first.maps(picture).shape == middle.maps(picture).shape == (1, 2048, 2, 2)
        assert not torch.allclose(first(picture), middle(picture))
    with pytest.raises(ValueError, match="basic block has none"):
        ResidualNetwork(num_classes=2, block="basic", layers=(1, 1, 1, 1), stride_first=True)


def test_the_auxiliary_heads_sit_on_seven_groups_and_speak_in_training_alone() -> None:
    network = EfficientNetAuxiliary("efficientnet-b0", num_classes=14, auxiliary=True)
    picture = random(2, 3, 64, 64)
    main, others = network.train()(picture)
    assert main.shape == (2, 14)
    assert [one.shape for one in others] == [(2, 14)] * 7
    sum(one.sum() for one in others).backward()
    assert network.auxiliary is not None
    assert all(head.weight.grad is not None for head in network.auxiliary)
    with torch.inference_mode():
        assert network.eval()(picture).shape == (2, 14)


def test_the_served_network_of_the_auxiliary_one_is_stock_monais() -> None:
    trained = shaken(EfficientNetAuxiliary("efficientnet-b0", num_classes=14, auxiliary=True))
    stock = EfficientNetBN("efficientnet-b0", pretrained=False, spatial_dims=2, num_classes=14).eval()
    stock.load_state_dict(without_auxiliary(trained.state_dict()), strict=True)
    picture = random(1, 3, 64, 96)
    with torch.inference_mode():
        torch.testing.assert_close(trained(picture), stock(picture))


def test_b4_has_the_groups_and_the_size_that_the_paper_uses() -> None:
    with torch.device("meta"):
        network = EfficientNetAuxiliary("efficientnet-b4", num_classes=14)
    assert 17_500_000 < sum(value.numel() for value in network.parameters()) < 17_600_000
    assert [len(list(group.children())) for group in network._blocks] == [2, 4, 4, 6, 6, 8, 2]


def test_an_ensemble_answers_by_the_mean_of_its_members_and_takes_their_weights() -> None:
    members = [shaken(EfficientNetLite("lite0", num_classes=2)), shaken(EfficientNetLite("lite1", num_classes=2))]
    ensemble = EfficientNetLiteEnsemble(["lite0", "lite1"], num_classes=2).eval()
    ensemble.load_state_dict(joined([one.state_dict() for one in members]), strict=True)
    picture = random(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(ensemble(picture), (members[0](picture) + members[1](picture)) / 2)
        torch.testing.assert_close(ensemble.pooled_features(picture), cast(EfficientNetLite, members[0]).pooled_features(picture))
    with pytest.raises(ValueError, match="variants is empty"):
        EfficientNetLiteEnsemble([], num_classes=2)


def test_the_features_of_alexnet_are_what_its_logits_are_linear_in() -> None:
    network = AlexNet(num_classes=2, rank=8).eval()
    picture = random(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(network.classifier[-1](network.pooled_features(picture)), network(picture))

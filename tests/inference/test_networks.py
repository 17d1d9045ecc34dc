"""A bundle names a network of the registry with arguments that this network takes, or is refused by name."""

from typing import Any

import pytest
import torch

from derm_pacs.domain.bundle import NetworkDescription
from derm_pacs.inference.networks import NETWORKS, UnknownNetwork, build

SMALL: dict[str, tuple[dict[str, Any], tuple[int, ...], tuple[int, ...]]] = {
    "alexnet": ({"num_classes": 2, "rank": 4}, (1, 3, 64, 64), (1, 2)),
    "deeplabv3plus": ({"channels": 8, "low_level_channels": 4}, (1, 3, 64, 96), (1, 1, 64, 96)),
    "densenet": (
        {"in_channels": 1, "num_classes": 3, "init_features": 4, "growth_rate": 2, "block_config": [1, 1]},
        (1, 1, 32, 32), (1, 3),
    ),
    "efficientnet_auxiliary": ({"model_name": "efficientnet-b0", "num_classes": 5}, (1, 3, 64, 64), (1, 5)),
    "efficientnet_lite": ({"variant": "lite1", "num_classes": 2}, (1, 3, 64, 64), (1, 2)),
    "efficientnet_lite_ensemble": ({"variants": ["lite0", "lite1"], "num_classes": 2}, (1, 3, 64, 64), (1, 2)),
    "resnet": (
        {"in_channels": 3, "num_classes": 2, "block": "basic", "layers": [1, 1, 1, 1]}, (1, 3, 64, 64), (1, 2),
    ),
    "unet": ({"in_channels": 3, "channels": [4, 8], "strides": [2]}, (1, 3, 32, 48), (1, 1, 32, 48)),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_of_the_registry_gives_the_logits_it_promises(name: str) -> None:
    args, given, expected = SMALL[name]
    network = build(NetworkDescription(name=name, args=args))
    assert not network.training
    with torch.inference_mode():
        assert network(torch.zeros(given)).shape == expected


def test_an_unknown_network_is_refused_with_the_names_that_are_known() -> None:
    with pytest.raises(UnknownNetwork, match="'transformer' is not known; known: alexnet, "):
        build(NetworkDescription(name="transformer"))


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("alexnet", {"pretrained": True}, "argument 'pretrained'"),
        ("alexnet", {"num_classes": 10**9}, "argument 'num_classes'"),
        ("alexnet", {"num_classes": "2"}, "argument 'num_classes'"),
        ("deeplabv3plus", {"rates": [0]}, "argument 'rates.0'"),
        ("deeplabv3plus", {"num_classes": 3}, "argument 'num_classes'"),
        ("deeplabv3plus", {"encoder": "lite9"}, "argument 'encoder'"),
        ("efficientnet_auxiliary", {"auxiliary": True}, "argument 'auxiliary'"),
        ("efficientnet_auxiliary", {"model_name": "efficientnet-b8"}, "argument 'model_name'"),
        ("efficientnet_lite", {"variant": "lite4"}, "argument 'variant'"),
        ("efficientnet_lite_ensemble", {"variants": []}, "argument 'variants'"),
        ("efficientnet_lite_ensemble", {"variants": ["lite0"] * 9}, "argument 'variants'"),
        ("densenet", {"block_config": []}, "argument 'block_config'"),
        ("resnet", {"block": "os.system"}, "argument 'block'"),
        ("resnet", {"stride_first": True}, "stride_first goes with block bottleneck"),
        ("unet", {"channels": [4, 10**6]}, "argument 'channels.1'"),
    ],
)
def test_an_argument_that_the_network_does_not_take_is_refused_by_name(
    name: str, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(UnknownNetwork, match=said):
        build(NetworkDescription(name=name, args=SMALL[name][0] | change))


def test_a_segmenter_may_draw_skin_and_lesion_with_a_larger_encoder() -> None:
    args: dict[str, Any] = {"num_classes": 2, "encoder": "lite1", "channels": 8, "low_level_channels": 4}
    network = build(NetworkDescription(name="deeplabv3plus", args=args))
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 32, 48)).shape == (1, 2, 32, 48)


@pytest.mark.parametrize("name", ["efficientnet_auxiliary", "efficientnet_lite", "efficientnet_lite_ensemble", "resnet"])
def test_the_class_maps_of_a_classifier_mean_its_logits(name: str) -> None:
    args, given, (_, classes) = SMALL[name]
    network = build(NetworkDescription(name=name, args=args))
    picture = torch.randn(2, *given[1:], generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        maps, logits, features = network.class_maps(picture), network(picture), network.pooled_features(picture)  # type: ignore[operator]
    assert maps.shape[:2] == (2, classes)
    assert maps[0, 0].numel() >= 4
    torch.testing.assert_close(maps.mean(dim=(2, 3)), logits, atol=1e-5, rtol=0)
    assert features.shape[0] == 2
    assert features.ndim == 2
    bias = network.class_bias()  # type: ignore[operator]
    assert bias.shape == (classes,)
    assert not bias.requires_grad

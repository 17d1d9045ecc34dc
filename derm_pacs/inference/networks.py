"""The registry: which networks a bundle may name, and the arguments that each takes.

The list is written out; a network that is not in it is refused by name. Arguments are bounded, so that a description
cannot ask for more memory than a network of its kind needs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Generic, Literal, Self, TypeVar, cast

from monai.networks.nets.densenet import DenseNet
from monai.networks.nets.unet import UNet
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import nn

from derm_networks.alexnet import AlexNet
from derm_networks.deeplabv3plus import DeepLabV3Plus
from derm_networks.efficientnet_auxiliary import EfficientNetAuxiliary, ModelName
from derm_networks.efficientnet_lite import EfficientNetLite, Variant
from derm_networks.ensemble import EfficientNetLiteEnsemble
from derm_networks.residual import Block, ResidualNetwork
from derm_pacs.domain.bundle import NetworkDescription

Channels = Annotated[int, Field(ge=1, le=4096)]
Classes = Annotated[int, Field(ge=1, le=1000)]
Planes = Literal[1, 3]
Given = TypeVar("Given", bound=BaseModel)


class UnknownNetwork(ValueError):
    """The description names no network of the registry, or gives arguments that the network does not take."""


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class AlexNetArguments(_Arguments):
    """`derm_networks.alexnet.AlexNet`: 3 channels in, logits of `num_classes` out."""

    num_classes: Classes
    rank: Channels | None = None


class DeepLabArguments(_Arguments):
    """`derm_networks.deeplabv3plus.DeepLabV3Plus`: 3 channels in, `num_classes` maps at the input's size out."""

    num_classes: Literal[1, 2] = 1
    encoder: Variant = "lite0"
    rates: Annotated[list[Annotated[int, Field(ge=1, le=64)]], Field(min_length=1, max_length=5)] = [3, 6, 9]
    channels: Channels = 128
    low_level_channels: Channels = 32


class DenseNetArguments(_Arguments):
    """MONAI's DenseNet in two dimensions."""

    in_channels: Planes
    num_classes: Classes
    init_features: Channels = 64
    growth_rate: Channels = 32
    block_config: Annotated[list[Annotated[int, Field(ge=1, le=64)]], Field(min_length=1, max_length=6)]


class EfficientNetLiteArguments(_Arguments):
    """`derm_networks.efficientnet_lite.EfficientNetLite`: 3 channels in, logits of `num_classes` out."""

    variant: Variant
    num_classes: Classes


class EfficientNetLiteEnsembleArguments(_Arguments):
    """`derm_networks.ensemble.EfficientNetLiteEnsemble`: 3 channels in, the mean of the logits out."""

    variants: Annotated[list[Variant], Field(min_length=1, max_length=8)]
    num_classes: Classes


class EfficientNetAuxiliaryArguments(_Arguments):
    """`derm_networks.efficientnet_auxiliary.EfficientNetAuxiliary`: 3 channels in, logits of the main head out."""

    model_name: ModelName
    num_classes: Classes
    auxiliary: Literal[False] = False


class ResNetArguments(_Arguments):
    """`derm_networks.residual.ResidualNetwork`; `stride_first` is of bottlenecks alone."""

    in_channels: Planes
    num_classes: Classes
    block: Block
    layers: Annotated[list[Annotated[int, Field(ge=1, le=64)]], Field(min_length=4, max_length=4)]
    stride_first: bool = False

    @model_validator(mode="after")
    def _bottlenecks(self) -> Self:
        if self.stride_first and self.block != "bottleneck":
            raise ValueError("stride_first goes with block bottleneck")
        return self


class UNetArguments(_Arguments):
    """MONAI's UNet in two dimensions; height and width of the input are multiples of the product of the strides."""

    in_channels: Planes
    channels: Annotated[list[Channels], Field(min_length=2, max_length=8)]
    strides: Annotated[list[Annotated[int, Field(ge=1, le=4)]], Field(min_length=1, max_length=7)]
    num_res_units: Annotated[int, Field(ge=0, le=8)] = 0


def _alexnet(given: AlexNetArguments) -> nn.Module:
    return AlexNet(num_classes=given.num_classes, rank=given.rank)


def _deeplab(given: DeepLabArguments) -> nn.Module:
    return DeepLabV3Plus(
        num_classes=given.num_classes,
        encoder=given.encoder,
        rates=given.rates,
        channels=given.channels,
        low_level_channels=given.low_level_channels,
    )


def _densenet(given: DenseNetArguments) -> nn.Module:
    network = DenseNet(
        spatial_dims=2,
        in_channels=given.in_channels,
        out_channels=given.num_classes,
        init_features=given.init_features,
        growth_rate=given.growth_rate,
        block_config=tuple(given.block_config),
    )
    return cast(nn.Module, network)


def _lite(given: EfficientNetLiteArguments) -> nn.Module:
    return EfficientNetLite(given.variant, num_classes=given.num_classes)


def _lite_ensemble(given: EfficientNetLiteEnsembleArguments) -> nn.Module:
    return EfficientNetLiteEnsemble(given.variants, num_classes=given.num_classes)


def _auxiliary(given: EfficientNetAuxiliaryArguments) -> nn.Module:
    return cast(nn.Module, EfficientNetAuxiliary(given.model_name, num_classes=given.num_classes))


def _resnet(given: ResNetArguments) -> nn.Module:
    network = ResidualNetwork(
        in_channels=given.in_channels,
        num_classes=given.num_classes,
        block=given.block,
        layers=given.layers,
        stride_first=given.stride_first,
    )
    return cast(nn.Module, network)


def _unet(given: UNetArguments) -> nn.Module:
    network = UNet(
        spatial_dims=2,
        in_channels=given.in_channels,
        out_channels=1,
        channels=given.channels,
        strides=given.strides,
        num_res_units=given.num_res_units,
    )
    return cast(nn.Module, network)


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Given]):
    arguments: type[Given]
    make: Callable[[Given], nn.Module]

    def build(self, args: Mapping[str, object]) -> nn.Module:
        return self.make(self.arguments.model_validate(dict(args)))


NETWORKS: Mapping[str, _Entry[Any]] = MappingProxyType(
    {
        "alexnet": _Entry(AlexNetArguments, _alexnet),
        "deeplabv3plus": _Entry(DeepLabArguments, _deeplab),
        "densenet": _Entry(DenseNetArguments, _densenet),
        "efficientnet_auxiliary": _Entry(EfficientNetAuxiliaryArguments, _auxiliary),
        "efficientnet_lite": _Entry(EfficientNetLiteArguments, _lite),
        "efficientnet_lite_ensemble": _Entry(EfficientNetLiteEnsembleArguments, _lite_ensemble),
        "resnet": _Entry(ResNetArguments, _resnet),
        "unet": _Entry(UNetArguments, _unet),
    }
)
"""Every network by the name that a bundle gives."""


def build(description: NetworkDescription) -> nn.Module:
    """Return the network with random weights, ready for inference; raises `UnknownNetwork` naming what is not known."""
    entry = NETWORKS.get(description.name)
    if entry is None:
        raise UnknownNetwork(f"network {description.name!r} is not known; known: {', '.join(NETWORKS)}")
    try:
        return entry.build(description.args).eval()
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UnknownNetwork(f"network {description.name!r}, argument {place!r}: {first['msg']}") from error

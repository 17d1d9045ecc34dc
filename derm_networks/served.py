"""A bundle as the service runs it: `configs/serving.json` and the safetensors, nothing else.

Evaluation and export use this, so that the figures of a model card are those of the shipped files.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import safetensors.torch
import torch
from monai.transforms.intensity.array import NormalizeIntensity
from numpy.typing import NDArray
from torch import Tensor, nn

from derm_networks.alexnet import AlexNet
from derm_networks.bundle_files import file_inside
from derm_networks.deeplabv3plus import DeepLabV3Plus, enlarge
from derm_networks.efficientnet_auxiliary import EfficientNetAuxiliary
from derm_networks.efficientnet_lite import EfficientNetLite
from derm_networks.eight_bit import SCALE, quantised, restored
from derm_networks.ensemble import EfficientNetLiteEnsemble
from derm_networks.mirrors import mean_of_mirrors
from derm_networks.regions import filled
from derm_networks.residual import ResidualNetwork
from derm_networks.transforms import ResizeAntialiased
from derm_networks.windows import combined, filled_windows

NETWORKS: Mapping[str, type[nn.Module]] = MappingProxyType(
    {
        "alexnet": AlexNet,
        "deeplabv3plus": DeepLabV3Plus,
        "efficientnet_auxiliary": EfficientNetAuxiliary,
        "efficientnet_lite": EfficientNetLite,
        "efficientnet_lite_ensemble": EfficientNetLiteEnsemble,
        "resnet": ResidualNetwork,
    }
)
"""The networks of the bundles by the name that a description gives; their arguments are those of the classes."""
Picture = NDArray[np.uint8]
Dtype = Literal["float32", "float16", "int8"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ServedBundle:
    """A description with its network, in float32 and evaluation mode.

    Pictures are (height, width, 3) RGB of 0..255; a bundle that reads grey takes (height, width), or three equal channels.
    """

    description: dict[str, Any]
    network: nn.Module

    @torch.inference_mode()
    def logits(self, picture: Picture) -> Tensor:
        """Return the network's output for the picture: (1, classes), or (1, maps, h, w) at the network's size.

        With `average` `flips` the mean over the picture and its three mirror images. Of a bundle that reads windows: (n, classes).
        """
        if self.description["inference"].get("average", "none") == "none":
            return self.by_parts(picture, self.network)
        return mean_of_mirrors(self.network, prepare(self.coloured(picture), self.description["preprocessing"]))

    def probabilities(self, picture: Picture) -> dict[str, float]:
        """Return class id to probability, of a bundle whose first output is a classification."""
        output = self.description["outputs"][0]
        each = (self.logits(picture).double() / output.get("temperature", 1.0)).softmax(dim=1).numpy()
        windows = self.description["inference"]["kind"] == "windows"
        shares = combined(each, self.description["inference"]["share"]) if windows else each[0]
        return {one["id"]: float(value) for one, value in zip(output["classes"], shares, strict=True)}

    def mask(self, picture: Picture, *, cleaned: bool = True, output: str | None = None) -> NDArray[np.bool_]:
        """Return (height, width) of the segmentation with the id `output`, of the first output where it is None.

        Logits are enlarged to the picture, activated and compared with the threshold; with `cleaned` the largest region, or
        those that the description's `keep` names, have their holes filled, and what is below the least area counts as none.
        """
        outputs = self.description["outputs"]
        described = outputs[0] if output is None else next(one for one in outputs if one["id"] == output)
        channel = described.get("channel", 0)
        own = self.logits(picture)[:, channel : channel + 1].float()
        full = enlarge(own, (picture.shape[0], picture.shape[1]))[0]
        inside = (torch.sigmoid(full) >= described["threshold"]).float()
        if not cleaned:
            return np.asarray(inside[0].numpy() > 0)
        region = filled(inside, described.get("keep", "largest"))[0]
        return region if region.mean() >= described["min_area_fraction"] else np.zeros_like(region)

    def coloured(self, picture: Picture) -> Picture:
        """Return the picture in the planes that the bundle reads: RGB as it is, grey as (height, width)."""
        if self.description["input"]["colour"] == "RGB" or picture.ndim == 2:
            return picture
        if not (picture == picture[..., :1]).all():
            raise ValueError("the bundle reads grey, the picture is in colour")
        return picture[..., 0]

    @torch.inference_mode()
    def by_parts(self, picture: Picture, run: Callable[[Tensor], Tensor]) -> Tensor:
        """Return what `run` says of the picture's parts, (n, …): of its filled windows, or of the whole where the bundle reads that.

        Raises ValueError where every window is empty, and for colour where the bundle reads grey.
        """
        given, seen = self.description["inference"], self.coloured(picture)
        parts = [seen]
        if given["kind"] == "windows":
            places = filled_windows(seen, side=given["side"], overlap=given["overlap"], max_empty=given["max_empty"])
            parts = [place.of(seen) for place in places]
        if not parts:
            raise ValueError("every window of the picture is empty; take it out of the table")
        steps, size = self.description["preprocessing"], given.get("batch", 8)
        batches = (parts[first : first + size] for first in range(0, len(parts), size))
        return torch.cat([torch.as_tensor(run(torch.cat([prepare(part, steps) for part in some]))) for some in batches])


def open_bundle(folder: Path) -> ServedBundle:
    """Read a bundle; raises ValueError where the weights are not the described ones, or would lie outside the folder."""
    description = json.loads((folder / "configs" / "serving.json").read_text(encoding="utf-8"))
    data = file_inside(folder, description["weights"]["file"], "weights.file").read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != description["weights"]["sha256"]:
        raise ValueError(f"{description['weights']['file']} has SHA-256 {found}, serving.json says otherwise")
    network = make_network(description["network"])
    network.load_state_dict(_as_float32(safetensors.torch.load(data)), strict=True)
    return ServedBundle(description=description, network=network.eval())


def make_network(described: Mapping[str, Any]) -> nn.Module:
    """Return the network of a description's `network`, with random weights.

    Raises ValueError naming a network that is not known, and TypeError for an argument that it does not take.
    """
    kind = NETWORKS.get(described["name"])
    if kind is None:
        raise ValueError(f"network {described['name']!r} is not known; known: {', '.join(NETWORKS)}")
    return kind(**described.get("args", {}))


def read_weights(file: Path | str) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file for `load_state_dict`: floating point and 8-bit ones as float32."""
    return _as_float32(safetensors.torch.load_file(file))


def save_weights(state: Mapping[str, Tensor], file: Path, dtype: Dtype = "float16") -> str:
    """Write `state` to a safetensors file, its floating point tensors rounded to `dtype`; return the file's SHA-256.

    `int8` holds weights of two or more dimensions as 8-bit integers with a float32 scale for each output channel, all other
    floating point tensors as float16. Raises ValueError naming the first tensor whose values the type cannot hold.
    """
    packed = quantised(dict(state)) if dtype == "int8" else dict(state)
    small = torch.float32 if dtype == "float32" else torch.float16
    rounded: dict[str, Tensor] = {}
    for name, tensor in packed.items():
        is_scale = dtype == "int8" and name.endswith(SCALE) and name not in state
        kept = is_scale or not tensor.is_floating_point()
        rounded[name] = (tensor if kept else tensor.to(small)).contiguous()
        if not torch.isfinite(rounded[name]).all():
            raise ValueError(f"{name} holds values that {dtype} cannot")
    data = safetensors.torch.save(rounded)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def prepare(picture: Picture, steps: list[dict[str, Any]]) -> Tensor:
    """Bring (height, width, 3) RGB or (height, width) grey of 0..255 to the network's float32 input (1, C, h, w).

    Values are scaled to 0..1; then the steps follow.
    """
    planes = picture[None] if picture.ndim == 2 else picture.transpose(2, 0, 1)
    data: Any = torch.from_numpy(np.ascontiguousarray(planes)).float() / 255
    for step in steps:
        data = _transform(step)(data)
    return torch.as_tensor(data, dtype=torch.float32)[None]


def _transform(step: dict[str, Any]) -> ResizeAntialiased | NormalizeIntensity:
    if step["op"] == "resize":
        return ResizeAntialiased(step["height"], step["width"], step["mode"], antialias=step["antialias"])
    if step["op"] == "normalize":
        return NormalizeIntensity(subtrahend=step["mean"], divisor=step["std"], channel_wise=True)
    raise ValueError(f"{step['op']!r} is no preprocessing step")


def _as_float32(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in restored(state).items()}

"""A bundle as the service runs it: `configs/serving.json` and the safetensors, nothing else.

Evaluation and export use this, so that the figures of a model card are those of the shipped files.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from monai.transforms.intensity.array import NormalizeIntensity
from monai.transforms.post.array import FillHoles, KeepLargestConnectedComponent
from numpy.typing import NDArray
from torch import Tensor, nn

from derm_networks.alexnet import AlexNet
from derm_networks.deeplabv3plus import DeepLabV3Plus, enlarge
from derm_networks.transforms import ResizeAntialiased

NETWORKS: dict[str, type[nn.Module]] = {"alexnet": AlexNet, "deeplabv3plus": DeepLabV3Plus}

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ServedBundle:
    """A description with its network, in float32 and evaluation mode."""

    description: dict[str, Any]
    network: nn.Module

    @torch.inference_mode()
    def logits(self, picture: Picture) -> Tensor:
        """Return the network's output for (height, width, 3) RGB: (1, classes), or (1, 1, h, w) at the network's size."""
        return torch.as_tensor(self.network(prepare(picture, self.description["preprocessing"])))

    def probabilities(self, picture: Picture) -> dict[str, float]:
        """Return class id to probability, of a bundle whose first output is a classification."""
        output = self.description["outputs"][0]
        shares = (self.logits(picture)[0].double() / output["temperature"]).softmax(dim=0)
        return {one["id"]: float(value) for one, value in zip(output["classes"], shares, strict=True)}

    def mask(self, picture: Picture, *, cleaned: bool = True) -> NDArray[np.bool_]:
        """Return (height, width) of a bundle whose first output is a segmentation.

        Logits are enlarged to the picture, activated and compared with the threshold; with `cleaned` the largest region
        is kept and its holes are filled, and a region below the least area counts as none.
        """
        output = self.description["outputs"][0]
        full = enlarge(self.logits(picture).float(), (picture.shape[0], picture.shape[1]))[0]
        inside = (torch.sigmoid(full) >= output["threshold"]).float()
        if not cleaned:
            return np.asarray(inside[0].numpy() > 0)
        largest = KeepLargestConnectedComponent(applied_labels=[1], connectivity=2)(inside)
        region = np.asarray(FillHoles(applied_labels=[1], connectivity=1)(largest))[0] > 0
        return region if region.mean() >= output["min_area_fraction"] else np.zeros_like(region)


def open_bundle(folder: Path) -> ServedBundle:
    """Read `configs/serving.json` and the weights; raises ValueError if the file's SHA-256 is not the one described."""
    description = json.loads((folder / "configs" / "serving.json").read_text(encoding="utf-8"))
    data = (folder / description["weights"]["file"]).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != description["weights"]["sha256"]:
        raise ValueError(f"{description['weights']['file']} has SHA-256 {found}, serving.json says otherwise")
    network = NETWORKS[description["network"]["name"]](**description["network"]["args"])
    network.load_state_dict(_as_float32(safetensors.torch.load(data)), strict=True)
    return ServedBundle(description=description, network=network.eval())


def read_weights(file: Path | str) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, floating point ones as float32, for `load_state_dict`."""
    return _as_float32(safetensors.torch.load_file(file))


def save_weights(state: dict[str, Tensor], file: Path) -> str:
    """Write `state` with its floating point tensors rounded to float16; return the file's SHA-256.

    Raises ValueError naming the first tensor whose values float16 cannot hold.
    """
    rounded: dict[str, Tensor] = {}
    for name, tensor in state.items():
        rounded[name] = tensor.half().contiguous() if tensor.is_floating_point() else tensor.contiguous()
        if not torch.isfinite(rounded[name]).all():
            raise ValueError(f"{name} holds values that float16 cannot")
    data = safetensors.torch.save(rounded)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def prepare(picture: Picture, steps: list[dict[str, Any]]) -> Tensor:
    """Bring (height, width, 3) RGB of 0..255 to the network's float32 input (1, 3, h, w): scaled to 0..1, then the steps."""
    data: Any = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))).float() / 255
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
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}

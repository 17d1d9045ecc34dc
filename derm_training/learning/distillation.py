"""A shipped bundle as the teacher of a network that is being trained: what it says of the very same random views."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from derm_networks.served import ServedBundle, open_bundle
from derm_training.learning.precision import Precision
from derm_training.learning.progress import tell


class Teacher:
    """The network of a bundle's folder, which reads views at its own size and speaks in the pupil's order of classes."""

    def __init__(self, bundle: ServedBundle, order: list[int], device: torch.device, precision: Precision) -> None:
        self.network = bundle.network.to(device)
        self.steps: list[dict[str, Any]] = bundle.description["preprocessing"]
        self.order = order
        self.precision = precision
        self.identity = f"{bundle.description['weights']['sha256']} {self.steps} {order} {precision.name}"
        """What decides the words."""

    @torch.no_grad()
    def __call__(self, views: Tensor) -> Tensor:
        """Return logits (N, classes) of `views` (N, 3, H, W) in 0..1, before any calibration."""
        inputs = views
        for step in self.steps:
            inputs = _prepared(inputs, step)
        with self.precision.on(inputs.device):
            logits: Tensor = self.network(inputs)
        return logits.float()[:, self.order]


def teacher(
    folder: str | Path | None, classes: list[str], device: torch.device, precision: str = "float32"
) -> Teacher | None:
    """Return the bundle in `folder` as teacher of `classes`; None, and a line that says so, where no such folder is.

    It computes in the numbers that `precision` names (see `Precision`).

    Raises ValueError if the bundle does not tell all of these classes apart.
    """
    if folder is None or str(folder) == "none":
        return None
    place = Path(folder)
    if not (place / "configs" / "serving.json").is_file():
        tell(f"no bundle to teach at {place}: learning from the labels alone (setting: teacher)")
        return None
    bundle = open_bundle(place)
    known = [one["id"] for one in bundle.description["outputs"][0]["classes"]]
    if missing := sorted(set(classes) - set(known)):
        raise ValueError(f"the teacher {place} knows {', '.join(known)}, not {', '.join(missing)}; set teacher to another bundle or to none")
    tell(f"learning from the labels and from {place.resolve().name} {bundle.description['version']}")
    return Teacher(bundle, [known.index(one) for one in classes], device, Precision(precision))


def _prepared(inputs: Tensor, step: dict[str, Any]) -> Tensor:
    if step["op"] == "resize":
        size = (step["height"], step["width"])
        return functional.interpolate(inputs, size=size, mode=step["mode"], align_corners=False, antialias=step["antialias"])
    if step["op"] == "normalize":
        mean, std = (torch.tensor(step[key], device=inputs.device).view(1, -1, 1, 1) for key in ("mean", "std"))
        return (inputs - mean) / std
    raise ValueError(f"{step['op']!r} is no step that a teacher can do on a view")

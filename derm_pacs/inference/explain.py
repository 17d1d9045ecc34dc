"""What in the frame spoke for a class, as a coarse grid over the whole frame; the map is of the frame as it is, not of its mirror images.

- `grad_cam`: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", ICCV 2017,
  by MONAI, for any layer; it needs a pass forward and one back.
- `cam`: Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016. For a network whose logits are the
  means of class maps, the gradient of a class's logit at the last features is that class's row of the linear layer, the same at
  every place: Grad-CAM there is the class map without its bias, up to scale (Selvaraju et al., section 3.1), and a pass
  forward is enough.

The grid has the size of the map, at most 64 x 64, and is scaled so that its strongest cell is 255; what speaks against the
class is 0. How windows explain is in `windows.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from monai.visualize.class_activation_maps import GradCAM
from torch import Tensor, nn
from torch.nn import functional

from derm_pacs.domain.bundle import ExplanationDescription, ServingDescription, explained_class
from derm_pacs.domain.findings import Classification, Saliency
from derm_pacs.inference.messages import MAX_GRID
from derm_pacs.inference.preprocessing import empty_input


class WrongExplanation(ValueError):
    """The network cannot be explained as its description says."""


def explainer(description: ServingDescription, network: nn.Module) -> "Explainer | None":
    """Return what explains the network's reading of a whole image; None where nothing does, or where windows do."""
    explanation = description.explanation
    if explanation is None or explanation.method == "windows":
        return None
    kind = _ByGradient if explanation.method == "grad_cam" else _ByClassMaps
    return kind(description, explanation, network)


class Explainer(ABC):
    """The explanation of one network's reading of whole images."""

    def __init__(self, description: ServingDescription, explanation: ExplanationDescription, network: nn.Module) -> None:
        self._description = description
        self._explanation = explanation
        self._network = network

    def explain(self, prepared: Tensor, classification: Classification) -> Saliency | None:
        """Return the map for a prepared image, (1, C, H, W) and no inference tensor.

        None for another output than the explained one, and where the map is the same everywhere: it says no place.
        """
        if classification.output != self._explanation.output:
            return None
        class_id = explained_class(self._description, classification)
        index = [one.class_id for one in classification.probabilities].index(class_id)
        found = self._map(prepared, index)
        rows, columns = min(found.shape[2], MAX_GRID), min(found.shape[3], MAX_GRID)
        heat = functional.adaptive_avg_pool2d(found, (rows, columns))[0, 0].double().numpy()
        if not np.isfinite(heat).all():
            raise WrongExplanation(f"the map by {self._explanation.method} holds values that are not finite")
        highest = heat.max()
        grid = np.rint(heat * (255 / highest)).astype(np.uint8) if highest > 0 else np.zeros(heat.shape, dtype=np.uint8)
        if grid.min() == grid.max():
            return None
        return Saliency(method=self._explanation.method, class_id=class_id, grid=grid)

    @abstractmethod
    def _map(self, prepared: Tensor, index: int) -> Tensor:
        """Return the map of the class with this index at its own size, (1, 1, h, w), nowhere negative."""


class _ByGradient(Explainer):
    """Grad-CAM; the network from now on keeps the activations of one layer."""

    def __init__(self, description: ServingDescription, explanation: ExplanationDescription, network: nn.Module) -> None:
        """Try it on an empty image; raises `WrongExplanation` naming the layer."""
        super().__init__(description, explanation, network)
        place = [output.id for output in description.outputs].index(explanation.output)
        layer = explanation.layer
        if layer not in dict(network.named_modules()):
            raise WrongExplanation(f"explanation.layer: the network {description.network.name} has no layer {layer!r}")
        network.requires_grad_(requires_grad=False)  # the input's gradient is enough
        # In evaluation mode itself: MONAI brings what it wraps back to the mode in which it found it, and all within.
        self._cam = GradCAM(_OneOutput(network, place).eval(), f"network.{layer}")
        try:
            found = self._map(empty_input(description), 0)
        except Exception as error:  # torch and MONAI raise every kind on a layer that is not made for this
            raise WrongExplanation(f"explanation.layer: {layer!r} cannot be explained: {error}") from error
        if found.ndim != 4 or found[0, 0].numel() < 2:
            raise WrongExplanation(
                f"explanation.layer: {layer!r} gives no map but values of shape {tuple(found.shape)}"
            )

    def _map(self, prepared: Tensor, index: int) -> Tensor:
        kept = self._cam.nn_module
        compute_map: Callable[..., Tensor] = self._cam.compute_map
        try:
            with torch.enable_grad():
                return compute_map(prepared.detach().clone().requires_grad_(), class_idx=index).detach()
        finally:
            # MONAI takes what is kept where a pass brings nothing new: that would be another image's gradient.
            kept.activations.clear()
            kept.gradients.clear()
            kept.score = None


class _ByClassMaps(Explainer):
    """The closed form, by the network's own `class_maps` and `class_bias`."""

    def __init__(self, description: ServingDescription, explanation: ExplanationDescription, network: nn.Module) -> None:
        """Try it on an empty image; raises `WrongExplanation` naming the network."""
        super().__init__(description, explanation, network)
        name = description.network.name
        if not (hasattr(network, "class_maps") and hasattr(network, "class_bias")):
            raise WrongExplanation(f"explanation.method: the network {name} has no class maps; grad_cam needs none")
        with torch.inference_mode():
            maps, bias = self._maps(empty_input(description)), self._bias()
        classes = next(len(one.classes) for one in description.outputs if one.kind == "classification" and one.id == explanation.output)
        if maps.ndim != 4 or maps.shape[:2] != (1, classes) or maps[0, 0].numel() < 2 or bias.shape != (classes,):
            raise WrongExplanation(
                f"explanation.method: the network {name} gives class maps of shape {tuple(maps.shape)}, not of "
                f"{classes} classes with several places each"
            )

    def _map(self, prepared: Tensor, index: int) -> Tensor:
        with torch.inference_mode():
            return functional.relu(self._maps(prepared)[:, index : index + 1] - self._bias()[index])

    def _maps(self, prepared: Tensor) -> Tensor:
        return cast(Tensor, cast(Any, self._network).class_maps(prepared))

    def _bias(self) -> Tensor:
        return cast(Tensor, cast(Any, self._network).class_bias())


class _OneOutput(nn.Module):
    """A network of several outputs as one of a single output."""

    def __init__(self, network: nn.Module, place: int) -> None:
        super().__init__()
        self.network = network
        self._place = place

    def forward(self, x: Tensor) -> Tensor:
        given = self.network(x)
        return given if isinstance(given, Tensor) else torch.as_tensor(tuple(given)[self._place])

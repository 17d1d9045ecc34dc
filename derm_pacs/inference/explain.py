"""What in the frame spoke for a class: Grad-CAM by MONAI, as a coarse grid over the whole frame.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", ICCV 2017. The grid
has the size of the layer's activations, at most 64 x 64, and is scaled so that its strongest cell is 255; 0 stays 0.
"""

from collections.abc import Callable

import numpy as np
import torch
from monai.visualize.class_activation_maps import GradCAM
from torch import Tensor, nn
from torch.nn import functional

from derm_pacs.domain.bundle import ExplanationDescription, ServingDescription, explained_class
from derm_pacs.domain.findings import Classification, Saliency
from derm_pacs.inference.messages import MAX_GRID
from derm_pacs.inference.preprocessing import prepare


class WrongExplanation(ValueError):
    """The network cannot be explained as its description says."""


class Explainer:
    """The explanation of one network, which from now on keeps the activations of one layer."""

    def __init__(
        self, description: ServingDescription, explanation: ExplanationDescription, network: nn.Module
    ) -> None:
        """Try the explanation on an empty image; raises `WrongExplanation` naming the layer."""
        self._description = description
        self._explanation = explanation
        place = [output.id for output in description.outputs].index(explanation.output)
        layer = explanation.layer
        if layer not in dict(network.named_modules()):
            raise WrongExplanation(f"explanation.layer: the network {description.network.name} has no layer {layer!r}")
        network.requires_grad_(requires_grad=False)  # the input's gradient is enough
        # In evaluation mode itself: MONAI brings what it wraps back to the mode in which it found it, and all within.
        self._cam = GradCAM(_OneOutput(network, place).eval(), f"network.{layer}")
        side = description.input.min_short_side
        shape = (side, side, 3) if description.input.colour == "RGB" else (side, side)
        try:
            found = self._map(prepare(np.zeros(shape, dtype=np.uint8), description.preprocessing), 0)
        except Exception as error:  # torch and MONAI raise every kind on a layer that is not made for this
            raise WrongExplanation(f"explanation.layer: {layer!r} cannot be explained: {error}") from error
        if found.ndim != 4 or found[0, 0].numel() < 2:
            raise WrongExplanation(
                f"explanation.layer: {layer!r} gives no map but values of shape {tuple(found.shape)}"
            )

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
            raise WrongExplanation(f"the map of layer {self._explanation.layer!r} holds values that are not finite")
        highest = heat.max()
        grid = np.rint(heat * (255 / highest)).astype(np.uint8) if highest > 0 else np.zeros(heat.shape, dtype=np.uint8)
        if grid.min() == grid.max():
            return None
        return Saliency(method=self._explanation.method, class_id=class_id, grid=grid)

    def _map(self, prepared: Tensor, index: int) -> Tensor:
        """Return the map at the layer's size, (1, 1, h, w), nowhere negative."""
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


class _OneOutput(nn.Module):
    """A network of several outputs as one of a single output."""

    def __init__(self, network: nn.Module, place: int) -> None:
        super().__init__()
        self.network = network
        self._place = place

    def forward(self, x: Tensor) -> Tensor:
        given = self.network(x)
        return given if isinstance(given, Tensor) else torch.as_tensor(tuple(given)[self._place])

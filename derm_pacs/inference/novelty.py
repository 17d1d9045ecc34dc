"""The last step of the quality gate: whether the network has ever seen anything like the image.

The figure is the energy of the logits or the distance of the pooled features (`derm_networks.novelty`); an image that is
read window by window has the mean of its windows'. It costs a second pass of the network where features are asked for.
"""

import hashlib
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from derm_networks.novelty import FeatureSpace, energies
from derm_pacs.domain.bundle import Energy, FeatureDistance, ServingDescription
from derm_pacs.domain.findings import Refusal
from derm_pacs.domain.reasons import OUT_OF_DISTRIBUTION
from derm_pacs.inference.outcomes import refusal
from derm_pacs.inference.preprocessing import empty_input


class WrongNovelty(ValueError):
    """The novelty of an image cannot be measured as the description says."""


def read_space(folder: Path, limit: FeatureDistance) -> FeatureSpace:
    """Read the file that the limit names, once, and check those bytes; raises `WrongNovelty` naming it."""
    data = (folder / limit.file).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != limit.sha256:
        raise WrongNovelty(f"{limit.file} has SHA-256 {found}, described as {limit.sha256}")
    try:
        return FeatureSpace.read(data)
    except ValueError as error:
        raise WrongNovelty(f"{limit.file}: {error}") from error


class Novelty:
    """The limit of one bundle, with what it is measured by."""

    def __init__(
        self, description: ServingDescription, limit: Energy | FeatureDistance, network: nn.Module, space: FeatureSpace | None
    ) -> None:
        """Try it on an empty image; raises `WrongNovelty`. `space` is what the file of a `FeatureDistance` holds."""
        self._limit = limit
        self._network = network
        self._space = space
        self._place = next((place for place, one in enumerate(description.outputs) if one.kind == "classification"), None)
        if isinstance(limit, Energy):
            return
        if space is None:
            raise WrongNovelty(f"quality.novelty: the features of {limit.file} were not read")
        if not hasattr(network, "pooled_features"):
            raise WrongNovelty(f"quality.novelty: the network {description.network.name} gives no pooled features")
        found = self._features(empty_input(description))
        if found.shape != (1, len(space.mean)):
            raise WrongNovelty(f"{limit.file}: {len(space.mean)} features, the network gives {found.shape[1]}")

    def figures(self, prepared: Tensor, logits: tuple[Tensor, ...]) -> NDArray[np.float64]:
        """Measure each of (N, C, H, W) prepared images, whose outputs are `logits`: (N,)."""
        if self._space is not None:
            return self._space.distances(self._features(prepared))
        return energies(logits[cast(int, self._place)].numpy())

    def judge(self, figures: NDArray[np.float64]) -> Refusal | None:
        """Return the refusal where the mean of the figures is beyond the limit."""
        found, most = float(figures.mean()), self._limit.maximum
        if found <= most:
            return None
        what = "energy" if isinstance(self._limit, Energy) else "distance of the features"
        return refusal(OUT_OF_DISTRIBUTION, f"{what} {found:.3f}, at most {most:g}")

    def _features(self, prepared: Tensor) -> NDArray[np.float32]:
        with torch.inference_mode():
            found: Tensor = cast(Any, self._network).pooled_features(prepared)
        return np.asarray(found.numpy(), dtype=np.float32)

"""How unlike an image is to those that a network has learned from: two figures, in arithmetic on NumPy arrays alone.

The service holds them against a bundle's limit, training finds that limit; both see the same numbers.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ROUNDING = 1e-4
"""Of the length of the mean: a hundred times what float32 sums of a network differ by between processors."""


def energies(logits: NDArray[np.floating]) -> Floats:
    """Return minus the log-sum-exp of each row of (n, classes): high where no class is likely (Liu et al., NeurIPS 2020)."""
    values = np.asarray(logits, dtype=np.float64)
    highest = values.max(axis=1, keepdims=True)
    return np.asarray(-(highest[:, 0] + np.log(np.exp(values - highest).sum(axis=1))), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureSpace:
    """Where the pooled features of the training images lie: the distance from there says what is unlike them.

    After Lee et al., NeurIPS 2018, with one Gaussian for all classes: along the k strongest directions by their own spread,
    across them by one spread for all.
    """

    mean: Floats
    """(C,)."""
    basis: Floats
    """(C, k), columns of length 1 that stand at right angles to each other."""
    scale: Floats
    """(k,), the standard deviation of the training images' features along each column."""
    residual: float
    """Root of the mean square length of what the columns do not reach."""

    @classmethod
    def fit(cls, features: NDArray[np.floating], *, variance: float = 0.999, most: int = 128) -> Self:
        """Fit to (n, C) features of n at least 3 training images: the fewest directions that hold `variance`, at most `most`.

        A spread below a ten-thousandth of the mean's length counts as that much: what is smaller is the rounding of a network's
        float32 sums, which changes with the processor and its threads. Raises `ValueError` where the features vary no more.
        """
        values = np.asarray(features, dtype=np.float64)
        mean = values.mean(axis=0)
        centred = values - mean
        _, spread, rows = np.linalg.svd(centred, full_matrices=False)
        shares = np.cumsum(spread**2) / max(float((spread**2).sum()), 1e-300)
        deviations = spread / np.sqrt(max(len(values) - 1, 1))
        rounding = max(_ROUNDING * float(np.linalg.norm(mean)), 1e-12)
        if len(values) < 3 or deviations[0] <= rounding:
            raise ValueError(
                f"the features of {len(values)} images hardly vary: nothing can be told apart by them; train the network, or take more images"
            )
        # one direction at least is left over for the residual
        real = int((deviations > max(rounding, deviations[0] * 1e-6)).sum())
        count = max(1, min(most, int(np.searchsorted(shares, variance)) + 1, real - 1))
        basis = rows[:count].T
        rest = centred - centred @ basis @ basis.T
        return cls(
            mean=mean,
            basis=basis,
            scale=deviations[:count],
            residual=max(float(np.sqrt((rest**2).sum(axis=1).mean())), rounding),
        )

    def distances(self, features: NDArray[np.floating]) -> Floats:
        """Return the distance of each row of (n, C)."""
        centred = np.asarray(features, dtype=np.float64) - self.mean
        along = centred @ self.basis
        rest = np.maximum((centred**2).sum(axis=1) - (along**2).sum(axis=1), 0.0)
        return np.asarray(np.sqrt(((along / self.scale) ** 2).sum(axis=1) + rest / self.residual**2), dtype=np.float64)

    def written(self) -> bytes:
        """Return the safetensors file, all tensors float32."""
        return safetensors.numpy.save({
            "mean": self.mean.astype(np.float32),
            "basis": np.ascontiguousarray(self.basis, dtype=np.float32),
            "scale": self.scale.astype(np.float32),
            "residual": np.array([self.residual], dtype=np.float32),
        })

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Read such a file; raises `ValueError` naming the first tensor that is missing, unknown or cannot be."""
        try:
            found = safetensors.numpy.load(data)
        except Exception as error:  # safetensors raises a type of its own, json's and numpy's
            raise ValueError(f"this is no safetensors file: {error}") from error
        if set(found) != {"mean", "basis", "scale", "residual"}:
            raise ValueError(f"the tensors are {', '.join(sorted(found))}, not mean, basis, scale and residual")
        channels, count = found["mean"].size, found["scale"].size
        shapes = {"mean": (channels,), "basis": (channels, count), "scale": (count,), "residual": (1,)}
        for name, shape in shapes.items():
            if found[name].shape != shape or found[name].dtype != np.float32 or not np.isfinite(found[name]).all():
                raise ValueError(f"{name} is not finite float32 of shape {shape}")
        if min(found["scale"].min(initial=np.inf), found["residual"].min()) <= 0:
            raise ValueError("scale and residual are not above 0")
        values = {name: tensor.astype(np.float64) for name, tensor in found.items()}
        return cls(mean=values["mean"], basis=values["basis"], scale=values["scale"], residual=float(values["residual"][0]))

"""Good pictures made bad, to find out how many of them a quality gate lets through; the same seed makes the same."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Picture = NDArray[np.uint8]
Random = np.random.Generator


def degrade(picture: Picture, place: int, seed: int) -> tuple[str, Picture]:
    """Return the kind of damage and the damaged copy of (height, width, 3) RGB; the kinds take turns by `place`."""
    kind = tuple(_KINDS)[place % len(_KINDS)]
    return kind, _KINDS[kind](np.random.default_rng((seed, place)), picture)


def _blurred(random: Random, picture: Picture) -> Picture:
    """Out of focus by 2 to 5 % of the longer side: no border, no network of pigment is left."""
    radius = max(picture.shape[:2]) * random.uniform(0.02, 0.05)
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))


def _dark(random: Random, picture: Picture) -> Picture:
    """2 to 10 % of the light."""
    return _bytes(picture * random.uniform(0.02, 0.1))


def _bright(random: Random, picture: Picture) -> Picture:
    """Two and a half to five times the light: nearly all is white."""
    return _bytes(picture * random.uniform(2.5, 5.0))


def _flat(random: Random, picture: Picture) -> Picture:
    """2 to 10 % of the contrast."""
    mean = picture.mean(axis=(0, 1))
    return _bytes(mean + (picture - mean) * random.uniform(0.02, 0.1))


def _noisy(random: Random, picture: Picture) -> Picture:
    """Noise with a standard deviation of 80 to 150 grey values."""
    return _bytes(picture + random.normal(0, random.uniform(80, 150), picture.shape))


def _cut(random: Random, picture: Picture) -> Picture:
    """Only the first tenth to third was transmitted; the rest is black or grey."""
    broken = picture.copy()
    broken[int(len(picture) * random.uniform(0.1, 0.33)) :] = random.choice([0, 128])
    return broken


def _bytes(values: NDArray[np.floating]) -> Picture:
    rounded: Picture = np.clip(values, 0, 255).round().astype(np.uint8)
    return rounded


_KINDS: dict[str, Callable[[Random, Picture], Picture]] = {
    "blurred": _blurred, "dark": _dark, "over-exposed": _bright, "flat": _flat, "noisy": _noisy, "cut off": _cut,
}  # fmt: skip

"""Golden pictures: drawn by arithmetic alone, so that a bundle can be tried without anybody's photograph.

They are synthetic, show nobody's skin and stand for no diagnosis. Some are drawn near enough to what a dermatoscope sees that a bundle
which learned from such images takes them for its own; the last one shows rings, which a gate that works refuses.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derm_networks.served import Picture

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """What is drawn: lengths as shares of the height, colours as RGB of 0..255."""

    size: tuple[int, int]
    """Height and width in pixels."""
    skin: tuple[float, float, float]
    pigment: tuple[float, float, float]
    """What the darkest part of the lesion is drawn towards."""
    radius: float
    uneven: float
    """How far the border strays, as a share of the radius, and how blotched the pigment is, 0 to 1."""
    soft: float
    """Width of the border, as a share of the radius."""
    seed: int


_COLOURED = (
    Lesion(size=(450, 600), skin=(214, 160, 152), pigment=(112, 62, 48), radius=0.24, uneven=0.25, soft=0.09, seed=11),
    Lesion(size=(450, 600), skin=(205, 158, 140), pigment=(78, 44, 40), radius=0.32, uneven=0.45, soft=0.07, seed=12),
    Lesion(size=(420, 560), skin=(222, 178, 168), pigment=(150, 92, 70), radius=0.20, uneven=0.30, soft=0.15, seed=13),
)
_GREY = (
    Lesion(size=(700, 900), skin=(150, 150, 150), pigment=(60, 60, 60), radius=0.30, uneven=0.30, soft=0.10, seed=21),
    Lesion(size=(820, 640), skin=(120, 120, 120), pigment=(50, 50, 50), radius=0.25, uneven=0.10, soft=0.20, seed=22),
)


def drawn(colour: str) -> list[Picture]:
    """Return the pictures for a bundle that reads `RGB`, (height, width, 3), or `GREY`, larger, (height, width); the last shows rings."""
    if colour == "RGB":
        return [*(drawn_lesion(one) for one in _COLOURED), rings(300, 400)]
    pictures = [*(drawn_lesion(one) for one in _GREY), rings(700, 900)]
    return [np.asarray(Image.fromarray(one).convert("L")) for one in pictures]


def drawn_lesion(lesion: Lesion) -> Picture:
    """Draw a blotched brown spot with a soft, crooked border on clouded skin in uneven light: (height, width, 3)."""
    random = np.random.default_rng(lesion.seed)
    height, width = lesion.size
    rows, columns = np.mgrid[0:height, 0:width] / height
    across, down = columns - 0.51 * width / height, rows - 0.48
    stray = lesion.uneven * clouds(random, lesion.size, (0.6, 3), (0.3, 9), (0.1, 30))
    reach = np.hypot(across * 0.9, down) / lesion.radius - 1 + 0.6 * stray
    inside = 1 / (1 + np.exp((reach / lesion.soft).clip(-30, 30)))
    blotches = clouds(random, lesion.size, (0.35, 5), (0.35, 14), (0.2, 40), (0.1, 90))
    depth = inside * (0.62 + 0.55 * lesion.uneven * blotches).clip(0.15, 1.0)
    clouded = clouds(random, lesion.size, (4.0, 3), (3.0, 10), (2.5, 40), (2.5, 120))
    skin = np.array(lesion.skin) + clouded[..., None] * np.array([0.8, 1.1, 1.0])
    light = 1.06 - 0.22 * (across**2 + down**2) + clouds(random, lesion.size, (0.03, 2))
    picture = (skin + (np.array(lesion.pigment) - skin) * depth[..., None]) * light[..., None]
    picture += random.normal(0, 2, (height, width, 1))
    return np.asarray(picture.clip(0, 255).round(), dtype=np.uint8)


def rings(height: int, width: int) -> Picture:
    """Draw rings of pink and blue, (height, width, 3): sharp, light, half of it of the colour of skin, and like no skin."""
    rows, columns = np.mgrid[0:height, 0:width]
    pink = np.hypot(columns - width / 2, rows - height / 2) // 16 % 2 == 0
    return np.where(pink[..., None], np.array([224, 150, 140]), np.array([20, 30, 240])).astype(np.uint8)


def clouds(random: np.random.Generator, size: tuple[int, int], *layers: tuple[float, int]) -> Floats:
    """Return smooth noise (height, width): the sum of layers, each of a height and of how many hills it has across the longer side."""
    height, width = size
    summed = np.zeros(size)
    for most, cells in layers:
        scale = cells / max(size)
        coarse = random.normal(size=(max(2, round(height * scale)), max(2, round(width * scale)))).astype(np.float32)
        summed += most * np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64)
    return summed

"""Golden pictures: drawn by arithmetic alone, so that a bundle can be tried without anybody's photograph.

They are synthetic, show no skin and stand for no diagnosis.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derm_networks.served import Picture

# width, height, radius (share of the height), irregularity of border and colour, seed
_COLOURED = ((400, 300, 0.25, 0.05, 11), (360, 270, 0.36, 0.35, 12), (300, 340, 0.30, 0.20, 13))
_GREY = ((900, 700, 0.30, 0.30, 21), (640, 820, 0.25, 0.10, 22))


def drawn(colour: str) -> list[Picture]:
    """Return the pictures for a bundle that reads `RGB`, (height, width, 3), or `GREY`, larger, (height, width)."""
    if colour == "RGB":
        return [drawn_lesion(*shape) for shape in _COLOURED]
    return [np.asarray(Image.fromarray(drawn_lesion(*shape)).convert("L")) for shape in _GREY]


def drawn_lesion(width: int, height: int, radius: float, irregularity: float, seed: int) -> NDArray[np.uint8]:
    """Draw a brown blob, the more uneven in border and colour the more irregular, on a pinkish ground: (height, width, 3)."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    across, down = columns - 0.51 * width, rows - 0.48 * height
    angle = np.arctan2(down, across)
    edge = 1 + irregularity * (np.sin(3 * angle + seed) + 0.5 * np.sin(5 * angle)) / 1.5
    inside = 1 / (1 + np.exp(25 * (np.hypot(across, down) / (radius * height * edge) - 1)))  # soft border
    net = 0.5 + 0.5 * np.sin(columns / 5.0) * np.sin(rows / 6.0)
    patches = np.sin(across / (0.15 * width) + seed) * np.cos(down / (0.13 * height))
    skin = np.array([222.0, 178.0, 160.0])
    brown = np.array([128.0, 82.0, 62.0]) - 30.0 * net[..., None] - 120.0 * irregularity * patches[..., None]
    picture = skin + (brown - skin) * inside[..., None] + random.normal(0, 5, (height, width, 1))
    return np.asarray(picture.clip(0, 255).round(), dtype=np.uint8)

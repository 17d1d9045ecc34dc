"""Draws grey mosaics that are put together as those of confocal microscopy of the skin, of three classes and any size.

They are synthetic: no image of a microscope goes into them, and no confocal reader has looked at them. The same seed draws the
same mosaic. What is drawn follows the words in which readers describe the classes: bright roundish cells between disarranged
cells (melanoma), islands with a palisade and a cleft around them (basal cell carcinoma), edged papillae and nests (naevus).
A pixel stands for about a micrometre: a cell of the epidermis is 18 pixels wide, a papilla about 90.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from PIL import Image

from derm_pacs.samples.draw import Picture
from derm_pacs.samples.noise import Field, Shape, blur, cell_borders, fractal_noise, smoothstep

TILE = 384
"""Side of a tile in pixels."""
_COARSE = 16  # pixels of the mosaic to one of the plan
_CELL, _PAPILLA, _ISLAND = 18.0, 90.0, 170.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tile:
    """What is drawn into one tile."""

    random: np.random.Generator
    shape: Shape
    strength: float
    """How marked the class is in this mosaic, 0..1."""

    def clouds(self, width: float, octaves: int) -> Field:
        return fractal_noise(self.random, self.shape, width, octaves, 0.6)

    def net(self, cell: float, warp: float, jitter: float = 0.85) -> tuple[Field, Field]:
        """Return the fields of `cell_borders`, drawn at half the size, which takes a quarter of the time, and enlarged."""
        half = (-(-self.shape[0] // 2), -(-self.shape[1] // 2))
        fields = cell_borders(self.random, half, cell / 2, warp=warp, jitter=jitter)
        borders, value = (np.asarray(Image.fromarray(one).resize(self.shape[::-1], Image.Resampling.BILINEAR)) for one in fields)
        return borders, value


def _normal_skin(tile: _Tile) -> Field:
    borders, value = tile.net(_CELL, 0.45)
    skin = 58 + 62 * smoothstep(borders, 0.3, 0.03) - 16 * smoothstep(borders, 0.4, 0.75) + 18 * (value - 0.5)
    papillae, _ = tile.net(_PAPILLA, 0.5)
    deep = smoothstep(tile.clouds(260, 3), -0.1, 0.25)
    rings = 34 * smoothstep(np.abs(papillae - np.float32(0.2)), 0.16, 0.0) - 30 * smoothstep(papillae, 0.3, 0.6)
    return np.asarray(skin + deep * rings, np.float32)


def _naevus(tile: _Tile) -> Field:
    papillae, value = tile.net(_PAPILLA, 0.25, 0.6)
    picture = 84 - 56 * smoothstep(papillae, 0.25, 0.5)
    picture += 95 * tile.strength * smoothstep(np.abs(papillae - np.float32(0.17)), 0.12, 0.0)
    nest = smoothstep(papillae, 0.35, 0.55) * (value > 1 - 0.4 * tile.strength)
    cells, _ = tile.net(_CELL * 0.9, 0.2)
    picture += nest * (60 + 55 * smoothstep(cells, 0.1, 0.4))
    return np.asarray(picture + 12 * tile.clouds(14, 2), np.float32)


def _melanoma(tile: _Tile) -> Field:
    borders, _ = tile.net(_CELL * 1.2, 1.5, 1.0)
    picture = 62 + 40 * smoothstep(borders, 0.2, 0.02) * smoothstep(tile.clouds(80, 3), -0.3, 0.3) + 34 * tile.clouds(120, 4)
    cells, value = tile.net(_CELL * 2.1, 0.5, 1.0)
    chosen = value > 1 - 0.34 * tile.strength
    body = smoothstep(blur(chosen * smoothstep(cells, 0.15, 0.3), 4), 0.4, 0.65)  # smoothed: cells of a net have corners
    picture += 130 * body * (1 - 0.55 * chosen * smoothstep(cells, 0.62, 0.85))
    threads = smoothstep(np.abs(tile.clouds(46, 2)), 0.035, 0.0) * smoothstep(tile.clouds(150, 2), 0.1, 0.3)
    return np.asarray(picture + 70 * threads, np.float32)


def _carcinoma(tile: _Tile) -> Field:
    islands, value = tile.net(_ISLAND, 0.7, 1.0)
    inside = smoothstep(islands, 0.2, 0.26)
    bright = value > 0.45
    picture = 74 + 26 * tile.clouds(40, 3) + inside * np.where(bright, 46, -34)
    stripes, _ = tile.net(11.0, 0.2)
    palisade = smoothstep(np.abs(islands - np.float32(0.32)), 0.1, 0.04)
    picture += 60 * tile.strength * palisade * smoothstep(stripes, 0.15, 0.45)
    picture -= 62 * tile.strength * smoothstep(np.abs(islands - np.float32(0.15)), 0.07, 0.02)
    vessels = smoothstep(np.abs(tile.clouds(130, 2)), 0.05, 0.02) * (1 - inside)
    return np.asarray(picture - 40 * vessels, np.float32)


CLASSES: Mapping[str, Callable[[_Tile], Field]] = MappingProxyType(
    {"nevus": _naevus, "melanoma": _melanoma, "bcc": _carcinoma}
)
"""The three classes of Ludzik et al.: benign naevi, melanoma, basal cell carcinoma."""


def mosaic(seed: int, name: str, *, shape: Shape = (1500, 2000)) -> Picture:
    """Draw a grey mosaic (rows, columns) of a class of `CLASSES`, without the word SYNTHETIC.

    A tile is drawn at a time, so that 8000 x 8000 pixels need little more memory than they fill. Part of the mosaic shows
    normal skin, and tiles at its rim may be missing, which leaves black. Raises `KeyError` for another name.
    """
    if name not in CLASSES:
        raise KeyError(f"no class {name!r} is drawn; known: {', '.join(CLASSES)}")
    root = (seed, tuple(CLASSES).index(name))
    random = np.random.default_rng(root)
    strength, gain, speckle = random.uniform(0.55, 1.0), random.uniform(0.75, 1.2), random.uniform(0.12, 0.26)
    plan = _plan(random, shape)
    picture = np.zeros(shape, np.uint8)
    down, across = (-(-side // TILE) for side in shape)
    for row in range(down):
        for column in range(across):
            rim = row in (0, down - 1) or column in (0, across - 1)
            if rim and min(down, across) > 2 and random.uniform() < 0.15:
                continue
            place = (slice(row * TILE, min((row + 1) * TILE, shape[0])), slice(column * TILE, min((column + 1) * TILE, shape[1])))
            part = _enlarged(plan, place)
            tile = _Tile(random=np.random.default_rng((*root, row, column)), shape=part.shape, strength=strength)
            picture[place] = _seen(tile, _drawn(tile, name, part), gain=gain, speckle=speckle)
    return picture


def _plan(random: np.random.Generator, shape: Shape) -> Field:
    """Where the lesion lies, 0..1, at a sixteenth of the size."""
    coarse = (-(-shape[0] // _COARSE) + 1, -(-shape[1] // _COARSE) + 1)
    y, x = np.mgrid[: coarse[0], : coarse[1]].astype(np.float32)
    centre = random.uniform(0.35, 0.65, 2) * coarse
    reach = random.uniform(0.34, 0.6) * min(coarse)
    distance = np.hypot(y - np.float32(centre[0]), x - np.float32(centre[1])) / np.float32(reach)
    return smoothstep(1 - distance + 0.5 * fractal_noise(random, coarse, max(min(coarse) / 3, 2.0), 3), -0.05, 0.1)


def _enlarged(plan: Field, place: tuple[slice, slice]) -> Field:
    rows, columns = place
    box = (columns.start / _COARSE, rows.start / _COARSE, columns.stop / _COARSE, rows.stop / _COARSE)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    return np.asarray(Image.fromarray(plan).resize(size, Image.Resampling.BILINEAR, box=box))


def _drawn(tile: _Tile, name: str, lesion: Field) -> Field:
    if lesion.max() == 0:
        return _normal_skin(tile)
    if lesion.min() == 1:
        return CLASSES[name](tile)
    return np.asarray(_normal_skin(tile) * (1 - lesion) + CLASSES[name](tile) * lesion, np.float32)


def _seen(tile: _Tile, picture: Field, *, gain: float, speckle: float) -> Picture:
    """Show the tile as the microscope would: of its own brightness, darker towards its corners, speckled, its edge a dark line."""
    y, x = np.mgrid[: tile.shape[0], : tile.shape[1]].astype(np.float32) / np.float32(TILE) - np.float32(0.5)
    picture = picture * np.float32(gain * tile.random.uniform(0.92, 1.08)) * (1 - 0.35 * (y * y + x * x))
    grain = blur(tile.random.standard_normal(tile.shape).astype(np.float32), 1)
    picture *= 1 + np.float32(3 * speckle) * grain
    seen = np.asarray(np.clip(picture, 10, 255), np.uint8)
    seen[:1], seen[:, :1] = 24, 24
    return seen

"""Draws pictures of nine skin diseases of which no real image may be had here: scale, papules, pustules, vessels.

They are synthetic: no photograph goes into them, and no dermatologist has looked at them. The same seed draws the same picture.
A network that tells them apart has learned these drawings and nothing of the diseases. Every picture bears the word SYNTHETIC,
which the nine classes share and photographs lack: one more reason why drawn and real classes never share a figure of merit.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageDraw

from derm_pacs.samples.draw import Colour, Picture
from derm_pacs.samples.noise import Field, Shape, blur, cell_borders, fractal_noise, smoothstep

_WHITE: Colour = (240, 232, 222)
_BLOOD: Colour = (172, 40, 46)
_PUS: Colour = (236, 220, 150)
_CRUST: Colour = (208, 160, 78)


class _Sheet:
    """A stretch of skin that is being drawn on; lengths are shares of its side."""

    def __init__(self, seed: int, side: int) -> None:
        self.random = np.random.default_rng(seed)
        self.side = side
        self.shape: Shape = (side, side)
        self.y, self.x = (axis / np.float32(side) for axis in np.mgrid[:side, :side].astype(np.float32))
        tone = self.between(0.82, 1.06)
        base = np.asarray((224, 176, 152), np.float32) * tone + self.random.normal(0, 3, 3)
        self.picture = np.broadcast_to(base.astype(np.float32), (side, side, 3)).copy()
        self.shade(0.06 * self.clouds(0.5, 4) + 0.05 * self.clouds(0.04, 2))

    def between(self, low: float, high: float) -> float:
        return float(self.random.uniform(low, high))

    def clouds(self, width: float, octaves: int) -> Field:
        return fractal_noise(self.random, self.shape, max(width * self.side, 2.0), octaves, 0.6)

    def mix(self, colour: Colour, share: Field) -> None:
        self.picture += (np.asarray(colour, np.float32) - self.picture) * np.clip(share, 0, 1)[..., None]

    def shade(self, change: Field) -> None:
        self.picture *= 1 + change[..., None]

    def place(self, margin: float = 0.15) -> tuple[float, float]:
        return self.between(margin, 1 - margin), self.between(margin, 1 - margin)

    def depth(self, centre: tuple[float, float], radius: float, ragged: float, flat: float = 1.0) -> Field:
        """How far inside a spot each place lies: 1 in its centre, 0 at its border, below 0 outside."""
        turn = self.between(0, np.pi)
        y, x = self.y - np.float32(centre[0]), self.x - np.float32(centre[1])
        along, across = x * np.cos(turn) + y * np.sin(turn), (y * np.cos(turn) - x * np.sin(turn)) / np.float32(flat)
        return np.asarray(1 - np.hypot(along, across) / np.float32(radius) + ragged * self.clouds(radius, 3), np.float32)

    def net(self, cell: float, warp: float = 0.4) -> tuple[Field, Field]:
        return cell_borders(self.random, self.shape, cell * self.side, warp=warp)

    def lines(self, count: int, length: float, width: float, *, branching: float = 0.5) -> Field:
        """Crooked lines anywhere on the sheet, 1 on the line."""
        sheet = Image.new("L", (self.side, self.side), 0)
        pen = ImageDraw.Draw(sheet)
        for _ in range(count):
            point = self.random.uniform(-0.1, 1.1, 2) * self.side
            heading = self.between(0, 2 * np.pi)
            track = [(float(point[0]), float(point[1]))]
            for _ in range(8):
                heading += self.random.normal(0, branching)
                point = point + np.array((np.cos(heading), np.sin(heading))) * length * self.side / 8
                track.append((float(point[0]), float(point[1])))
            pen.line(track, fill=255, width=max(1, round(width * self.side)))
        return blur(np.asarray(sheet, np.float32) / np.float32(255), 1)


def _lichen_planus(sheet: _Sheet) -> None:
    for _ in range(int(sheet.random.integers(4, 9))):
        depth = sheet.depth(sheet.place(), sheet.between(0.07, 0.17), 0.25, sheet.between(0.7, 1.0))
        sheet.mix((146, 88, 128), 0.8 * smoothstep(depth, -0.05, 0.12))
        borders, _ = sheet.net(0.05, warp=0.8)
        sheet.mix(_WHITE, 0.75 * smoothstep(borders, 0.16, 0.02) * smoothstep(depth, 0.05, 0.35))


def _rosacea(sheet: _Sheet) -> None:
    flush = smoothstep(sheet.depth((0.5, 0.5), sheet.between(0.5, 0.8), 0.5), -0.3, 0.5)
    sheet.mix((206, 92, 86), 0.6 * flush)
    sheet.mix(_BLOOD, 0.6 * flush * sheet.lines(int(sheet.random.integers(14, 26)), 0.5, 0.006))
    for _ in range(int(sheet.random.integers(1, 6))):
        depth = sheet.depth(sheet.place(), sheet.between(0.02, 0.045), 0.1)
        sheet.mix((190, 60, 58), 0.7 * smoothstep(depth, -0.2, 0.5))


def _viral_wart(sheet: _Sheet) -> None:
    depth = sheet.depth(sheet.place(0.35), sheet.between(0.2, 0.36), 0.15, sheet.between(0.75, 1.0))
    inside = smoothstep(depth, -0.02, 0.1)
    sheet.mix((214, 178, 140), 0.8 * inside)
    borders, value = sheet.net(sheet.between(0.06, 0.09), warp=0.2)
    sheet.shade(-0.35 * inside * smoothstep(borders, 0.22, 0.02))
    dots = smoothstep(borders, 0.55, 0.75) * (value > 0.3)
    sheet.mix((84, 22, 26), 0.85 * dots * smoothstep(depth, 0.1, 0.3))


def _acne(sheet: _Sheet) -> None:
    for number in range(int(sheet.random.integers(7, 15))):
        centre, radius = sheet.place(0.08), sheet.between(0.03, 0.07)
        depth = sheet.depth(centre, radius, 0.1)
        sheet.mix((196, 82, 76), 0.75 * smoothstep(depth, -0.5, 0.3))
        if number % 3 == 0:
            sheet.mix(_PUS, 0.85 * smoothstep(depth, 0.45, 0.65))
    for _ in range(int(sheet.random.integers(6, 16))):
        sheet.mix((62, 44, 38), 0.8 * smoothstep(sheet.depth(sheet.place(0.05), 0.014, 0.0), 0.0, 0.4))


def _keloid(sheet: _Sheet) -> None:
    depth = sheet.depth(sheet.place(0.4), sheet.between(0.38, 0.5), 0.12, sheet.between(0.3, 0.5))
    inside = smoothstep(depth, -0.03, 0.1)
    sheet.mix((202, 116, 112), 0.85 * inside)
    sheet.mix(_BLOOD, 0.35 * inside * sheet.lines(10, 0.4, 0.006, branching=0.25))
    sheet.mix(_WHITE, 0.5 * smoothstep(np.abs(depth - np.float32(sheet.between(0.45, 0.65))), 0.12, 0.0))
    sheet.shade(-0.25 * smoothstep(np.abs(depth), 0.08, 0.0))


def _eczema(sheet: _Sheet) -> None:
    area = smoothstep(sheet.depth(sheet.place(0.35), sheet.between(0.4, 0.6), 0.8), -0.4, 0.6)
    sheet.mix((206, 110, 92), 0.65 * area)
    for _ in range(int(sheet.random.integers(8, 18))):
        depth = sheet.depth(sheet.place(0.2), sheet.between(0.015, 0.04), 0.4)
        sheet.mix(_CRUST, 0.8 * area * smoothstep(depth, 0.0, 0.4))
    sheet.mix(_BLOOD, 0.6 * area * sheet.lines(int(sheet.random.integers(2, 6)), 0.25, 0.008, branching=0.08))


def _seborrheic_dermatitis(sheet: _Sheet) -> None:
    area = smoothstep(sheet.depth(sheet.place(0.35), sheet.between(0.4, 0.6), 0.6), -0.4, 0.5)
    sheet.mix((222, 134, 98), 0.55 * area)
    flakes = smoothstep(sheet.clouds(0.08, 3), 0.1, 0.3)
    sheet.mix((238, 214, 150), 0.8 * area * flakes)
    sheet.mix((70, 50, 40), 0.8 * sheet.lines(int(sheet.random.integers(6, 14)), 0.9, 0.008, branching=0.06))


def _psoriasis(sheet: _Sheet) -> None:
    depth = sheet.depth(sheet.place(0.35), sheet.between(0.32, 0.5), 0.2, sheet.between(0.7, 1.0))
    inside = smoothstep(depth, -0.01, 0.06)
    sheet.mix((208, 92, 84), 0.8 * inside)
    borders, value = sheet.net(0.045, warp=0.15)
    sheet.mix(_BLOOD, 0.8 * inside * smoothstep(borders, 0.5, 0.75) * (value > 0.2))
    sheet.mix((246, 242, 240), 0.9 * smoothstep(sheet.clouds(0.14, 4), 0.0, 0.25) * smoothstep(depth, 0.04, 0.2))


def _port_wine_stain(sheet: _Sheet) -> None:
    inside = smoothstep(sheet.depth(sheet.place(0.2), sheet.between(0.5, 0.75), 0.9), -0.02, 0.1)
    colour: Colour = (sheet.between(150, 200), sheet.between(64, 96), sheet.between(90, 118))
    sheet.mix(colour, (0.55 + 0.2 * sheet.clouds(0.2, 3)) * inside)
    borders, value = sheet.net(0.03, warp=0.6)
    sheet.mix((140, 24, 52), 0.5 * inside * smoothstep(borders, 0.45, 0.8) * (value > 0.45))


DISEASES: Mapping[str, Callable[[_Sheet], None]] = MappingProxyType({
    "lichen_planus": _lichen_planus,
    "rosacea": _rosacea,
    "viral_wart": _viral_wart,
    "acne": _acne,
    "keloid": _keloid,
    "eczema": _eczema,
    "seborrheic_dermatitis": _seborrheic_dermatitis,
    "psoriasis": _psoriasis,
    "port_wine_stain": _port_wine_stain,
})
"""What each of the nine classes of Zhu et al. (Front Med 2021) without real images here is drawn by."""


def dermatosis(seed: int, disease: str, *, side: int = 256) -> Picture:
    """Draw a square picture of a disease of `DISEASES`, RGB, without the word SYNTHETIC; raises `KeyError` for another name."""
    number = tuple(DISEASES).index(disease) if disease in DISEASES else None
    if number is None:
        raise KeyError(f"no disease {disease!r} is drawn; known: {', '.join(DISEASES)}")
    sheet = _Sheet(seed * len(DISEASES) + number, side)
    DISEASES[disease](sheet)
    light = 1 - sheet.between(0.05, 0.3) * np.hypot(sheet.y - np.float32(0.5), sheet.x - np.float32(0.5))
    noise = sheet.random.normal(0, 2.5, sheet.picture.shape)
    return np.asarray(np.clip(sheet.picture * light[..., None] + noise, 0, 255), np.uint8)

"""Draws pictures that look like dermoscopy, like a clinical photograph and like confocal microscopy.

They are synthetic: no photograph goes into them. The same seed draws the same picture.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from derm_pacs.samples.noise import Field, Shape, blur, cell_borders, fractal_noise, smoothstep, value_noise

Picture = NDArray[np.uint8]
"""(rows, columns, 3) RGB, or (rows, columns) grey."""
Colour = tuple[float, float, float]

_PATCH_SKIN: Colour = (226, 178, 156)
_DEEP_RED: Colour = (196, 92, 84)
_HAIR: Colour = (48, 32, 26)
_BLUE_GREY: Colour = (112, 118, 138)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """How a drawn lesion looks."""

    radius: float
    """Mean radius as a share of the picture's shorter side."""
    irregularity: float
    """Strength of the border's waves, 0 round, 0.4 ragged."""
    edge: float
    """Width of the passage from lesion to skin as a share of the radius."""
    pale: Colour
    dark: Colour
    network: float
    """Strength of the pigment network, 0..1."""
    globules: float
    """Share of cells that hold a dark globule."""
    blue_veil: float
    """Strength of a blue-grey area, 0..1."""
    asymmetry: float
    """How far the dark part lies from the centre, as a share of the radius."""


REGULAR = Lesion(
    radius=0.28, irregularity=0.07, edge=0.22, pale=(176, 116, 80), dark=(112, 66, 44), network=0.75, globules=0.12,
    blue_veil=0.0, asymmetry=0.12,
)  # fmt: skip
"""Round, evenly brown, a regular network: what a common naevus may look like."""

IRREGULAR = Lesion(
    radius=0.31, irregularity=0.24, edge=0.12, pale=(150, 92, 66), dark=(56, 34, 34), network=0.9, globules=0.3,
    blue_veil=0.8, asymmetry=0.45,
)  # fmt: skip
"""Ragged, of several colours, a blue-grey veil: what a melanoma may look like."""


def _mix(picture: Field, colour: Colour | Field, share: Field) -> Field:
    return np.asarray(picture + (np.asarray(colour, np.float32) - picture) * share[..., None], np.float32)


def _polar(shape: Shape, centre: tuple[float, float], tilt: float, flattening: float) -> tuple[Field, Field]:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    y, x = y - np.float32(centre[0] * shape[0]), x - np.float32(centre[1] * shape[1])
    along = x * np.cos(tilt) + y * np.sin(tilt)
    across = (y * np.cos(tilt) - x * np.sin(tilt)) / flattening
    return np.hypot(along, across).astype(np.float32), np.arctan2(across, along).astype(np.float32)


def _skin(generator: np.random.Generator, shape: Shape, base: Colour) -> Field:
    short = min(shape)
    picture = np.broadcast_to(np.asarray(base, np.float32), (*shape, 3)).copy()
    picture *= 1 + 0.07 * fractal_noise(generator, shape, short / 2, 5)[..., None]
    redness = smoothstep(fractal_noise(generator, shape, short / 4, 5, 0.6), 0.05, 0.6)
    picture = _mix(picture, _DEEP_RED, 0.22 * redness)
    borders, value = cell_borders(generator, shape, short / 26, warp=0.6)
    picture *= (1 - 0.045 * blur(smoothstep(borders, 0.12, 0.0), 1))[..., None]
    picture *= (1 + 0.035 * (value - 0.5))[..., None]
    grain = fractal_noise(generator, shape, 9, 3, 0.75)
    return np.asarray(picture * (1 + 0.085 * grain)[..., None], np.float32)


def _lesion(generator: np.random.Generator, picture: Field, lesion: Lesion, centre: tuple[float, float]) -> Field:
    shape = (picture.shape[0], picture.shape[1])
    short = min(shape)
    distance, angle = _polar(shape, centre, generator.uniform(0, np.pi), generator.uniform(0.8, 0.95))
    radius = np.full(shape, lesion.radius * short, np.float32)
    for wave in range(2, 9):
        strength = lesion.irregularity * generator.uniform(0.4, 1.0) / wave**0.7
        radius *= 1 + np.float32(strength) * np.cos(wave * angle + np.float32(generator.uniform(0, 2 * np.pi)))
    depth = 1 - distance / radius + 0.10 * fractal_noise(generator, shape, short / 12, 4)
    inside = smoothstep(depth, -lesion.edge / 2, lesion.edge / 2)
    lean = generator.uniform(0, 2 * np.pi)
    away = tuple(c + lesion.asymmetry * lesion.radius * s for c, s in zip(centre, (np.sin(lean), np.cos(lean)), strict=True))
    from_core, _ = _polar(shape, (away[0], away[1]), 0.0, 1.0)
    clouds = fractal_noise(generator, shape, short / 7, 5, 0.6)
    core = smoothstep(1.05 - from_core / (lesion.radius * short) + 0.7 * clouds, 0.1, 1.0)
    colour = _mix(np.broadcast_to(np.asarray(lesion.pale, np.float32), picture.shape), lesion.dark, core)
    colour *= 1 + 0.10 * fractal_noise(generator, shape, 14, 3, 0.7)[..., None]
    borders, value = cell_borders(generator, shape, short / 66, warp=0.7)
    patches = smoothstep(fractal_noise(generator, shape, short / 5, 4, 0.6), -0.25, 0.35)
    lines = blur(smoothstep(borders, 0.42, 0.02), 1) * (0.25 + 0.75 * patches) * smoothstep(depth, 0.0, 0.25)
    colour *= (1 - 0.40 * lesion.network * lines)[..., None]
    globules = smoothstep(borders, 0.15, 0.5) * (value < lesion.globules) * (1 - 0.6 * patches)
    colour *= (1 - 0.55 * blur(globules, 1))[..., None]
    veil = smoothstep(fractal_noise(generator, shape, short / 4, 4), 0.0, 0.4) * smoothstep(depth, 0.2, 0.5)
    colour = _mix(colour, _BLUE_GREY, lesion.blue_veil * veil * 0.75)
    return _mix(picture, colour, inside * np.float32(0.94))


def _hairs(
    generator: np.random.Generator, picture: Field, *, count: int, width: float, length: float, colour: Colour
) -> Field:
    rows, columns = picture.shape[:2]
    sheet = Image.new("L", (columns, rows), 0)
    pen = ImageDraw.Draw(sheet)
    steps = np.linspace(0, 1, 60)[:, None]
    trend = generator.uniform(0, np.pi)
    for _ in range(count):
        direction = trend + generator.normal(0, 0.45)
        start = generator.uniform((-0.1, -0.1), (1.1, 1.1)) * (columns, rows)
        reach = length * generator.uniform(0.6, 1.3) * min(rows, columns) * np.array((np.cos(direction), np.sin(direction)))
        bend = generator.normal(0, 0.13) * np.array((-reach[1], reach[0]))
        line = (1 - steps) ** 2 * start + 2 * steps * (1 - steps) * (start + reach / 2 + bend) + steps**2 * (start + reach)
        pen.line([(float(x), float(y)) for x, y in line], fill=255, width=max(1, round(width * generator.uniform(0.6, 1.2))))
    share = blur(np.asarray(sheet, np.float32) / np.float32(255), 1)
    shadow = blur(share, width)
    return _mix(picture * (1 - 0.16 * shadow)[..., None], colour, 0.82 * share)


def _bubbles(generator: np.random.Generator, picture: Field, count: int) -> Field:
    shape = (picture.shape[0], picture.shape[1])
    for _ in range(count):
        size = generator.uniform(0.008, 0.022) * min(shape)
        distance, angle = _polar(shape, (generator.uniform(0.08, 0.92), generator.uniform(0.08, 0.92)), 0.0, 1.0)
        ring = smoothstep(np.abs(distance - size), size * 0.22, 0.0)
        glint = smoothstep(np.abs(distance - 0.6 * size), size * 0.2, 0.0) * smoothstep(np.cos(angle - 4), 0.8, 1.0)
        picture = _mix(picture * (1 - 0.22 * ring)[..., None], (252, 250, 246), 0.8 * glint)
    return picture


def _finish(generator: np.random.Generator, picture: Field) -> Picture:
    noise = generator.normal(0, 2.2, picture.shape).astype(np.float32)
    return np.asarray(np.clip(picture + noise, 0, 255), np.uint8)


def _lens(shape: Shape, strength: float) -> Field:
    distance, _ = _polar(shape, (0.5, 0.5), 0.0, 1.0)
    return np.asarray(1 - strength * smoothstep(distance / np.float32(np.hypot(*shape) / 2), 0.35, 1.05), np.float32)


def dermoscopic(seed: int, lesion: Lesion, *, shape: Shape = (900, 1200), hairs: int = 6) -> Picture:
    """Draw a lesion as a dermatoscope with contact fluid shows it."""
    generator = np.random.default_rng(seed)
    picture = _skin(generator, shape, _PATCH_SKIN)
    centre = (generator.uniform(0.46, 0.54), generator.uniform(0.46, 0.54))
    picture = _lesion(generator, picture, lesion, centre)
    picture = _bubbles(generator, picture, 5)
    picture = _hairs(generator, picture, count=hairs, width=min(shape) / 170, length=0.6, colour=_HAIR)
    return _finish(generator, picture * _lens(shape, 0.42)[..., None])


def clinical(seed: int, lesion: Lesion, *, shape: Shape = (960, 1280)) -> Picture:
    """Draw a stretch of a limb with a small lesion, as a hand-held camera shows it."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    across = (y / shape[0] - 0.5 - 0.16 * (x / shape[1] - 0.5)) / np.float32(0.40)
    across += 0.03 * value_noise(generator, shape, shape[1] / 2)
    limb = smoothstep(np.abs(across), 1.0, 0.985)
    round_light = np.sqrt(np.clip(1 - (0.93 * across + 0.12) ** 2, 0, 1))
    skin = _skin(generator, shape, (218, 166, 140)) * (0.42 + 0.62 * round_light)[..., None]
    small = Lesion(**{name: getattr(lesion, name) for name in lesion.__slots__} | {"radius": 0.055, "network": 0.2, "globules": 0.0})
    skin = _lesion(generator, skin, small, (0.5, generator.uniform(0.44, 0.56)))
    for _ in range(9):
        freckle, _ = _polar(shape, (generator.uniform(0.25, 0.75), generator.uniform(0.05, 0.95)), 0.0, 1.0)
        size = generator.uniform(0.004, 0.009) * shape[0]
        skin = _mix(skin, (150, 98, 72), generator.uniform(0.3, 0.6) * smoothstep(freckle, size, size * 0.4))
    skin = _hairs(generator, skin, count=110, width=1.0, length=0.11, colour=(104, 74, 58))
    cloth = np.broadcast_to(np.asarray((86, 116, 122), np.float32), skin.shape)
    weave = 0.05 * np.sin(x * 0.9) * np.sin(y * 0.9) + 0.10 * fractal_noise(generator, shape, 220, 4)
    cloth = cloth * (1 + weave - 0.4 * smoothstep(np.abs(across), 1.25, 1.0))[..., None]
    return _finish(generator, _mix(np.asarray(cloth, np.float32), np.clip(skin, 0, 255), limb) * _lens(shape, 0.2)[..., None])


def confocal(seed: int, *, side: int = 1000) -> Picture:
    """Draw a grey honeycomb of bright cell borders and dark cells, put together from tiles like a confocal mosaic."""
    generator = np.random.default_rng(seed)
    shape = (side, side)
    borders, value = cell_borders(generator, shape, side / 55, warp=0.55, jitter=0.8)
    membrane = smoothstep(borders, 0.26, 0.03)
    nucleus = smoothstep(borders, 0.40, 0.75)
    picture = 52 + 92 * membrane - 22 * nucleus + 22 * (value - 0.5)
    bright = smoothstep(fractal_noise(generator, shape, side / 3, 5, 0.6), 0.0, 0.5)
    picture += 26 * bright + 55 * (value > 0.985) * smoothstep(borders, 0.1, 0.3)
    ridges, _ = cell_borders(generator, shape, side / 5, warp=0.5)
    picture *= 1 - 0.5 * smoothstep(ridges, 0.10, 0.0)
    picture *= 1 + 0.22 * fractal_noise(generator, shape, 7, 3, 0.8)
    tiles = 4
    y, x = np.mgrid[:side, :side].astype(np.float32) * np.float32(tiles / side)
    steps = generator.uniform(0.94, 1.06, (tiles, tiles)).astype(np.float32)
    picture *= steps[y.astype(int), x.astype(int)] * (1 - 0.10 * np.hypot(y % 1 - 0.5, x % 1 - 0.5))
    return _finish(generator, picture)


def out_of_focus(picture: Picture, radius: float) -> Picture:
    """Return the picture as a lens focused elsewhere shows it: smoothed over about `radius` pixels."""
    channels = [blur(picture[..., channel].astype(np.float32), radius) for channel in range(3)]
    return np.asarray(np.clip(np.stack(channels, axis=-1), 0, 255), np.uint8)

"""Pictures that show no skin, to find out how many of them a quality gate lets through.

Cut from the photographs that scikit-image and scikit-learn bring along (read where they are installed, never copied), or drawn:
textures, documents, screens. People are left out: their faces are skin. The same seed gives the same pictures.
"""

from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Picture = NDArray[np.uint8]
Random = np.random.Generator

ROWS, COLUMNS = 450, 600
"""Size of every picture: that of HAM10000's."""

_SKIN_TONES = ((222, 176, 158), (201, 148, 128), (170, 116, 92), (130, 92, 67), (96, 65, 52))
_WORDS = ("report", "finding", "lesion", "patient", "date", "image", "method", "result", "table", "figure", "value", "signed",
          "page", "list", "note", "order", "total")  # fmt: skip

_PHOTOGRAPHS = (
    ("skimage", "coffee.png"), ("skimage", "chelsea.png"), ("skimage", "rocket.jpg"), ("skimage", "motorcycle_left.png"),
    ("skimage", "hubble_deep_field.jpg"), ("sklearn", "china.jpg"), ("sklearn", "flower.jpg"),
)  # fmt: skip
_MEDICAL = (("skimage", "ihc.png"), ("skimage", "retina.jpg"))
_GREY = (("skimage", "brick.png"), ("skimage", "grass.png"), ("skimage", "gravel.png"), ("skimage", "moon.png"),
         ("skimage", "coins.png"))  # fmt: skip
_FOLDERS = {"skimage": "data", "sklearn": "datasets/images"}


def pictures(count: int, seed: int) -> Iterator[tuple[str, Picture]]:
    """Draw `count` pictures (ROWS, COLUMNS, 3) with their kinds, as many of each kind as its share of 20 says."""
    for place in range(count):
        kind = _SHARES[place % len(_SHARES)]
        yield kind, _KINDS[kind](np.random.default_rng((seed, place)))


def _cut(random: Random, picture: Picture) -> Picture:
    """Return a part of 0.5 to 1 of what fits into the picture in our proportions, turned over at random."""
    height, width = picture.shape[:2]
    scale = min(height / ROWS, width / COLUMNS) * random.uniform(0.5, 1.0)
    rows, columns = max(1, int(ROWS * scale)), max(1, int(COLUMNS * scale))
    top, left = random.integers(0, height - rows + 1), random.integers(0, width - columns + 1)
    part = Image.fromarray(picture[top : top + rows, left : left + columns])
    whole = np.asarray(part.resize((COLUMNS, ROWS), Image.Resampling.LANCZOS))
    return np.ascontiguousarray(whole[:, ::-1] if random.random() < 0.5 else whole)


def _photograph(random: Random) -> Picture:
    return _cut(random, _read(*_PHOTOGRAPHS[random.integers(len(_PHOTOGRAPHS))]))


def _other_medicine(random: Random) -> Picture:
    return _cut(random, _read(*_MEDICAL[random.integers(len(_MEDICAL))]))


def _tinted(random: Random) -> Picture:
    """Colour a grey photograph between black and a colour, which is a tone of skin in half of the cases."""
    grey = _cut(random, _read(*_GREY[random.integers(len(_GREY))]))[..., :1] / 255
    light = np.array(_tone(random) if random.random() < 0.5 else random.integers(120, 256, 3))
    return _bytes(light * (0.15 + 0.85 * grey))


def _drawn_texture(random: Random) -> Picture:
    """Clouds, grain or stripes around a tone of skin: hardest to tell by colour alone."""
    noise = np.zeros((ROWS, COLUMNS))
    for cells in (3, 9, 27, 81):
        coarse = random.normal(size=(cells, cells)).astype(np.float32)
        noise += np.asarray(Image.fromarray(coarse).resize((COLUMNS, ROWS), Image.Resampling.BICUBIC)) / cells**0.5
    if random.random() < 0.5:
        waves = random.uniform(5, 40)
        noise += np.sin(np.linspace(0, 2 * np.pi * waves, COLUMNS))[None] * random.uniform(0.5, 2)
    noise += random.normal(0, random.uniform(0.05, 0.6), noise.shape)
    return _bytes(np.array(_tone(random)) * (1 + 0.12 * noise[..., None]))


def _document(random: Random) -> Picture:
    paper = tuple(int(value) for value in random.integers(225, 256, 3))
    page = Image.new("RGB", (COLUMNS, ROWS), paper)
    draw = ImageDraw.Draw(page)
    line = int(random.integers(14, 30))
    for top in range(20, ROWS - line, line):
        words = " ".join(random.choice(_WORDS, int(random.integers(3, 14))))
        if random.random() < 0.9:
            draw.text((30, top), words, fill=(20, 20, 30), font_size=line * 0.7)
    for _ in range(int(random.integers(0, 4))):
        left, top = int(random.integers(0, COLUMNS - 120)), int(random.integers(0, ROWS - 80))
        draw.rectangle((left, top, left + 110, top + 70), outline=(30, 30, 30), width=2)
    return _photographed(random, page)


def _screen(random: Random) -> Picture:
    ground = tuple(int(value) for value in random.integers(0, 256, 3))
    screen = Image.new("RGB", (COLUMNS, ROWS), ground)
    draw = ImageDraw.Draw(screen)
    for _ in range(int(random.integers(3, 9))):
        left, top = int(random.integers(0, COLUMNS - 150)), int(random.integers(0, ROWS - 110))
        right, bottom = left + int(random.integers(100, 400)), top + int(random.integers(80, 300))
        colour = tuple(int(value) for value in random.integers(0, 256, 3))
        draw.rectangle((left, top, right, bottom), fill=colour)
        draw.rectangle((left, top, right, top + 18), fill=(40, 60, 110))
        draw.text((left + 8, top + 2), str(random.choice(_WORDS)), fill=(250, 250, 250), font_size=12)
        for row in range(top + 26, min(bottom, ROWS) - 12, 16):
            draw.text((left + 10, row), " ".join(random.choice(_WORDS, 5)), fill=(230, 230, 230), font_size=11)
    return _photographed(random, screen)


def _photographed(random: Random, page: Image.Image) -> Picture:
    """Turn it a little, soften it and let the light fall off, as a camera would show it."""
    turned = page.rotate(random.uniform(-8, 8), resample=Image.Resampling.BICUBIC, fillcolor=(90, 85, 80))
    soft = np.asarray(turned.filter(ImageFilter.GaussianBlur(random.uniform(0, 1))), dtype=np.float64)
    light = np.linspace(random.uniform(0.7, 1), random.uniform(0.7, 1), COLUMNS)[None, :, None]
    return _bytes(soft * light + random.normal(0, 3, soft.shape))


def _tone(random: Random) -> tuple[int, int, int]:
    return _SKIN_TONES[random.integers(len(_SKIN_TONES))]


def _bytes(values: NDArray[np.floating]) -> Picture:
    rounded: Picture = np.clip(values, 0, 255).round().astype(np.uint8)
    return rounded


@cache
def _read(package: str, name: str) -> Picture:
    """Read a picture that the package brings along; raises ModuleNotFoundError or FileNotFoundError naming it."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"the pictures come with the package {package}", name=package)
    with Image.open(Path(spec.origin).parent / _FOLDERS[package] / name) as picture:
        return np.asarray(picture.convert("RGB"))


_KINDS: dict[str, Callable[[Random], Picture]] = {
    "photograph": _photograph,
    "other medicine": _other_medicine,
    "tinted texture": _tinted,
    "drawn texture": _drawn_texture,
    "document": _document,
    "screen": _screen,
}
_SHARES = tuple(
    kind
    for kind, share in (
        ("photograph", 7), ("other medicine", 3), ("tinted texture", 3), ("drawn texture", 2), ("document", 2), ("screen", 3),
    )
    for _ in range(share)
)  # fmt: skip

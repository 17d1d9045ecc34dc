"""Writes drawn pictures as a set to learn from: PNG files that say SYNTHETIC, and the table that training reads."""

import csv
import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from derm_pacs.samples.draw import Picture

WORD = "SYNTHETIC"
COLUMNS = ("path", "label", "mask", "lesion_id", "source", "dataset", "split", "licence", "width", "height", "note", "sha256")
_NOTE = "SYNTHETIC: drawn by a program, shows no patient"
_VALIDATION_EVERY = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A drawn picture, its class, and the seed that draws it again."""

    label: str
    seed: int
    picture: Picture


def stamped(picture: Picture) -> Image.Image:
    """Return the picture with the word SYNTHETIC in its lower left corner, a fortieth of the shorter side high but legible."""
    image = Image.fromarray(picture)
    size = max(10, min(picture.shape[:2]) // 40)
    pen = ImageDraw.Draw(image)
    place = (size // 2, picture.shape[0] - 2 * size)
    white = 255 if picture.ndim == 2 else (255, 255, 255)
    dark = 0 if picture.ndim == 2 else (0, 0, 0)
    pen.text(place, WORD, fill=white, font_size=size, stroke_width=1, stroke_fill=dark)
    return image


def png(image: Image.Image) -> bytes:
    """Return the image as PNG whose text chunks say that it is drawn."""
    text = PngInfo()
    text.add_text("Title", WORD)
    text.add_text("Description", _NOTE)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=text)
    return buffer.getvalue()


def split_of(number: int) -> str:
    """Return the split of the class's picture of that number: each fifth is for validation, whatever the count."""
    return "val" if number % _VALIDATION_EVERY == _VALIDATION_EVERY - 1 else "train"


def write_set(folder: Path, dataset: str, drawn: Iterable[Drawn]) -> int:
    """Write `LABEL/SEED.png` and `MANIFEST.csv` into `folder`, which is made where it is missing; return the number of pictures.

    Pictures are drawn one at a time as they are written. A picture's number, which decides its split, is its seed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = 0
    with (folder / "MANIFEST.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        table.writeheader()
        for one in drawn:
            data = png(stamped(one.picture))
            path = Path(one.label) / f"{one.seed:05}.png"
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_bytes(data)
            height, width = np.shape(one.picture)[:2]
            table.writerow({
                "path": path.as_posix(), "label": one.label, "mask": "", "lesion_id": f"{one.label}-{one.seed:05}",
                "source": "drawn by a program", "dataset": dataset, "split": split_of(one.seed), "licence": "Apache-2.0",
                "width": width, "height": height, "note": _NOTE, "sha256": hashlib.sha256(data).hexdigest(),
            })  # fmt: skip
            written += 1
    return written

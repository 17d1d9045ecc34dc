"""A set of pictures with skin masks, written from a table of pictures of which only the lesion is drawn.

`python -m derm_training.learning.skin_set MANIFEST.csv FOLDER` writes FOLDER/MANIFEST.csv, which `derm-pacs bundles train` reads: every
masked picture of the table with the skin that `skin_labels.skin_around` marks, and of each a composed picture, of which the skin is
known. Train on it with the maps lesion and skin; what is learned of skin is learned from made masks, and is to be called so.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from derm_training.learning.set_folder import table_of_set
from derm_training.learning.skin_labels import composed_batch, skin_around
from derm_training.tables.manifest import masked_rows, read_mask, read_rgb, read_table, write_table
from derm_training.tables.rows import Row
from derm_training.tables.selection import SYNTHETIC

COMPOSED = f"{SYNTHETIC}, composed from"
"""How the name of a set of composed pictures begins; the set that they are composed from follows. Their skin is drawn, so `synthetic`
keeps them from being measured together with photographs."""

_LONGER_SIDE = 320
_TOGETHER = 16
"""Pictures of which one may stand beside another."""


def write_set(table: Path, folder: Path, *, seed: int, most: int | None = None) -> Path:
    """Write the set and return its table; `most` limits the pictures of each split. The same seed writes the same pictures.

    Raises ValueError where `folder` is the table's own.
    """
    made = table_of_set(table, folder)
    rows: list[Row] = []
    read = read_table(table)
    generator = torch.Generator().manual_seed(seed)
    for split in ("train", "val"):
        own = masked_rows(read, split)[:most]
        for first in range(0, len(own), _TOGETHER):
            rows += _written(own[first : first + _TOGETHER], folder / split, first, generator)
    write_table(made, rows)
    return made


def _written(own: Sequence[Row], folder: Path, first: int, generator: torch.Generator) -> Iterator[Row]:
    """Write the skin of a few rows and their composed pictures, and yield both kinds of rows."""
    pictures = [_shrunk(row) for row in own]
    for number, (row, (image, lesion)) in enumerate(zip(own, pictures, strict=True), first):
        yield replace(row, skin=_write_mask(skin_around(image, lesion), folder / f"{number:05d}-skin.png", _size(row)))
    images, lesions = _one_size(pictures)
    made, masks = composed_batch(images, lesions, generator, share=1.0)
    for number, (row, image, both) in enumerate(zip(own, made, masks, strict=True), first):
        file = folder / f"{number:05d}-composed.jpg"
        Image.fromarray((image.permute(1, 2, 0) * 255).round().byte().numpy()).save(file, quality=92)
        size = (image.shape[2], image.shape[1])
        yield replace(
            row,
            image=file,
            mask=_write_mask(both[:1], folder / f"{number:05d}-composed-lesion.png", size),
            skin=_write_mask(both[1:], folder / f"{number:05d}-composed-skin.png", size),
            dataset=f"{COMPOSED} {row.dataset}",
        )


def _shrunk(row: Row) -> tuple[Tensor, Tensor]:
    if row.mask is None:
        raise ValueError(f"{row.image} has no mask of the lesion")
    image, mask = Image.fromarray(read_rgb(row.image)), Image.fromarray(read_mask(row.mask) * 255)
    scale = _LONGER_SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    pixels = np.array(image.resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC))
    inside = np.array(mask.resize(size, Image.Resampling.BOX))
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255, torch.from_numpy(inside)[None].float() / 255


def _one_size(pictures: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Bring pictures to 320 x 240, as cameras and the network see them."""
    size = (_LONGER_SIDE * 3 // 4, _LONGER_SIDE)
    images, masks = (
        torch.cat(
            [torch.nn.functional.interpolate(one[None], size, mode="bilinear", antialias=True) for one in several]
        )
        for several in zip(*pictures, strict=True)
    )
    return images, masks


def _size(row: Row) -> tuple[int, int]:
    with Image.open(row.image) as picture:
        return picture.size


def _write_mask(mask: Tensor, file: Path, size: tuple[int, int]) -> Path:
    """Write (1, H, W) as a 1-bit PNG of `size` (width, height), which is the picture's."""
    file.parent.mkdir(parents=True, exist_ok=True)
    inside = Image.fromarray((mask[0] >= 0.5).byte().numpy() * 255).resize(size, Image.Resampling.NEAREST)
    inside.convert("1").save(file)
    return file


def main() -> None:
    """Write the set and print the path of its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=4)
    arguments = parser.parse_args()
    print(write_set(arguments.table, arguments.folder, seed=arguments.seed))  # noqa: T201 - the command's answer


if __name__ == "__main__":
    main()

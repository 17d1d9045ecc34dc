"""`derm-pacs samples`: drawn pictures to train and to try with, where no real ones may be had."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from derm_pacs.cli.exit_codes import CommandError, ExitCode
from derm_pacs.samples.dermatoses import DISEASES, dermatosis
from derm_pacs.samples.mosaics import CLASSES, mosaic
from derm_pacs.samples.picture_set import Drawn, write_set

_SMALLEST, _LARGEST = 64, 8192

Out = Annotated[Path, typer.Option("--out", help="The folder to write into: a PNG for each picture, and MANIFEST.csv, which training reads.")]
Count = Annotated[int, typer.Option("--count", min=5, max=100_000, help="Pictures of each class; each fifth is kept aside (split val).")]
Rows = Annotated[int, typer.Option("--rows", min=_SMALLEST, max=_LARGEST, help="Height of a mosaic in pixels.")]
Columns = Annotated[int, typer.Option("--columns", min=_SMALLEST, max=_LARGEST, help="Width of a mosaic in pixels.")]
Side = Annotated[int, typer.Option("--side", min=_SMALLEST, max=_LARGEST, help="Side of a picture in pixels.")]


def mosaics(*, out: Out, count: Count = 30, rows: Rows = 1152, columns: Columns = 1152) -> None:
    """Draw confocal mosaics of naevi, melanomas and basal cell carcinomas.

    They are synthetic and say so, in the picture, in the file and in the table. The same count draws the same pictures.

    Examples:

        derm-pacs samples mosaics --out mosaics --count 30
    """
    _write(out, "synthetic RCM", (
        Drawn(label=name, seed=seed, picture=mosaic(seed, name, shape=(rows, columns))) for seed in range(count) for name in CLASSES
    ))  # fmt: skip


def dermatoses(*, out: Out, count: Count = 60, side: Side = 256) -> None:
    """Draw pictures of nine skin diseases, those of the fourteen of which no real image may be had here.

    They are synthetic and say so, in the picture, in the file and in the table. The same count draws the same pictures.

    Examples:

        derm-pacs samples dermatoses --out drawn --count 60
    """
    _write(out, "synthetic dermatoses", (
        Drawn(label=name, seed=seed, picture=dermatosis(seed, name, side=side)) for seed in range(count) for name in DISEASES
    ))  # fmt: skip


def _write(out: Path, dataset: str, drawn: Iterator[Drawn]) -> None:
    try:
        number = write_set(out, dataset, drawn)
    except OSError as error:
        raise CommandError(ExitCode.USAGE, f"{out}: {error.strerror}", "name a folder that can be written") from error
    print(f"{out / 'MANIFEST.csv'}: {number} SYNTHETIC pictures")

"""The golden inputs of a bundle, run as any image is: what the bundle promises is measured again."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from derm_pacs.domain.bundle import GoldenInput
from derm_pacs.domain.findings import Classification, Outcome, Refusal, Segmentation
from derm_pacs.inference.analyse import LoadedBundle, analyse_pixels, area_fraction
from derm_pacs.inference.messages import GoldenFigures, RefusalAnswer
from derm_pacs.inference.pixels import Pixels


def figures(bundle: LoadedBundle, folder: Path, *, max_pixels: int) -> list[GoldenFigures]:
    """Measure all golden inputs of the bundle in `folder`."""
    return [_figures(bundle, folder, one, max_pixels) for one in bundle.description.golden]


def _figures(bundle: LoadedBundle, folder: Path, golden: GoldenInput, max_pixels: int) -> GoldenFigures:
    pixels = _picture((folder / golden.file).read_bytes(), max_pixels)
    found: dict[str, float] = {}
    for outcome in analyse_pixels(bundle, pixels):
        if isinstance(outcome, Refusal):
            return GoldenFigures(file=golden.file, figures={}, refusal=RefusalAnswer(reason=outcome.reason, detail=outcome.detail))
        found.update(_named(outcome))
    return GoldenFigures(file=golden.file, figures=found)


def _named(outcome: Outcome) -> dict[str, float]:
    if isinstance(outcome, Classification):
        return {one.class_id: one.probability for one in outcome.probabilities}
    if isinstance(outcome, Segmentation):
        return {f"{outcome.output}_area_fraction": area_fraction(outcome.mask)}
    return {}


def _picture(data: bytes, max_pixels: int) -> Pixels:
    """Read a PNG; only this format, because it is exact. Raises `ValueError` for any other or a too large one."""
    with Image.open(BytesIO(data), formats=("PNG",)) as picture:
        if picture.width * picture.height > max_pixels:
            raise ValueError(f"golden picture of {picture.width} x {picture.height} pixels")
        return np.asarray(picture.convert("L" if picture.mode == "L" else "RGB"))

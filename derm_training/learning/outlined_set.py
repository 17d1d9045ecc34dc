"""A set of pictures whose lesions a bundle has outlined, to train its successor on: pictures of a camera that has no masks by hand.

`python -m derm_training.learning.outlined_set TABLE FOLDER --bundle BUNDLE` writes FOLDER/MANIFEST.csv, which `derm-pacs bundles
train` reads: every row of TABLE, and with a mask those training pictures without one in which the bundle is sure of one region that
holds no corner of the picture, where a lens ends (Xie et al., "Self-training with Noisy Student", CVPR 2020). Masks of this kind are a network's word: train on
them, never judge by them. The pictures stand in sets of their own, all of them in the split train.
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track
from skimage.measure import label

from derm_networks.deeplabv3plus import enlarge
from derm_networks.mirrors import mean_of_mirrors
from derm_networks.regions import filled
from derm_networks.served import Picture, ServedBundle, open_bundle, prepare
from derm_training.learning.progress import console
from derm_training.learning.set_folder import table_of_set
from derm_training.tables.manifest import read_rgb, read_table, write_table
from derm_training.tables.rows import Row, counted
from derm_training.tables.selection import SYNTHETIC, synthetic

OUTLINED = "outlined"
"""How the name of a set of outlined pictures begins; the set that they are from follows. Before it stands what marks a drawn picture."""

_SURE = 0.7
_AGREED = 0.8
"""The share of the region that has to have at least the probability `_SURE`."""
_AREA = (0.005, 0.7)
"""Of the picture, the least and the largest region."""


def write_set(table: Path, folder: Path, bundle: ServedBundle) -> tuple[Path, dict[str, int]]:
    """Write the set; return its table and how many pictures were left without a mask for which reason.

    Raises ValueError where `folder` is the table's own.
    """
    made = table_of_set(table, folder)
    reasons: Counter[str] = Counter()
    rows = list(_outlined(read_table(table).rows, folder, bundle, reasons))
    write_table(made, rows)
    return made, dict(reasons)


def outline(picture: Picture, bundle: ServedBundle) -> NDArray[np.bool_] | str:
    """Return (height, width) of the one region of which the bundle is sure, or why there is none."""
    logits = mean_of_mirrors(bundle.network, prepare(picture, bundle.description["preprocessing"]))[:, :1].float()
    probability = torch.sigmoid(enlarge(logits, (picture.shape[0], picture.shape[1])))[0]
    region = filled(probability >= 0.5, "inside")[0]
    if not _AREA[0] <= region.mean() <= _AREA[1]:
        return "too little or too much was outlined"
    if label(region, connectivity=2).max() > 1:  # type: ignore[no-untyped-call]
        return "several regions"
    if region[[0, 0, -1, -1], [0, -1, 0, -1]].any():
        return "a corner was outlined"
    if (np.asarray(probability[0])[region] >= _SURE).mean() < _AGREED:
        return "border not sure"
    return np.asarray(region, dtype=np.bool_)


def _outlined(rows: Sequence[Row], folder: Path, bundle: ServedBundle, reasons: Counter[str]) -> Iterator[Row]:
    for number, row in enumerate(track(rows, "outlining", console=console(), transient=True)):
        if row.mask is not None or row.split != "train":
            yield row
            continue
        with torch.inference_mode():
            found = outline(read_rgb(row.image), bundle)
        if isinstance(found, str):
            reasons[found] += 1
            yield row
            continue
        file = folder / f"{number:05d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(found).save(file)
        yield replace(row, mask=file, dataset=f"{SYNTHETIC}, {OUTLINED} {row.dataset}" if synthetic(row) else f"{OUTLINED} {row.dataset}")


def main() -> None:
    """Write the set, and print the path of its table and what was left without a mask."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bundle", type=Path, required=True)
    arguments = parser.parse_args()
    made, reasons = write_set(arguments.table, arguments.folder, open_bundle(arguments.bundle))
    print(counted(str(made), reasons))  # noqa: T201 - the command's answer


if __name__ == "__main__":
    main()

"""What a training configuration names as its mosaics: windows cut from them to learn from, whole mosaics to judge by.

Every window bears the diagnosis of its mosaic, also one that shows normal skin: nobody has outlined the lesions. The network
learns that such windows say little, and the mosaic's call counts only the windows that say most.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from derm_networks.transforms import ResizeAntialiased
from derm_networks.windows import filled_windows
from derm_training.learning.augmentation import ViewSettings, random_views
from derm_training.learning.beginning import keep_table
from derm_training.learning.loaders import (
    Batch,
    Pictures,
    Split,
    divided,
    few,
    kept_rows,
    needed,
    of_kinds,
    photographs_alone,
)
from derm_training.learning.pictures import Bytes
from derm_training.learning.progress import tell
from derm_training.learning.sampling import Batches, drawing
from derm_training.tables.manifest import is_grey, read_rgb, read_table
from derm_training.tables.rows import Row, spelled
from derm_training.tables.usable import COLOURED


class WholeMosaics(Dataset[Batch]):
    """Mosaics of any size, one at a time: `image` (1, 1, H, W) uint8, `label` (1,)."""

    def __init__(self, rows: Sequence[Row], labels: Sequence[int]) -> None:
        self.rows = rows
        self.labels = labels
        self.datasets = [row.dataset for row in rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch:
        row = self.rows[index]
        image = torch.from_numpy(read_grey(row.image))[None, None]
        return {"image": image, "label": torch.tensor([self.labels[index]]), "dataset": [self.datasets[index]]}


class MosaicWindows:
    """Mosaics with a label: `training` and `validation` are the loaders, `batches` draws the former's.

    Windows of `side` pixels of the mosaic, overlapping by `overlap` and at most to `max_empty` empty, are kept at `pixels` x `pixels`,
    somewhat more than the network reads, so that random views have something to cut; `most` of a mosaic, drawn by `seed`. An epoch draws as many windows as there
    are, equally many of each class. Rows of other labels and pictures in colour are counted and left out. `pictures` takes only so many mosaics of each side, for a trial. The mosaics are written to
    `folder`/table.csv with the split in force.
    """

    def __init__(
        self,
        *,
        data: str | Path,
        classes: list[str],
        side: int,
        overlap: float,
        max_empty: float,
        pixels: int,
        most: int,
        batch: int,
        seed: int,
        folder: str | Path,
        split: Split = "lesion",
        pictures: int | None = None,
    ) -> None:
        table = read_table(Path(data))
        known = kept_rows(table, spelled(table.rows, classes), lambda row: row.label in classes, "of another label")
        rows = [row for row in known if is_grey(row.image)]
        if coloured := len(known) - len(rows):
            tell(f"left out: {coloured} {COLOURED}")
        needed(rows, classes, table)
        sides = divided(rows, split=split, seed=seed, where=table.path)
        train, val = (few(one, pictures) for one in sides)
        keep_table(Path(folder), [*train, *val], read=table.path)
        random = np.random.default_rng(seed)
        parts = [_cut(row, random, side=side, overlap=overlap, max_empty=max_empty, pixels=pixels, most=most) for row in train]
        owners = [row for row, windows in zip(train, parts, strict=True) for _ in windows]
        labels = [classes.index(row.label) for row in owners]
        self.batches = Batches(drawing(owners, labels, "class"), batch=batch, seed=seed)
        tell(f"training on {len(owners)} windows of {len(train)} mosaics{of_kinds(train)}")
        tell(f"judged on {len(val)} whole mosaics{of_kinds(val)}{photographs_alone(val)}")
        options: Mapping[str, Any] = {"collate_fn": _as_it_is, "num_workers": 0, "generator": torch.Generator()}
        windows = Pictures(owners, np.concatenate(parts), {"label": torch.tensor(labels)})
        self.training: DataLoader[Batch] = DataLoader(windows, batch_sampler=self.batches, **options)
        judged = WholeMosaics(val, [classes.index(row.label) for row in val])
        self.validation: DataLoader[Batch] = DataLoader(judged, batch_size=None, **{**options, "collate_fn": None})


class PrepareWindows:
    """A `prepare_batch` for training: random views of windows (N, 1, H, W) uint8, normalised.

    The augmentations of Ludzik et al.: random cropping (`zoom`), affine changes (rotation, `squash`, `shift`), linear contrast and
    brightness, flipping. No colour is touched, since there is none.
    """

    def __init__(
        self, *, height: int, width: int, mean: Sequence[float], std: Sequence[float], zoom: Sequence[float], squash: float, shift: float
    ) -> None:
        low, high = zoom
        self.settings = ViewSettings(
            height=height, width=width, zoom=(low, high), squash=squash, shift=shift, brightness=0.3, contrast=0.3,
            saturation=0.0, white_balance=0.0, blur_share=0.0,
        )  # fmt: skip
        self.mean, self.std = mean[0], std[0]
        self.generator = torch.Generator()

    def begin_epoch(self, epoch: int, seed: int) -> None:  # noqa: ARG002 - the seed says it all
        """Draw from `seed` from now on."""
        self.generator.manual_seed(seed)

    def __call__(
        self, batch: Mapping[str, Any], device: torch.device, *_: object, **__: object
    ) -> tuple[Tensor, dict[str, Any]]:
        """Return network input (N, 1, height, width) and targets on `device`."""
        grey = batch["image"].to(device).float() / 255
        views, _nothing = random_views(grey.expand(-1, 3, -1, -1), None, self.settings, self.generator)
        return (views[:, :1] - self.mean) / self.std, {"label": batch["label"].to(device)}


def keep_mosaics(
    batch: Mapping[str, Any], device: torch.device, *_: object, **__: object
) -> tuple[Tensor, dict[str, Any]]:
    """Return mosaics as they are, and their targets: a `prepare_batch` for validation, before `WindowInferer`."""
    return batch["image"].to(device), {"label": batch["label"].to(device), "dataset": batch["dataset"]}


def read_grey(file: Path) -> Bytes:
    """Return (height, width) uint8 of a grey picture."""
    return np.ascontiguousarray(read_rgb(file)[..., 0])


def _cut(
    row: Row, random: np.random.Generator, *, side: int, overlap: float, max_empty: float, pixels: int, most: int
) -> Bytes:
    grey = read_grey(row.image)
    resize = ResizeAntialiased(pixels, pixels)
    places = filled_windows(grey, side=side, overlap=overlap, max_empty=max_empty)
    chosen = random.permutation(len(places))[:most]
    windows = [resize(places[n].of(grey)[None]).round().clamp(0, 255).numpy().astype(np.uint8) for n in chosen]
    return np.stack(windows) if windows else np.empty((0, 1, pixels, pixels), np.uint8)


def _as_it_is(batch: Batch) -> Batch:
    return batch

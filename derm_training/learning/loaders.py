"""What a training configuration names as its images: a table becomes MONAI's data loaders of training and validation."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from derm_training.learning.beginning import keep_table
from derm_training.learning.pictures import Bytes, kept_masks, kept_pictures
from derm_training.learning.progress import tell
from derm_training.learning.sampling import Balance, Batches, drawing, rarer_more_often
from derm_training.tables.manifest import read_table
from derm_training.tables.masks import check_masks
from derm_training.tables.rows import Row, Table, counted, spelled
from derm_training.tables.selection import kinds, synthetic
from derm_training.tables.splits import by_image, by_lesion, leaks, paper
from derm_training.tables.usable import all_there, why_unusable

Split = Literal["lesion", "paper"]
Batch = dict[str, Any]
_MASKS = {"lesion": lambda row: row.mask, "skin": lambda row: row.skin}  # what a channel of a mask network may draw


class ClassesMissing(ValueError):
    """Some classes of the network have no image in the table."""


class Pictures(Dataset[Batch]):
    """Decoded images with their targets: `image` (N, 3, H, W) uint8, `number` (N,), `label` (N,) or `mask` (N, M, H, W) uint8 and `known`."""

    def __init__(self, rows: Sequence[Row], images: Bytes, targets: dict[str, Tensor | Bytes]) -> None:
        self.datasets = [row.dataset for row in rows]
        self.images = images
        self.targets = targets

    def __len__(self) -> int:
        return len(self.datasets)

    def digest(self) -> str:
        """Return the SHA-256 of all pictures."""
        return hashlib.sha256(np.ascontiguousarray(self.images).data).hexdigest()

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> Batch:
        """Return a whole batch."""
        batch: Batch = {
            "image": torch.from_numpy(self.images[indices]),
            "number": torch.tensor(indices),
            "dataset": [self.datasets[n] for n in indices],
        }
        for name, values in self.targets.items():
            batch[name] = values[indices] if isinstance(values, Tensor) else torch.from_numpy(values[indices])
        return batch


class ClassifiedImages:
    """Images with a label, for a classifier: `training` and `validation` are the loaders, `batches` draws the former's.

    `classes` are the labels in the order of the outputs; `same_as` maps labels of the table to labels of `classes` or of
    `other_classes`. Rows of other labels, and rows of `without_datasets`, are counted and left out, and so are datasets
    whose name ends in -full where the table also has the set without it: they repeat its images at full size.
    `other_classes` maps further labels to output numbers after the main ones, or to -1 for pictures on which only a teacher
    speaks: `other_batch` of them join each batch (see `ClassificationLoss`). `pictures` takes only so many of each side, for a trial. The rows are written to
    `folder`/table.csv with the split in force, so that an evaluation can judge by the same.
    """

    def __init__(
        self,
        *,
        data: str | Path,
        classes: list[str],
        height: int,
        width: int,
        batch: int,
        seed: int,
        folder: str | Path,
        split: Split = "lesion",
        balance: Balance = "none",
        same_as: dict[str, str] | None = None,
        other_classes: dict[str, int] | None = None,
        other_batch: int = 0,
        without_datasets: Sequence[str] = (),
        pictures: int | None = None,
    ) -> None:
        numbers = {label: number for number, label in enumerate(classes)}
        others = other_classes or {}
        known = numbers | others
        names = same_as or {}
        table = read_table(Path(data))
        rows = [replace(row, label=names.get(row.label, row.label)) for row in spelled(table.rows, [*known, *names])]
        rows = kept_rows(table, rows, lambda row: row.label in known, "of another label", without_datasets)
        needed(rows, classes, table)
        main = [row for row in rows if row.label in numbers]
        sides = divided(main, split=split, seed=seed, where=table.path)
        train, val = (few(side, pictures) for side in sides)
        if split == "paper":  # which has equally many of each class: sources on top would leave some of them out
            balance = "class"
        if balance == "source":  # judged as it is trained: where the source tells the diagnosis, a figure says little
            fair = drawing(val, [numbers[row.label] for row in val], balance, side="to judge by (split val)")(torch.Generator().manual_seed(seed))
            val = [val[number] for number in sorted(fair.tolist())]
        keep_table(Path(folder), [*train, *val], read=table.path)
        aside = [row for row in rows if other_batch and row.label in others and row.split in {"", "train"}]
        aside = few([row for row in aside if row.group not in {one.group for one in val}], pictures)
        drawn = [*train, *aside]
        labels = [known[row.label] for row in drawn]
        chosen = (torch.arange(len(train), len(drawn)), rarer_more_often(labels[len(train) :])) if aside else None
        self.batches = Batches(
            drawing(train, labels[: len(train)], balance),
            batch=batch, seed=seed, others=chosen, other_batch=min(other_batch, len(aside)),
        )
        tell(f"training on {_by_label(train)}; {self.batches.count} drawn in each epoch{f', beside {_by_label(aside)}' if aside else ''}")
        tell(f"judged on {_by_label(val)}{photographs_alone(val)}")
        size = (Path(folder) / "cache", height, width)
        self.training = _loader(_labelled(drawn, labels, *size), self.batches)
        self.validation = _loader(_labelled(val, [known[row.label] for row in val], *size), batch)


class MaskedImages:
    """Images with masks, for a segmentation network: every row of the table with the mask of one of `maps`.

    `maps` are the network's channels: lesion (the table's column mask) and skin (column skin). A row that has one of them
    teaches that one. `repeats` says how many times the images of a dataset come in an epoch. The rest as `ClassifiedImages`.
    """

    def __init__(
        self,
        *,
        data: str | Path,
        height: int,
        width: int,
        batch: int,
        seed: int,
        folder: str | Path,
        maps: Sequence[str] = ("lesion",),
        split: Split = "lesion",
        repeats: dict[str, int] | None = None,
        without_datasets: Sequence[str] = (),
        pictures: int | None = None,
    ) -> None:
        if unknown := sorted(set(maps) - set(_MASKS)):
            raise ValueError(f"maps names {', '.join(unknown)}; a map can be {' or '.join(_MASKS)}")
        table = read_table(Path(data))
        rows = kept_rows(table, table.rows, lambda row: any(_MASKS[one](row) for one in maps), "without a mask", without_datasets)
        if not rows:
            raise ValueError(f"{table.path} has no image with a mask: name one in the column mask")
        check_masks(table.path, ((row.image, _MASKS[one](row)) for row in rows for one in maps))
        sides = divided(rows, split=split, seed=seed, where=table.path, by_class=False)
        train, val = (few(side, pictures) for side in sides)
        keep_table(Path(folder), [*train, *val], read=table.path)
        self.batches = Batches(drawing(train, [0] * len(train), "none", repeats), batch=batch, seed=seed)
        tell(f"training on {len(train)} images with masks{of_kinds(train)}; {self.batches.count} drawn in each epoch")
        tell(f"judged on {len(val)} images with masks{of_kinds(val)}")
        size = (Path(folder) / "cache", height, width)
        self.training = _loader(_masked(train, maps, *size), self.batches)
        self.validation = _loader(_masked(val, maps, *size), batch)


def divided(rows: Sequence[Row], *, split: Split, seed: int, where: Path, by_class: bool = True) -> tuple[list[Row], list[Row]]:
    """Return the rows to learn from and those to judge by, and say how the split was made and what leaks by it.

    `lesion` takes the table's own split where it has one, otherwise makes one with whole lesions; `paper` ignores both and
    draws by image, `by_class` equally many of each. Raises ValueError if nothing is left on one side; rows of val or test alone
    are no images to learn from.
    """
    if split == "paper":
        parts = _drawn_by_image(rows, seed=seed, by_class=by_class)
    elif split != "lesion":
        raise ValueError(f"split is {split!r}; it can be lesion or paper")
    elif {"train", "val"} <= (given := {row.split for row in rows}):
        parts = rows
    elif "train" in given:
        parts = by_lesion([row for row in rows if row.split == "train"], seed=seed)
        tell(f"{where} has no row of split val: whole lesions of split train judge")
    elif given - {""}:
        raise ValueError(
            f"{where} has no image to learn from: the column split says {' or '.join(sorted(given - {''}))} in all {len(rows)} rows that can be used; "
            "write train there for the images to learn from, or leave the column empty for a split by lesion"
        )
    else:
        parts = by_lesion(rows, seed=seed)
        tell(f"{where} gives no split: made by lesion from seed {seed}")
    train = [row for row in parts if row.split == "train"]
    val = [row for row in parts if row.split == ("test" if split == "paper" else "val")]
    if not train or not val:
        raise ValueError(f"{where} leaves {len(train)} images to train and {len(val)} to judge by; both sides need some (column split)")
    found = leaks([*train, *val])
    if split == "paper" or found.leaked or found.unknown:
        tell(f"leak of the split: {found.sentence()}")
    return train, val


def _drawn_by_image(rows: Sequence[Row], *, seed: int, by_class: bool) -> Sequence[Row]:
    """Return the rows split at random by image, and say so, and whose split that is: of most bundles' papers it is not the one."""
    if by_class:
        made = paper(rows, seed=seed)
        counts = f"{made.per_class_train} of each class to train, {made.per_class_test} to test"
        tell(f"split at random by image, as in Ameri 2020 (there 900 and 100 of each class): {counts}")
        return made.rows
    parts = by_image(rows, seed=seed)
    test = sum(row.split == "test" for row in parts)
    tell(f"split at random by image, nine of ten to train: {len(parts) - test} to train, {test} to test")
    return parts


def few(rows: Sequence[Row], count: int | None) -> list[Row]:
    """Return at most `count` rows, for a trial: labels in turn, from the source with the most images first."""
    if count is None:
        return list(rows)
    sources = Counter((row.dataset, row.source) for row in rows)
    turns: Counter[tuple[str, str, str]] = Counter()
    keyed: list[tuple[tuple[Any, ...], Row]] = []
    for number, row in enumerate(rows):
        source = (row.dataset, row.source)
        turn = turns[(*source, row.label)]
        turns[(*source, row.label)] += 1
        keyed.append(((-sources[source], source, turn, row.label, number), row))
    return [row for _, row in sorted(keyed, key=lambda one: one[0])[:count]]


def kept_rows(
    table: Table, rows: Sequence[Row], wanted: Callable[[Row], bool], reason: str, without_datasets: Sequence[str] = ()
) -> list[Row]:
    """Return the rows that a training can use and wants, and tell how many are left out for which reason.

    Raises ValueError naming an image that is not there.
    """
    kept: list[Row] = []
    left: Counter[str] = Counter(table.left_out)
    for row, unusable in zip(rows, why_unusable(rows, without_datasets), strict=True):
        if unusable:
            left[unusable] += 1
        elif not wanted(row):
            left[reason] += 1
        else:
            kept.append(row)
    tell(counted(f"{table.path}: {len(kept)} images can be used", left))
    all_there(table.path, (row.image for row in kept))
    return kept


def needed(rows: Sequence[Row], classes: Sequence[str], table: Table) -> None:
    """Raise ClassesMissing naming the classes of which no row is."""
    if absent := [label for label in classes if label not in {row.label for row in rows}]:
        raise ClassesMissing(f"{table.path} has no image labelled {', '.join(absent)} (column label); the network tells apart {', '.join(classes)}")


def of_kinds(rows: Sequence[Row]) -> str:
    """Return how a line on these rows ends: whether they were drawn by a program (see `kinds`)."""
    return kinds([row.dataset for row in rows])


def photographs_alone(judging: Sequence[Row]) -> str:
    """Return what is to be said of the figure where both kinds judge a classifier (`measures.AreaUnderCurve`), else nothing."""
    return "; auc is of the photographs alone" if len({synthetic(row) for row in judging}) > 1 else ""


def _labelled(rows: Sequence[Row], labels: Sequence[int], cache: Path, height: int, width: int) -> Pictures:
    images = kept_pictures([row.image for row in rows], cache, height, width)
    return Pictures(rows, images, {"label": torch.tensor(labels)})


def _masked(rows: Sequence[Row], maps: Sequence[str], cache: Path, height: int, width: int) -> Pictures:
    images = kept_pictures([row.image for row in rows], cache, height, width)
    files = [[_MASKS[one](row) for row in rows] for one in maps]
    masks = np.concatenate([kept_masks(one, cache, height, width) for one in files], axis=1)
    known = torch.tensor([[file is not None for file in one] for one in files]).T
    return Pictures(rows, images, {"mask": masks, "known": known})


def _loader(pictures: Pictures, batches: Batches | int) -> DataLoader[Batch]:
    # a generator of its own, so that making an iterator draws nothing from torch's
    options: Mapping[str, Any] = {"collate_fn": _as_it_is, "num_workers": 0, "generator": torch.Generator()}
    if isinstance(batches, Batches):
        return DataLoader(pictures, batch_sampler=batches, **options)
    return DataLoader(pictures, batch_size=batches, shuffle=False, **options)


def _as_it_is(batch: Batch) -> Batch:
    return batch


def _by_label(rows: Sequence[Row]) -> str:
    counts = ", ".join(f"{count} {label}" for label, count in sorted(Counter(row.label for row in rows).items()))
    return counts + of_kinds(rows)

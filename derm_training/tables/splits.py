"""Which images train and which judge: whole lesions on one side, or as a paper split them, with what leaks by it."""

import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from derm_training.tables.rows import Row, by_group


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperSplit:
    """The rows of a split by image, with `split` train or test, and how many of each class there are on each side."""

    rows: tuple[Row, ...]
    per_class_train: int
    per_class_test: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaks:
    """How many judged images show a lesion that training sees too, and how many name no lesion, so that nobody knows."""

    judged: int
    leaked: int
    unknown: int

    def sentence(self) -> str:
        """Say it in a line."""
        told = f"{self.leaked} of {self.judged} judged images show a lesion that is also in training"
        return f"{told}; {self.unknown} name no lesion, so that a leak by them cannot be seen" if self.unknown else told


def by_lesion(rows: Sequence[Row], *, seed: int, val_share: float = 0.15) -> tuple[Row, ...]:
    """Return the rows with `split` train or val: lesions whole, the shares kept inside each dataset, source and label.

    The order of the rows plays no part. A lesion of several labels or sources counts with its first by name.
    """
    strata: dict[tuple[str, str, str], list[str]] = {}
    groups = by_group(rows)
    for group, members in groups.items():
        strata.setdefault(min((row.dataset, row.source, row.label) for row in members), []).append(group)
    judged: set[str] = set()
    owed = 0.0  # images by which the strata so far have less in val than they should
    for _, names in sorted(strata.items()):
        owed += val_share * sum(len(groups[name]) for name in names)
        for name in sorted(names, key=lambda one: _drawn(one, seed)):
            if len(groups[name]) > 2 * owed:  # further off with it than without
                continue
            judged.add(name)
            owed -= len(groups[name])
    return tuple(replace(row, split="val" if row.group in judged else "train") for row in rows)


def paper(rows: Sequence[Row], *, per_class_train: int = 900, per_class_test: int = 100, seed: int) -> PaperSplit:
    """Split at random by image, equally many of each class (Ameri, Tehran Univ Med J 2020;78(3):150-154).

    Where a class has fewer images than asked for, all classes shrink to what it has, in the same proportion.
    Raises ValueError where a class has fewer than two images.
    """
    present = Counter(row.label for row in rows)
    wanted = per_class_train + per_class_test
    available = min([wanted, *present.values()])
    if available < 2:
        raise ValueError(
            f"class {min(present, key=lambda label: present[label])} has fewer than two images, and nothing to split by image; "
            "add images of it, or take another split"
        )
    test = max(1, round(available * per_class_test / wanted))
    chosen: list[Row] = []
    for label in sorted(present):
        chosen += _sides([row for row in rows if row.label == label], available, test, f"{seed} {label}")
    return PaperSplit(rows=tuple(chosen), per_class_train=available - test, per_class_test=test)


def by_image(rows: Sequence[Row], *, seed: int, test_share: float = 0.1) -> tuple[Row, ...]:
    """Split all rows at random by image, in the proportion of `paper` and whatever they show: masks have no classes to balance.

    Raises ValueError where there are fewer than two.
    """
    if len(rows) < 2:
        raise ValueError("there are fewer than two images, and nothing to split by image; add images, or take another split")
    return _sides(rows, len(rows), max(1, round(len(rows) * test_share)), str(seed))


def leaks(rows: Sequence[Row]) -> Leaks:
    """Count the images outside of training whose lesion is also in training."""
    trained = {row.group for row in rows if row.split == "train"}
    judged = [row for row in rows if row.split != "train"]
    return Leaks(
        judged=len(judged),
        leaked=sum(row.group in trained for row in judged),
        unknown=sum(not row.lesion_known for row in judged),
    )


def _sides(rows: Sequence[Row], count: int, test: int, seed: str) -> tuple[Row, ...]:
    """Return `count` of the rows drawn by `seed`, the first `test` of them with `split` test, the others train; their order plays no part."""
    members = sorted(rows, key=lambda row: row.image.as_posix())
    drawn = random.Random(seed).sample(members, count)  # noqa: S311 - a draw by seed, no secret
    return tuple(replace(row, split="test" if number < test else "train") for number, row in enumerate(drawn))


def _drawn(group: str, seed: int) -> str:
    return hashlib.sha256(f"{seed} {group}".encode()).hexdigest()

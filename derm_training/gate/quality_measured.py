"""What a bundle's quality gate does: how much it lets through that it should not, and how much it refuses that is good.

Good are all validation pictures of a table; bad are as many pictures without skin and as many damaged validation pictures as
are asked for, the same for the same seed. The gate is handed in: this room does not know the service.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from derm_training.gate import not_skin
from derm_training.gate.degraded import degrade
from derm_training.measuring.statistics import wilson
from derm_training.tables.manifest import read_rgb
from derm_training.tables.rows import Row, Table
from derm_training.tables.selection import synthetic

Picture = NDArray[np.uint8]
Gate = Callable[[Picture], str]
"""Returns the code of the reason for which (height, width, 3) RGB is refused, empty where it is let through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """How many pictures of one kind the gate let through, with Wilson's 95 % interval of the share, and why it refused the others."""

    kind: str
    n: int
    passed: int
    low: float
    high: float
    reasons: dict[str, int]

    @property
    def share(self) -> float:
        """Share of the pictures that are let through."""
        return self.passed / self.n


@dataclass(frozen=True, slots=True, kw_only=True)
class GateMeasured:
    """The gate's doings: each tuple has the kinds in their order and, first, all of them together."""

    good: tuple[Passed, ...]
    not_skin: tuple[Passed, ...]
    degraded: tuple[Passed, ...]
    table: str
    """Name of the table's file or folder."""
    synthetic: bool
    """Whether a program drew the validation pictures, of which the damaged ones are made."""
    count: int
    """Pictures without skin, and as many damaged ones."""
    seed: int


def measure_gate(
    gate: Gate, table: Table, *, count: int = 500, seed: int = 0, told: Callable[[str], None] = lambda _: None
) -> GateMeasured:
    """Send good, skinless and damaged pictures through the gate; `told` hears how it goes on.

    Raises ValueError where the table has no validation pictures, and where some of them are photographs and some drawn.
    """
    rows = [row for row in table.rows if row.split == "val"]
    if not rows:
        raise ValueError(f"{table.path} has no rows of split val: there is nothing good to let through")
    by_program = _drawn_by_program(table, rows)
    told(f"{len(rows)} validation pictures")
    good = _passed("validation pictures", gate, ((row.dataset or "no dataset", read_rgb(row.image)) for row in rows))
    told(f"{count} pictures without skin")
    without = _passed("without skin", gate, not_skin.pictures(count, seed))
    told(f"{count} damaged validation pictures")
    damaged = _passed("damaged", gate, _damaged(rows, count, seed))
    name = table.path.resolve().name
    return GateMeasured(good=good, not_skin=without, degraded=damaged, table=name, synthetic=by_program, count=count, seed=seed)


def _drawn_by_program(table: Table, rows: list[Row]) -> bool:
    """Return whether a program drew the pictures; raises ValueError for some of both: they share no figure."""
    drawn = sum(synthetic(row) for row in rows)
    if 0 < drawn < len(rows):
        raise ValueError(
            f"{table.path} has {len(rows) - drawn} photographs and {drawn} pictures drawn by a program in its split val, which share no figure; "
            "measure each kind with a table of its own"
        )
    return drawn > 0


def _damaged(rows: list[Row], count: int, seed: int) -> Iterator[tuple[str, Picture]]:
    chosen = np.random.default_rng(seed).permutation(max(count, len(rows)))[:count] % len(rows)
    for place, row in enumerate(chosen):
        yield degrade(read_rgb(rows[int(row)].image), place, seed)


def _passed(everything: str, gate: Gate, pictures: Iterable[tuple[str, Picture]]) -> tuple[Passed, ...]:
    reasons: dict[str, Counter[str]] = {}
    for kind, picture in pictures:
        reasons.setdefault(kind, Counter())[gate(picture)] += 1
    total: Counter[str] = sum(reasons.values(), Counter())
    return (_counted(everything, total), *(_counted(kind, reasons[kind]) for kind in sorted(reasons)))


def _counted(kind: str, reasons: Counter[str]) -> Passed:
    n, passed = reasons.total(), reasons[""]
    low, high = wilson(passed / n, n)
    refused = {reason: number for reason, number in reasons.most_common() if reason}
    return Passed(kind=kind, n=n, passed=passed, low=low, high=high, reasons=refused)

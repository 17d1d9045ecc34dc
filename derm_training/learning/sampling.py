"""Which images make the batches of an epoch: drawn by seed and epoch alone, so that a resumed training draws the same."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.utils.data import Sampler

from derm_training.tables.rows import Row

Balance = Literal["none", "class", "source"]
Draw = Callable[[torch.Generator], Tensor]


def drawing(rows: Sequence[Row], labels: Sequence[int], balance: Balance, repeats: dict[str, int] | None = None, *, side: str = "to learn from") -> Draw:
    """Return what draws the row numbers of an epoch, in random order.

    * `none`: every row once, rows of a dataset named in `repeats` so many times.
    * `class`: as many draws as there are rows, each class equally often.
    * `source`: inside each dataset and source equally many of each class, as many as its rarest class has; a source with
      one class only is left out. So neither camera nor clinic says anything of the diagnosis.

    Raises ValueError if nothing is left to draw, with `side` in words, or for another balance.
    """
    if balance == "none":
        numbers = torch.tensor([n for n, row in enumerate(rows) for _ in range((repeats or {}).get(row.dataset, 1))])
        return lambda generator: numbers[torch.randperm(len(numbers), generator=generator)]
    if balance == "class":
        members = _members(labels, range(len(rows)))
        return lambda generator: _equally(members, -(-len(rows) // len(members)), generator)
    if balance == "source":
        strata: dict[tuple[str, str], list[int]] = {}
        for number, row in enumerate(rows):
            strata.setdefault((row.dataset, row.source), []).append(number)
        classes = [part for part in (_members(labels, numbers) for numbers in strata.values()) if len(part) > 1]
        if not classes:
            raise ValueError(
                f"no source has images {side} of more than one class; take --set balance=class, and expect the network to learn the source"
            )
        return lambda generator: _shuffled(
            torch.cat([_equally(part, min(map(len, part)), generator) for part in classes]), generator
        )
    raise ValueError(f"balance is {balance!r}; it can be none, class or source")


class Batches(Sampler[list[int]]):
    """Row numbers of each batch: `batch` from `draw`, and `other_batch` of `others`, which are drawn by their weights."""

    def __init__(
        self, draw: Draw, *, batch: int, seed: int, others: tuple[Tensor, Tensor] | None = None, other_batch: int = 0
    ) -> None:
        self.draw = draw
        self.others = others
        self.other_batch = other_batch if others is not None else 0
        self.count = len(draw(torch.Generator().manual_seed(seed)))
        self.batch = min(batch, self.count)
        self.epoch_seed = seed

    def begin_epoch(self, epoch: int, seed: int) -> None:  # noqa: ARG002 - the seed says it all
        """Draw from `seed` from now on."""
        self.epoch_seed = seed

    def __len__(self) -> int:
        return self.count // self.batch

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.epoch_seed)
        order = self.draw(generator)
        for start in range(0, len(self) * self.batch, self.batch):
            picked = order[start : start + self.batch].tolist()
            if self.others is not None and self.other_batch:
                numbers, weights = self.others
                picked += numbers[torch.multinomial(weights, self.other_batch, generator=generator)].tolist()
            yield picked


def rarer_more_often(labels: Sequence[int]) -> Tensor:
    """Return weights (N,) for drawing: by the inverse square root of how frequent a row's class is (-1 counts as one)."""
    numbers = torch.tensor(labels) + 1
    return torch.bincount(numbers)[numbers].double().rsqrt()


def _members(labels: Sequence[int], numbers: Sequence[int]) -> list[Tensor]:
    classes: dict[int, list[int]] = {}
    for number in numbers:
        classes.setdefault(labels[number], []).append(number)
    return [torch.tensor(classes[one]) for one in sorted(classes)]


def _equally(members: list[Tensor], count: int, generator: torch.Generator) -> Tensor:
    """`count` of each class; each of its images once before any comes again."""
    drawn = []
    for numbers in members:
        rounds = [_shuffled(numbers, generator) for _ in range(-(-count // len(numbers)))]
        drawn.append(torch.cat(rounds)[:count])
    return _shuffled(torch.cat(drawn), generator)


def _shuffled(numbers: Tensor, generator: torch.Generator) -> Tensor:
    return numbers[torch.randperm(len(numbers), generator=generator)]

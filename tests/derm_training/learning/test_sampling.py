"""Batches: what an epoch draws, balanced or not, by the seed alone."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from derm_training.learning.sampling import Batches, drawing, rarer_more_often
from derm_training.tables.rows import Row


def row(number: int, source: str, dataset: str = "D") -> Row:
    return Row(image=Path(f"{number}.jpg"), mask=None, label="", split="train", dataset=dataset, source=source, group=str(number))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 1)), min_size=1, max_size=60))
def test_balanced_by_source_no_source_says_anything_of_the_diagnosis(table: list[tuple[str, int]]) -> None:
    rows = [row(number, source) for number, (source, _) in enumerate(table)]
    labels = [label for _, label in table]
    present = Counter(table)
    mixed = {source for source, _ in table if present[(source, 0)] and present[(source, 1)]}
    if not mixed:
        with pytest.raises(ValueError, match="no source has images to learn from of more than one class"):
            drawing(rows, labels, "source")
        return
    drawn = drawing(rows, labels, "source")(generator()).tolist()
    assert len(set(drawn)) == len(drawn)
    found = Counter(table[number] for number in drawn)
    rarest = {source: min(present[(source, 0)], present[(source, 1)]) for source in mixed}
    assert found == {(source, label): count for source, count in rarest.items() for label in (0, 1)}


def test_balanced_by_class_each_class_comes_equally_often_and_no_image_twice_before_all_came() -> None:
    rows = [row(number, "a") for number in range(12)]
    drawn = Counter(drawing(rows, [0] * 9 + [1] * 3, "class")(generator()).tolist())
    assert sum(drawn[n] for n in range(9)) == sum(drawn[n] for n in range(9, 12)) == 6
    assert [drawn[n] for n in range(9, 12)] == [2, 2, 2]
    assert max(drawn[n] for n in range(9)) == 1


def test_unbalanced_every_image_comes_once_and_those_of_a_small_set_as_often_as_asked() -> None:
    rows = [row(0, "a"), row(1, "a"), row(2, "a", "small")]
    assert Counter(drawing(rows, [0, 0, 0], "none", {"small": 3})(generator()).tolist()) == {0: 1, 1: 1, 2: 3}


def test_an_unknown_balance_is_refused() -> None:
    with pytest.raises(ValueError, match="it can be none, class or source"):
        drawing([row(0, "a")], [0], "fair")  # type: ignore[arg-type]


def test_the_seed_of_an_epoch_decides_its_batches() -> None:
    made = Batches(drawing([row(n, "a") for n in range(20)], [0] * 20, "none"), batch=4, seed=1)
    made.begin_epoch(1, 11)
    first = list(made)
    made.begin_epoch(2, 12)
    second = list(made)
    made.begin_epoch(1, 11)
    assert list(made) == first != second
    assert len(first) == len(made) == 5
    assert sorted(number for batch in first for number in batch) == list(range(20))


def test_pictures_of_other_classes_join_each_batch_the_rarer_the_more_often() -> None:
    draw = drawing([row(n, "a") for n in range(40)], [0] * 40, "none")
    labels = [2] * 90 + [3] * 10
    made = Batches(draw, batch=8, seed=1, others=(torch.arange(100, 200), rarer_more_often(labels)), other_batch=4)
    batches = list(made)
    assert all(len(batch) == 12 and all(n >= 100 for n in batch[8:]) for batch in batches)
    weights = rarer_more_often(labels)
    assert float(weights[-1] / weights[0]) == pytest.approx(3.0)
    assert rarer_more_often([-1, -1]).tolist() == pytest.approx([0.5**0.5] * 2)


def test_fewer_images_than_a_batch_make_one_batch() -> None:
    made = Batches(drawing([row(n, "a") for n in range(3)], [0] * 3, "none"), batch=8, seed=1)
    assert [sorted(batch) for batch in made] == [[0, 1, 2]]

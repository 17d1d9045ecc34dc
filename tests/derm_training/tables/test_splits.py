"""Splits: whole lesions on one side whatever the table; a paper's split by image, with its leak counted."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derm_training.tables.rows import Row
from derm_training.tables.splits import by_image, by_lesion, leaks, paper


def row(number: int, *, label: str = "nevus", source: str = "a", lesion: str = "", split: str = "") -> Row:
    name = f"{number}.jpg"
    return Row(
        image=Path("/images") / name, mask=None, label=label, split=split, dataset="D", source=source, group=lesion or name,
        lesion_known=bool(lesion),
    )  # fmt: skip


tables = st.lists(
    st.tuples(st.sampled_from(["nevus", "melanoma"]), st.sampled_from(["a", "b"]), st.integers(0, 30)), max_size=80
).map(lambda drawn: [row(n, label=a, source=b, lesion=f"L{c}") for n, (a, b, c) in enumerate(drawn)])


@given(tables, st.integers(0, 1000))
def test_a_lesion_lies_on_one_side_and_the_order_of_rows_plays_no_part(rows: list[Row], seed: int) -> None:
    made = by_lesion(rows, seed=seed)
    assert {one.image for one in made} == {one.image for one in rows}
    sides = {one.group: {other.split for other in made if other.group == one.group} for one in made}
    assert all(len(split) == 1 for split in sides.values())
    assert leaks(made).leaked == 0
    shuffled = sorted(rows, key=lambda one: one.image.name[::-1])
    assert {one.image: one.split for one in by_lesion(shuffled, seed=seed)} == {one.image: one.split for one in made}


def test_the_shares_hold_inside_each_source_and_label() -> None:
    rows = [
        row(number, label=label, source=source, lesion=f"{label}{source}{number // 2}")
        for label, source, count in (("nevus", "a", 400), ("melanoma", "a", 40), ("melanoma", "b", 100))
        for number in range(count)
    ]
    judged = Counter((one.label, one.source) for one in by_lesion(rows, seed=1) if one.split == "val")
    assert judged[("nevus", "a")] == pytest.approx(60, abs=2)
    assert judged[("melanoma", "a")] == pytest.approx(6, abs=2)
    assert judged[("melanoma", "b")] == pytest.approx(15, abs=2)


def test_another_seed_judges_by_other_lesions() -> None:
    rows = [row(number) for number in range(100)]
    assert by_lesion(rows, seed=1) != by_lesion(rows, seed=2)
    assert by_lesion(rows, seed=1) == by_lesion(rows, seed=1)


def test_the_paper_takes_900_and_100_of_each_class_where_there_are_enough() -> None:
    rows = [row(n, label="nevus") for n in range(1500)] + [row(5000 + n, label="melanoma") for n in range(1000)]
    made = paper(rows, seed=3)
    assert (made.per_class_train, made.per_class_test) == (900, 100)
    assert Counter((one.label, one.split) for one in made.rows) == {
        ("nevus", "train"): 900, ("nevus", "test"): 100, ("melanoma", "train"): 900, ("melanoma", "test"): 100,
    }


def test_the_papers_split_shrinks_to_the_rarest_class_and_says_to_what() -> None:
    made = paper([row(n, label="melanoma" if n < 20 else "nevus") for n in range(200)], seed=3)
    assert (made.per_class_train, made.per_class_test) == (18, 2)
    assert Counter(one.label for one in made.rows) == {"melanoma": 20, "nevus": 20}


def test_one_image_of_a_class_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="class melanoma has fewer than two images, and nothing to split by image; add images of it"):
        paper([row(0, label="melanoma"), row(1), row(2)], seed=0)
    with pytest.raises(ValueError, match="there are fewer than two images"):
        by_image([row(0)], seed=0)


def test_without_classes_all_images_are_split_nine_to_one_whatever_they_show() -> None:
    rows = [row(n, label="" if n < 90 else "melanoma") for n in range(100)]
    made = by_image(rows, seed=3)
    assert Counter(one.split for one in made) == {"train": 90, "test": 10}
    assert set(made) == set(by_image(rows[::-1], seed=3)) != set(by_image(rows, seed=4))


def test_a_leak_counts_judged_images_and_those_of_which_nobody_can_know() -> None:
    rows = [
        row(0, lesion="L1", split="train"), row(1, lesion="L1", split="test"), row(2, lesion="L1", split="test"),
        row(3, lesion="L2", split="test"), row(4, split="test"),
    ]
    found = leaks(rows)
    assert (found.judged, found.leaked, found.unknown) == (4, 2, 1)
    assert "2 of 4 judged images show a lesion that is also in training; 1 name no lesion" in found.sentence()

"""Views that come again: the teacher is asked once about each, and what it said stays true of what is shown."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from derm_training.learning.augmentation import ViewSettings, random_views
from derm_training.learning.distillation import Teacher
from derm_training.learning.engine import PrepareViews
from derm_training.learning.loaders import Pictures
from derm_training.learning.recurring_views import RecurringViews, mixed_advice
from derm_training.tables.rows import Row

SETTINGS = ViewSettings(height=16, width=16)
CPU = torch.device("cpu")


class Counting:
    """Stands for a bundle as teacher: says how red and how blue a view is, and counts the views."""

    def __init__(self, identity: str = "counting 1") -> None:
        self.identity = identity
        self.order = [0, 1]
        self.asked = 0

    def __call__(self, views: Tensor) -> Tensor:
        self.asked += len(views)
        return views[:, [0, 2]].mean(dim=(2, 3))


def pictures(count: int = 6, seed: int = 1) -> Pictures:
    rows = [
        Row(image=Path(f"{number}.png"), mask=None, label="", split="", dataset="D", source="", group="") for number in range(count)
    ]
    images = np.random.default_rng(seed).integers(0, 256, (count, 3, 20, 24), dtype=np.uint8)
    return Pictures(rows, images, {"label": torch.arange(count) % 2})


def shown(recurring: RecurringViews, teacher: Counting, seed: int, settings: ViewSettings = SETTINGS) -> tuple[Tensor, Tensor]:
    batch = recurring.pictures.__getitems__([0, 3, 5, 3])
    generator = torch.Generator().manual_seed(seed)
    return recurring(batch["image"].float() / 255, batch["number"], cast(Teacher, teacher), settings, generator)


def test_a_teacher_is_asked_once_about_each_view_however_long_the_training(tmp_path: Path) -> None:
    teacher, recurring = Counting(), RecurringViews(pictures=pictures(), count=3, folder=tmp_path)
    for seed in range(60):
        shown(recurring, teacher, seed)
    assert teacher.asked == 3 * 3, "three of the pictures were shown, each in three views"


def test_what_is_kept_is_the_word_on_the_view_as_it_was_first_drawn(tmp_path: Path) -> None:
    teacher, recurring = Counting(), RecurringViews(pictures=pictures(), count=1, folder=tmp_path)
    _, first = shown(recurring, teacher, 1)
    _, later = shown(recurring, teacher, 2)
    assert torch.equal(first, later)
    image = torch.from_numpy(recurring.pictures.images[3:4]).float() / 255
    drawn, _ = random_views(image, None, SETTINGS, torch.Generator().manual_seed(3))
    torch.testing.assert_close(first[1], Counting()(drawn)[0])
    torch.testing.assert_close(first[1], first[3])


def test_a_view_that_comes_again_is_changed_little_enough_for_the_word_to_stand(tmp_path: Path) -> None:
    recurring = RecurringViews(pictures=pictures(), count=1, folder=tmp_path)
    views, advice = shown(recurring, Counting(), 1)
    others, _ = shown(recurring, Counting(), 2)
    assert not torch.equal(views, others)
    assert views.shape == (4, 3, 16, 16)
    assert bool((views >= 0).all()) and bool((views <= 1).all())
    torch.testing.assert_close(Counting()(views), advice, atol=0.12, rtol=0)


@pytest.mark.parametrize("shape", [(16, 16), (12, 20)])
def test_quarter_turns_keep_the_size(shape: tuple[int, int], tmp_path: Path) -> None:
    settings = ViewSettings(height=shape[0], width=shape[1])
    recurring = RecurringViews(pictures=pictures(), count=2, folder=tmp_path)
    assert {shown(recurring, Counting(), seed, settings)[0].shape[2:] for seed in range(8)} == {torch.Size(shape)}


def test_a_training_that_goes_on_finds_the_words_of_before(tmp_path: Path) -> None:
    before = Counting()
    _, said = shown(RecurringViews(pictures=pictures(), count=3, folder=tmp_path), before, 1)
    after = Counting()
    _, again = shown(RecurringViews(pictures=pictures(), count=3, folder=tmp_path), after, 1)
    assert (before.asked > 0, after.asked) == (True, 0)
    assert torch.equal(said, again)


@pytest.mark.parametrize("other", ["teacher", "settings", "pictures", "count"])
def test_other_pictures_views_or_teachers_have_words_of_their_own(other: str, tmp_path: Path) -> None:
    shown(RecurringViews(pictures=pictures(), count=3, folder=tmp_path), Counting(), 1)
    teacher = Counting("counting 2" if other == "teacher" else "counting 1")
    settings = ViewSettings(height=16, width=16, zoom=(1.0, 1.2)) if other == "settings" else SETTINGS
    made = RecurringViews(pictures=pictures(seed=2 if other == "pictures" else 1), count=4 if other == "count" else 3, folder=tmp_path)
    shown(made, teacher, 1, settings)
    assert teacher.asked > 0


def test_views_of_another_size_in_the_same_training_have_words_of_their_own(tmp_path: Path) -> None:
    teacher, recurring = Counting(), RecurringViews(pictures=pictures(), count=1, folder=tmp_path)
    shown(recurring, teacher, 1)
    shown(recurring, teacher, 2, ViewSettings(height=8, width=8))
    assert teacher.asked == 3 + 3
    assert len(list(tmp_path.rglob("words-*.npy"))) == 2


def test_no_view_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="count is 0; each picture has at least one view"):
        RecurringViews(pictures=pictures(), count=0, folder=tmp_path)


def test_mixed_advice_has_the_mixed_probabilities() -> None:
    advice, other = torch.tensor([[2.0, -1.0], [0.0, 50.0]]), torch.tensor([[-3.0, 1.0], [60.0, 0.0]])
    mixed = torch.softmax(mixed_advice(advice, other, 0.7), dim=1)
    torch.testing.assert_close(mixed, 0.7 * torch.softmax(advice, dim=1) + 0.3 * torch.softmax(other, dim=1))
    certain = torch.tensor([[0.0, 500.0]])
    assert bool(torch.isfinite(mixed_advice(certain, certain, 1.0)).all()), "a teacher may be as sure as it likes"


def prepared(recurring: RecurringViews, teacher: Counting | None, **more: Any) -> dict[str, Any]:
    prepare = PrepareViews(
        height=16, width=16, mean=[0.5] * 3, std=[0.25] * 3, teacher=cast(Teacher | None, teacher), recurring=recurring, **more
    )
    prepare.begin_epoch(1, 7)
    batch = recurring.pictures.__getitems__([0, 3, 5, 3])
    return prepare(batch, CPU)[1]


def test_training_takes_the_kept_words_and_mixes_them_as_it_mixes_the_views(tmp_path: Path) -> None:
    recurring = RecurringViews(pictures=pictures(), count=1, folder=tmp_path)
    _, words = shown(recurring, Counting(), 1)
    plain = prepared(recurring, teacher := Counting())
    assert torch.equal(plain["advice"], words)
    assert teacher.asked == 0
    mixed = prepared(recurring, Counting(), mixup=0.5)
    # every partner is of the same kind, so that any order of the words is a permutation of the four
    assert float(mixed["weight"][0]) >= 0.5
    low, high = torch.softmax(words, dim=1).min(dim=0).values, torch.softmax(words, dim=1).max(dim=0).values
    said = torch.softmax(mixed["advice"], dim=1)
    assert bool((said >= low - 1e-6).all()) and bool((said <= high + 1e-6).all())


def test_without_a_teacher_every_view_is_new_and_nothing_is_kept(tmp_path: Path) -> None:
    recurring = RecurringViews(pictures=pictures(), count=1, folder=tmp_path)
    assert "advice" not in prepared(recurring, None)
    assert not list(tmp_path.rglob("*.npy"))

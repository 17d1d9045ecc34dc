"""Simple means do what they say: colour alone finds colour, darkness finds the dark spot, the ellipse lies in the middle."""

from pathlib import Path

import numpy as np
import pytest

from derm_training.measuring.baseline import centred_ellipse, colour_probabilities, dark_region, histogram
from derm_training.measuring.statistics import jaccard
from derm_training.tables.rows import Row

BROWN, PINK = (110, 70, 50), (220, 170, 160)


def row(label: str, number: int) -> Row:
    return Row(image=Path(f"{label}{number}.png"), mask=None, label=label, split="", dataset="", source="", group=str(number))


def painted(one: Row) -> np.ndarray:
    shade = np.array(BROWN if one.label == "melanoma" else PINK)
    noise = np.random.default_rng(int(one.group)).normal(0, 12, (40, 60, 3))
    return np.asarray((shade + noise).clip(0, 255), dtype=np.uint8)


def test_colour_alone_tells_brown_from_pink() -> None:
    train = [row(label, n) for n, label in enumerate(["melanoma", "nevus"] * 10)]
    rows = [row(label, 100 + n) for n, label in enumerate(["nevus", "melanoma", "nevus"])]
    found = colour_probabilities(train, rows, ["nevus", "melanoma"], painted)
    assert found is not None
    assert found.argmax(axis=1).tolist() == [0, 1, 0]
    assert found.sum(axis=1) == pytest.approx(1)


def test_no_baseline_is_made_up_where_a_class_has_no_training_images() -> None:
    assert colour_probabilities([row("nevus", 1)], [row("nevus", 2)], ["nevus", "melanoma"], painted) is None


def test_the_histogram_knows_colours_and_neither_place_nor_sharpness() -> None:
    picture = np.zeros((96, 96, 3), dtype=np.uint8)
    picture[:48] = (255, 0, 0)
    assert np.array_equal(histogram(picture), histogram(picture[::-1]))
    assert np.array_equal(histogram(picture), histogram(picture.repeat(4, axis=0).repeat(4, axis=1)))
    assert (histogram(picture) ** 2).sum() == pytest.approx(1)
    assert sorted(histogram(picture) ** 2)[-2:] == pytest.approx([0.5, 0.5])


def test_the_largest_dark_spot_is_drawn_at_the_pictures_own_size() -> None:
    picture = np.full((300, 500, 3), 200, dtype=np.uint8)
    truth = np.zeros((300, 500), dtype=bool)
    truth[100:200, 150:320] = True
    picture[truth] = 60
    picture[10:25, 10:25] = 60
    assert jaccard(dark_region(picture), truth) > 0.95
    assert not dark_region(np.full((50, 60, 3), 99, dtype=np.uint8)).any()


def test_the_ellipse_fills_its_share_of_any_picture() -> None:
    for height, width in ((100, 100), (90, 333)):
        ellipse = centred_ellipse(height, width)
        assert ellipse.shape == (height, width)
        assert ellipse.mean() == pytest.approx(np.pi * 0.3**2, abs=0.01)
        assert np.array_equal(ellipse, ellipse[::-1, ::-1])

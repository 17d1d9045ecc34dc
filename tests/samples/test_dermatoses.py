"""Drawn skin diseases: the nine of which no real image may be had, named synthetic in the picture, the file and the table."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from derm_pacs.cli.main import run
from derm_pacs.domain.codes import CODES, DIAGNOSES
from derm_pacs.samples.dermatoses import DISEASES, dermatosis
from derm_pacs.samples.picture_set import split_of, stamped


@pytest.mark.parametrize("name", DISEASES)
def test_a_picture_is_of_the_asked_size_and_the_same_at_every_drawing(name: str) -> None:
    drawn = dermatosis(1, name, side=96)
    assert drawn.shape == (96, 96, 3)
    assert np.array_equal(drawn, dermatosis(1, name, side=96))
    assert not np.array_equal(drawn, dermatosis(2, name, side=96))
    assert drawn.std() > 4


def test_the_drawn_classes_are_diagnoses_of_the_code_table_or_part_of_one() -> None:
    joined = {"keloid": "keloid_or_hypertrophic_scar", "eczema": "eczema_or_dermatitis"}
    assert {joined.get(name, name) for name in DISEASES} <= DIAGNOSES <= set(CODES)


def test_another_disease_is_not_drawn() -> None:
    with pytest.raises(KeyError, match="no disease 'melanoma' is drawn"):
        dermatosis(0, "melanoma")


@pytest.mark.parametrize("shape", [(96, 96, 3), (300, 400)])
def test_the_word_stands_in_the_lower_left_corner_and_nowhere_else(shape: tuple[int, ...]) -> None:
    plain = np.full(shape, 128, np.uint8)
    changed = np.asarray(stamped(plain)) != plain
    changed = changed.any(axis=2) if changed.ndim == 3 else changed
    rows, columns = np.nonzero(changed)
    assert len(rows) > 100
    assert rows.min() > shape[0] / 2
    assert columns.max() < 96


def test_each_fifth_picture_is_for_validation_whatever_the_count() -> None:
    assert [number for number in range(12) if split_of(number) == "val"] == [4, 9]


def test_the_command_writes_pictures_and_a_table_that_say_synthetic(tmp_path: Path) -> None:
    assert run(["samples", "dermatoses", "--out", str(tmp_path / "set"), "--count", "5", "--side", "64"]) == 0
    with (tmp_path / "set" / "MANIFEST.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 5 * len(DISEASES)
    assert {row["label"] for row in rows} == set(DISEASES)
    assert {row["dataset"] for row in rows} == {"synthetic dermatoses"}
    assert len({row["lesion_id"] for row in rows}) == len(rows)
    for row in rows:
        file = tmp_path / "set" / row["path"]
        assert hashlib.sha256(file.read_bytes()).hexdigest() == row["sha256"]
        with Image.open(file) as picture:
            assert picture.size == (64, 64)
            assert picture.info["Title"] == "SYNTHETIC"


def test_the_command_draws_mosaics_of_the_asked_size(tmp_path: Path) -> None:
    assert run(["samples", "mosaics", "--out", str(tmp_path), "--count", "5", "--rows", "64", "--columns", "80"]) == 0
    with (tmp_path / "MANIFEST.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["dataset"] for row in rows} == {"synthetic RCM"}
    assert {(row["height"], row["width"]) for row in rows} == {("64", "80")}
    assert sorted(row["split"] for row in rows) == ["train"] * 12 + ["val"] * 3

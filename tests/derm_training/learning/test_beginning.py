"""A folder keeps what its training began with, and gives it up for nothing else."""

from pathlib import Path

import pytest
import torch

from derm_training.learning.beginning import beginning, keep_settings, keep_table
from derm_training.tables.manifest import write_table
from derm_training.tables.rows import Row

ROWS = [Row(image=Path(f"/images/{number}.png"), label="nevus", mask=None, split="train", dataset="D", source="s", group=str(number)) for number in range(3)]


def begun(folder: Path) -> None:
    """Leave what a training of one epoch leaves, without the tensors."""
    began = beginning(folder)
    torch.save({"images": began.images, "settings": began.settings}, folder / "last.pt")


def test_a_table_is_replaced_until_an_epoch_has_learned_from_it(tmp_path: Path) -> None:
    keep_table(tmp_path, ROWS, read=tmp_path / "data.csv")
    keep_table(tmp_path, ROWS[:2], read=tmp_path / "data.csv")
    begun(tmp_path)
    before = (tmp_path / "table.csv").read_bytes()
    with pytest.raises(ValueError, match=r"last\.pt was made from other images"):
        keep_table(tmp_path, ROWS, read=tmp_path / "data.csv")
    keep_table(tmp_path, ROWS[:2], read=tmp_path / "data.csv")
    assert (tmp_path / "table.csv").read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["last.pt", "table.csv"]


def test_the_table_that_is_read_is_never_replaced(tmp_path: Path) -> None:
    own = tmp_path / "table.csv"
    write_table(own, ROWS)
    before = own.read_bytes()
    with pytest.raises(ValueError, match=r"table\.csv is the table that is read, .*; choose another folder \(--out\)"):
        keep_table(tmp_path, ROWS[:2], read=own)
    assert own.read_bytes() == before
    keep_table(tmp_path, ROWS, read=own)


def test_settings_that_decide_nothing_may_differ_and_the_others_are_named(tmp_path: Path) -> None:
    keep_settings(tmp_path, {"seed": 1, "epochs": 3, "views": {"zoom": [0.8, 1.2], "mixup": 0.5}, "pretrained": None})
    begun(tmp_path)
    keep_settings(tmp_path, {"seed": 1, "epochs": 9, "device": "cuda", "views": {"zoom": [0.8, 1.2], "mixup": 0.5}, "pretrained": None})
    with pytest.raises(ValueError, match=r"with views#mixup 0\.5 \(now unset\), pretrained null \(now \"none\"\), batch unset \(now 8\); choose another"):
        keep_settings(tmp_path, {"seed": 1, "views": {"zoom": [0.8, 1.2]}, "pretrained": "none", "batch": 8})


def test_a_training_that_does_not_tell_its_settings_is_not_taken_up(tmp_path: Path) -> None:
    begun(tmp_path)
    with pytest.raises(ValueError, match=r"last\.pt does not say with which settings it was made; choose another folder"):
        keep_settings(tmp_path, {"seed": 1})
    assert not (tmp_path / "training.json").exists()

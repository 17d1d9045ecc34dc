"""A set with skin masks, as training reads it: every picture twice, once as it is and once composed, on the same side of the split."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from derm_training.learning.skin_set import COMPOSED, write_set
from derm_training.tables.manifest import read_mask, read_table
from derm_training.tables.selection import select, synthetic


def table_of(folder: Path) -> Path:
    """Four drawn pictures of even skin with a brown disc, two of them to judge by."""
    folder.mkdir()
    down, across = np.mgrid[:60, :80]
    lines = ["path,label,mask,split,dataset,lesion_id"]
    for number in range(4):
        inside = (down - 30) ** 2 + (across - 30 - 5 * number) ** 2 < 12**2
        picture = np.where(inside[..., None], (90, 50, 40), (220, 170, 150)).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{number}.png")
        Image.fromarray(inside).save(folder / f"{number}-mask.png")
        lines.append(f"{number}.png,nevus,{number}-mask.png,{'train' if number < 2 else 'val'},drawn,L{number}")
    (folder / "MANIFEST.csv").write_text("\n".join(lines) + "\n")
    return folder / "MANIFEST.csv"


def test_each_picture_stands_there_with_its_skin_and_composed_in_its_own_split(tmp_path: Path) -> None:
    rows = read_table(write_set(table_of(tmp_path / "own"), tmp_path / "set", seed=1)).rows
    assert [(row.split, row.dataset) for row in rows].count(("train", "drawn")) == 2
    assert [(row.split, row.dataset) for row in rows].count(("val", f"{COMPOSED} drawn")) == 2
    assert len(rows) == 8
    for row in rows:
        assert row.mask is not None and row.skin is not None
        skin, lesion = read_mask(row.skin), read_mask(row.mask)
        with Image.open(row.image) as picture:
            assert skin.shape == lesion.shape == (picture.height, picture.width)
        if row.dataset == "drawn":
            assert skin.mean() > 0.99, "the drawn picture is skin everywhere"


def test_composed_pictures_are_not_measured_together_with_photographs(tmp_path: Path) -> None:
    made = write_set(table_of(tmp_path / "own"), tmp_path / "set", seed=1)
    with pytest.raises(ValueError, match="which share no figure"):
        select(made, split="val", labels=[])
    rows = select(made, split="val", labels=[], mixed=True).rows
    assert {row.image.name.endswith("composed.jpg"): synthetic(row) for row in rows} == {False: False, True: True}


def test_one_seed_writes_one_set(tmp_path: Path) -> None:
    table = table_of(tmp_path / "own")
    first, second = (write_set(table, tmp_path / name, seed=2).parent for name in ("a", "b"))
    files = sorted(one.relative_to(first) for one in first.rglob("*.*g"))
    assert files
    assert all((first / one).read_bytes() == (second / one).read_bytes() for one in files)

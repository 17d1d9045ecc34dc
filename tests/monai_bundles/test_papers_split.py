"""A split at random by image is one: `bundles evaluate` judges by the images that a training of the same table and seed kept aside."""

import json
from pathlib import Path
from typing import Any

import pytest
from monai.bundle.config_parser import ConfigParser
from PIL import Image

from derm_training.tables.manifest import read_table
from tests.conftest import REPOSITORY

pytest.importorskip("ignite", reason="needs the extra 'train'")

FOLDER = REPOSITORY / "monai_bundles"
BUNDLES = sorted(file.parents[1].name for file in FOLDER.glob("*/configs/evaluate.json"))


def read(name: str, place: str) -> Any:
    return json.loads((FOLDER / name / place).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def many_sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of every bundle's classes from several data sets and sources; some are grey, without a split, with a mask of skin alone."""
    folder = tmp_path_factory.mktemp("sets")
    labels = sorted({label for name in BUNDLES for label in read(name, "configs/evaluate.json")["labels"]})
    sets = ("HAM10000-200", "HAM10000-full", "PAD-UFES-20", "ISIC2020-train-full", "synthetic drawings", "clinic")
    lines = ["path,label,mask,skin,split,source,dataset,lesion_id"]
    for number, label in enumerate(label for label in labels for _ in range(36)):
        Image.new("RGB", (12, 10), (200, 120 if number % 5 else 200, 200)).save(folder / f"{number}.png")
        Image.new("L", (12, 10), 255).save(folder / f"m{number}.png")
        masks = ("", f"m{number}.png") if number % 4 == 0 else (f"m{number}.png", "")
        split = "" if number % 13 == 0 else "val" if number % 3 == 0 else "train"
        lines.append(f"{number}.png,{label},{','.join(masks)},{split},{'ab'[number % 2]},{sets[number % len(sets)]},L{number // 2}")
    (folder / "t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "t.csv"


@pytest.mark.parametrize("name", BUNDLES)
def test_a_papers_split_would_be_drawn_as_training_draws_it(name: str, many_sets: Path, tmp_path: Path) -> None:
    training, measuring = (ConfigParser(read(name, f"configs/{file}.json")) for file in ("train", "evaluate"))
    training.update({"data": str(many_sets), "split": "paper", "output_dir": str(tmp_path)} | ({"teacher": None} if "teacher" in training else {}))
    training.update({f"images#{side}": 16 for side in ("height", "width", "pixels") if side in training["images"]})
    training.get_parsed_content("images")
    measuring.update({"data": str(many_sets), "split": "paper", "mixed": True})
    chosen = measuring.get_parsed_content("selection")
    trained = [row for row in read_table(tmp_path / "table.csv").rows if row.mask or measuring["labels"]]
    for split, rows in (("test", chosen.rows), ("train", chosen.train)):
        assert {row.image for row in rows} == {row.image for row in trained if row.split == split}
        assert rows

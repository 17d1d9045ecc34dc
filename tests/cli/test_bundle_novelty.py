"""`derm-pacs bundles novelty`: what it prints of a limit names the images that were drawn by a program."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ignite", reason="needs the extra 'train'")

from derm_networks.novelty import FeatureSpace
from derm_pacs.cli.bundle_novelty import lines
from derm_training.gate.novelty import Fitted
from derm_training.tables.rows import Row, Table


def table(*, train: list[str], val: list[str]) -> Table:
    """An image of each data set that is named, on its side."""
    sides = [("train", dataset) for dataset in train] + [("val", dataset) for dataset in val]
    rows = [
        Row(image=Path(f"{number}.png"), mask=None, label="nevus", split=split, dataset=dataset, source="", group=str(number))
        for number, (split, dataset) in enumerate(sides)
    ]
    return Table(path=Path("t.csv"), rows=tuple(rows))


@pytest.mark.parametrize(
    ("val", "limit", "refused"),
    [
        (["HAM10000"] * 3, "from 0 training and 3 validation images", "refused of the validation images 10.0%;"),
        (["synthetic RCM"] * 3, "from 0 training and 3 validation images (SYNTHETIC)", "refused of the validation images (SYNTHETIC) 10.0%;"),
        (
            ["HAM10000", "synthetic RCM", "HAM10000"],
            "from 0 training and 3 validation images (2 photographs, 1 SYNTHETIC)",
            "refused of the validation images (2 photographs, 1 SYNTHETIC) 10.0%;",
        ),
    ],
)
def test_a_limit_is_told_with_the_kinds_of_the_images_that_set_it(val: list[str], limit: str, refused: str) -> None:
    fitted = Fitted(kind="energy", space=None, maximum=2.0, trained_on=0, validated_on=3, refused=0.1, refused_of_others=0.2)
    first, second, _few = lines("rcm", fitted, table(train=["synthetic RCM"], val=val))
    assert first == f"rcm: energy at most 2.0000, {limit}"
    assert second.startswith(refused)


@pytest.mark.parametrize(
    ("train", "said"),
    [(["HAM10000"] * 4, ""), (["synthetic RCM"] * 4, " (SYNTHETIC)"), (["HAM10000"] * 3 + ["synthetic RCM"], " (some SYNTHETIC)")],
)
def test_the_images_whose_features_make_the_space_are_called_drawn_where_they_are(train: list[str], said: str) -> None:
    space = FeatureSpace.fit(np.random.default_rng(0).normal(size=(9, 4)))
    fitted = Fitted(kind="feature_distance", space=space, maximum=2.0, trained_on=3, validated_on=1, refused=0, refused_of_others=0)
    first, *_ = lines("rcm", fitted, table(train=train, val=["HAM10000"]))
    assert first.endswith(f"from 3 training{said} and 1 validation images")

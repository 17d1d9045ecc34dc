"""A bundle outlines the training pictures that have no mask, where it is sure of one region; nobody is judged by its word."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from derm_networks.served import ServedBundle
from derm_training.learning.outlined_set import OUTLINED, outline, write_set
from derm_training.tables.manifest import read_mask, read_table
from derm_training.tables.selection import synthetic

Region = NDArray[np.bool_]
DESCRIPTION: dict[str, Any] = {
    "preprocessing": [
        {"op": "resize", "height": 48, "width": 64, "mode": "bilinear", "antialias": True},
        {"op": "normalize", "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]},
    ],
}


class DrawsTheDark(nn.Module):
    """Stands for a trained network: what is darker than half is lesion, the surer the darker; it has a second map."""

    def forward(self, x: Tensor) -> Tensor:
        return 20 * (0.5 - x.mean(dim=1, keepdim=True)).expand(-1, 2, -1, -1)


BUNDLE = ServedBundle(description=DESCRIPTION, network=DrawsTheDark().eval())


def disc(down: int, across: int, radius: int) -> Region:
    rows, columns = np.mgrid[:96, :128]
    return np.asarray((rows - down) ** 2 + (columns - across) ** 2 < radius**2)


def picture(dark: Region, *, grey: int = 30) -> NDArray[np.uint8]:
    return np.repeat(np.where(dark, grey, 220).astype(np.uint8)[..., None], 3, axis=2)


def test_the_one_region_inside_is_outlined() -> None:
    found = outline(picture(disc(48, 64, 20)), BUNDLE)
    assert isinstance(found, np.ndarray)
    assert (found & disc(48, 64, 20)).sum() / (found | disc(48, 64, 20)).sum() > 0.9


def test_a_lesion_that_the_border_cuts_is_outlined_as_far_as_it_is_seen() -> None:
    found = outline(picture(disc(48, 0, 30)), BUNDLE)
    assert isinstance(found, np.ndarray)
    assert (found & disc(48, 0, 30)).sum() / (found | disc(48, 0, 30)).sum() > 0.9


def test_a_lens_edge_beside_it_is_not() -> None:
    found = outline(picture(disc(48, 64, 20) | disc(0, 0, 15)), BUNDLE)
    assert isinstance(found, np.ndarray)
    assert not found[:15, :15].any()


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: picture(disc(48, 64, 2)), "too little"),
        (lambda: picture(disc(48, 64, 200)), "too much"),
        (lambda: picture(disc(30, 30, 15) | disc(60, 90, 15)), "several"),
        (lambda: picture(disc(0, 0, 30)), "corner"),
        (lambda: picture(disc(48, 64, 20), grey=118), "not sure"),
    ],
    ids=["speck", "everything", "two", "corner", "unsure"],
)  # fmt: skip
def test_what_cannot_be_trusted_is_left_out_with_its_reason(made: Callable[[], NDArray[np.uint8]], said: str) -> None:
    found = outline(made(), BUNDLE)
    assert isinstance(found, str)
    assert said in found


def test_outlined_pictures_that_a_program_drew_stay_marked_so(tmp_path: Path) -> None:
    Image.fromarray(picture(disc(48, 64, 20))).save(tmp_path / "sure.png")
    (tmp_path / "MANIFEST.csv").write_text("path,label,split,dataset\nsure.png,nevus,train,Synthetic spots\n")
    (row,) = read_table(write_set(tmp_path / "MANIFEST.csv", tmp_path / "set", BUNDLE)[0]).rows
    assert row.dataset == f"synthetic, {OUTLINED} Synthetic spots"
    assert synthetic(row)


def test_training_pictures_without_a_mask_get_one_in_a_set_of_their_own(tmp_path: Path) -> None:
    Image.fromarray(picture(disc(48, 64, 20))).save(tmp_path / "sure.png")
    Image.fromarray(picture(disc(0, 0, 30))).save(tmp_path / "corner.png")
    Image.fromarray(disc(48, 64, 20)).save(tmp_path / "mask.png")
    (tmp_path / "MANIFEST.csv").write_text(
        "path,label,mask,split,dataset\nsure.png,nevus,mask.png,train,masked\nsure.png,nevus,,val,judged\n"
        "corner.png,nevus,,train,bare\nsure.png,melanoma,,train,bare\n"
    )
    made, reasons = write_set(tmp_path / "MANIFEST.csv", tmp_path / "set", BUNDLE)
    rows = read_table(made).rows
    assert reasons == {"a corner was outlined": 1}
    assert [(row.dataset, row.split, row.mask is not None) for row in rows] == [
        ("masked", "train", True), ("judged", "val", False), ("bare", "train", False), (f"{OUTLINED} bare", "train", True),
    ]  # fmt: skip
    drawn = next(row for row in rows if row.dataset.startswith(OUTLINED))
    assert drawn.mask is not None
    assert read_mask(drawn.mask)[48, 64] == 1

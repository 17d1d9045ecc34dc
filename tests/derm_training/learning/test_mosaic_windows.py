"""Mosaics to learn from: windows that show something, each with its mosaic's label; whole mosaics judge."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from derm_networks.window_inferer import WindowInferer

pytest.importorskip("ignite", reason="needs the extra 'train'")

from derm_training.learning.mosaic_windows import MosaicWindows, PrepareWindows

CLASSES = ["nevus", "melanoma", "bcc"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two mosaics of each class of 96 x 128 pixels, of grey 60, 120 and 180; the right third is black."""
    with (tmp_path / "MANIFEST.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "label", "split", "dataset", "source", "lesion_id"])
        for number, label in enumerate(CLASSES):
            for split in ("train", "val"):
                grey = np.full((96, 128), 60 * (number + 1), np.uint8)
                grey[:, 96:] = 0
                Image.fromarray(grey).save(tmp_path / f"{label}_{split}.png")
                writer.writerow([f"{label}_{split}.png", label, split, "synthetic", "drawn", f"{label} {split}"])
    return tmp_path / "MANIFEST.csv"


def mosaics(table: Path, most: int = 64) -> MosaicWindows:
    return MosaicWindows(
        data=table, classes=CLASSES, side=32, overlap=0.0, max_empty=0.5, pixels=24, most=most, batch=6, seed=1,
        folder=table.parent / "out",
    )  # fmt: skip


def test_empty_windows_are_left_out_and_the_others_bear_their_mosaics_label(table: Path) -> None:
    images = mosaics(table)
    assert images.batches.count == 27, "nine windows of each of three mosaics show something"
    for batch in images.training:
        assert batch["image"].shape == (6, 1, 24, 24)
        assert batch["image"][:, 0, 12, 12].tolist() == [60 * (label + 1) for label in batch["label"].tolist()]


def test_pictures_in_colour_teach_and_judge_nothing(table: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name, colour in (("pink", (200, 120, 120)), ("even", (120, 120, 120))):
        Image.new("RGB", (128, 96), colour).save(table.parent / f"{name}.png")
    with table.open("a", encoding="utf-8") as stream:
        stream.write("pink.png,nevus,train,real,s,L1\neven.png,Nevus,train,real,s,L2\npink.png,acne,train,real,s,L3\n")
    mosaics(table)
    said = capfd.readouterr().err
    assert "left out: 1 of another label" in said
    assert "left out: 1 in colour, where the bundle reads grey" in said
    assert "of 4 mosaics" in said, "grey that is coded as colour is grey"


def test_drawn_mosaics_are_called_so_where_they_teach_and_where_they_judge(table: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mosaics(table)
    said = capfd.readouterr().err
    assert "training on 27 windows of 3 mosaics (SYNTHETIC)\n" in said
    assert "judged on 3 whole mosaics (SYNTHETIC)\n" in said


def test_no_more_windows_of_a_mosaic_are_kept_than_asked(table: Path) -> None:
    assert mosaics(table, most=4).batches.count == 12


def test_whole_mosaics_judge(table: Path) -> None:
    judged = list(mosaics(table).validation)
    assert [tuple(one["image"].shape) for one in judged] == [(1, 1, 96, 128)] * 3
    assert [one["label"].tolist() for one in judged] == [[0], [1], [2]]


def test_random_views_stay_grey_and_are_the_same_by_seed(table: Path) -> None:
    batch = next(iter(mosaics(table).training))
    views = PrepareWindows(height=16, width=16, mean=[0.3], std=[0.2], zoom=[0.9, 1.3], squash=1.2, shift=0.1)
    views.begin_epoch(1, 5)
    first, targets = views(batch, torch.device("cpu"))
    views.begin_epoch(1, 5)
    second, _ = views(batch, torch.device("cpu"))
    assert first.shape == (6, 1, 16, 16)
    assert torch.equal(first, second)
    assert torch.equal(targets["label"], batch["label"])


def test_a_table_that_lacks_a_class_is_refused_by_name(table: Path) -> None:
    table.write_text("\n".join(line for line in table.read_text().splitlines() if "bcc" not in line) + "\n")
    with pytest.raises(ValueError, match="no image labelled bcc"):
        mosaics(table)


class _Brightness(nn.Module):
    """Speaks for the second class by the brightness of the window."""

    def forward(self, x: Tensor) -> Tensor:
        bright = x.mean(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(bright), bright], dim=1)


def inferer(share: float) -> WindowInferer:
    return WindowInferer(
        side=32, overlap=0.0, share=share, max_empty=0.5, batch=4, height=16, width=16, mean=[0.0], std=[1.0]
    )


def test_the_strongest_windows_carry_the_mosaics_call() -> None:
    grey = torch.full((1, 1, 64, 96), 20.0)
    grey[..., :32, :32] = 220.0
    shares = {share: inferer(share)(grey, _Brightness()).softmax(dim=1)[0, 1].item() for share in (0.01, 1.0)}
    assert shares[0.01] > shares[1.0] > 0.5


def test_a_mosaic_that_shows_nothing_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="shows nothing"):
        inferer(0.5)(torch.zeros(1, 1, 64, 64), _Brightness())

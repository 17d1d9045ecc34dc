"""One classifier on whole images, network's crops and crops by hand: crops where they belong, paired figures, images without a crop named."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

pytest.importorskip("matplotlib", reason="needs the extra 'train'")

from derm_networks.served import ServedBundle
from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.cli.main import run
from derm_training.experiments.crops_experiment import (
    Reading,
    as_values,
    crops_by_hand,
    crops_of,
    judge,
    read,
    sentences,
    write,
)
from derm_training.measuring.statement import RESEARCH_USE
from derm_training.tables.rows import Row
from tests.derm_training.experiments.test_embedding import CLASSIFIER
from tests.derm_training.measuring.documented import documented
from tests.inference.conftest import describe

pytestmark = pytest.mark.server  # trains or evaluates networks

SKIN, DARK, PALE = (220, 170, 150), (90, 50, 40), (250, 240, 235)

DEEPLAB = {
    "network": {"name": "deeplabv3plus", "args": {"num_classes": 1, "rates": [1, 2, 3], "channels": 8, "low_level_channels": 8}},
    "preprocessing": [{"op": "resize", "height": 64, "width": 64, "mode": "bilinear", "antialias": True}],
}


class DarkSegmenter:
    """Finds what is dark; stands for a network whose masks are exact."""

    description: ClassVar[dict[str, Any]] = {"name": "dark", "outputs": [{"kind": "segmentation", "id": "lesion"}]}

    def mask(self, picture: NDArray[np.uint8], *, output: str) -> NDArray[np.bool_]:
        return np.asarray(picture.mean(axis=2) < 120)


class DarkClassifier:
    """The share of dark pixels is the probability of melanoma."""

    description: ClassVar[dict[str, Any]] = {
        "operating_points": [{"positive": "melanoma", "threshold": 0.3}],
        "outputs": [{"classes": [{"id": "nevus"}, {"id": "melanoma"}]}],
    }

    def probabilities(self, picture: NDArray[np.uint8]) -> dict[str, float]:
        share = float((picture.mean(axis=2) < 120).mean())
        return {"melanoma": share, "nevus": 1 - share}


SEGMENTER, CLASSIFIED = cast(ServedBundle, DarkSegmenter()), cast(ServedBundle, DarkClassifier())


def drawn(folder: Path, number: int, *, lesion: bool = True) -> Row:
    """A picture of 80 x 60 with a square lesion of 12 pixels on skin, dark, or too pale for the segmenter; the mask knows it always."""
    picture = np.full((60, 80, 3), SKIN, dtype=np.uint8)
    mask = np.zeros((60, 80), dtype=np.uint8)
    left = 10 + number
    picture[20:32, left : left + 12] = DARK if lesion else PALE
    mask[20:32, left : left + 12] = 255
    Image.fromarray(picture).save(folder / f"{number}.png")
    Image.fromarray(mask).save(folder / f"{number}_mask.png")
    return Row(
        image=folder / f"{number}.png", mask=folder / f"{number}_mask.png", label="melanoma" if lesion else "nevus", split="", dataset="drawn",
        source="", group=str(number),
    )


def test_a_crop_holds_the_lesion_and_raises_its_share(tmp_path: Path) -> None:
    row = drawn(tmp_path, 3)
    one = read(row, SEGMENTER, CLASSIFIED, positive=["melanoma"])
    assert one.network_crops == one.hand_crops, "the network's mask is the hand's"
    (crop,) = one.network_crops
    assert crop.left <= 13
    assert crop.left + crop.width >= 25
    assert one.whole == pytest.approx(144 / 4800)
    assert one.network == one.hand == pytest.approx(144 / (crop.width * crop.height))
    assert (one.network or 0) > 0.1


def test_a_picture_in_which_the_network_finds_nothing_has_no_crop_of_its_own(tmp_path: Path) -> None:
    one = read(drawn(tmp_path, 3, lesion=False), SEGMENTER, CLASSIFIED, positive=["melanoma"])
    assert (one.network, one.network_crops) == (None, ())
    assert one.hand == 0.0


def test_where_the_segmenter_draws_skin_a_crop_must_show_it() -> None:
    picture = np.full((60, 80, 3), SKIN, dtype=np.uint8)
    picture[20:32, 30:42] = DARK

    class WithSkin(DarkSegmenter):
        description: ClassVar[dict[str, Any]] = {
            "name": "skin", "crops": {"lesion": "lesion", "skin": "skin", "min_skin": 0.8, "min_lesion": 0.1, "max_crops": 1},
            "outputs": [{"kind": "segmentation", "id": "lesion"}, {"kind": "segmentation", "id": "skin"}],
        }

    assert len(crops_of(SEGMENTER, picture)) == 1
    assert len(crops_of(cast(ServedBundle, WithSkin()), picture)) == 1, "the lesion itself counts as skin"


def reading(number: int, positive: bool, whole: float, network: float | None, hand: float | None) -> Reading:
    row = Row(image=Path(f"{number}.jpg"), mask=None, label="melanoma" if positive else "nevus", split="", dataset="", source="", group=str(number))
    return Reading(row=row, positive=positive, whole=whole, network=network, hand=hand, network_crops=(), hand_crops=())


READINGS = [
    *(reading(i, True, 0.2, 0.8, 0.9) for i in range(10)),
    *(reading(10 + i, False, 0.4, 0.1, 0.1) for i in range(10)),
    reading(20, True, 0.9, None, 0.9),
]


def test_differences_are_paired_and_images_without_a_crop_are_counted_and_named(tmp_path: Path) -> None:
    found = judge(READINGS, title="Drawn", threshold=0.5, positive="melanoma", draws=200)
    assert found.each["whole"]["accuracy"].n == 21
    assert found.each["network"]["accuracy"].n == 20
    assert found.each["whole"]["sensitivity"].value == pytest.approx(1 / 11)
    assert found.paired["whole"]["sensitivity"].value == 0.0
    assert found.paired["network"]["auc"].value == 1.0
    assert found.paired["whole"]["auc"].value == 0.0
    gained = found.differences["network - whole"]["sensitivity"]
    assert gained.signed() == "+1.000 (no interval)", "each image gains: no draw says by how much others might not"
    assert found.differences["network - hand"]["accuracy"].value == 0.0
    assert any("1 images have none of the network's crops: 20.jpg." in said for said in sentences(found))
    write(found, tmp_path)
    said = json.loads((tmp_path / "crops.json").read_text())
    assert said == as_values(found)
    assert said["without_a_crop"] == {"network": ["20.jpg"], "hand": []}
    with (tmp_path / "crops.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert (rows[20]["network"], rows[20]["network_crop"]) == ("", "none")
    assert "not for primary diagnosis" in (tmp_path / "crops.html").read_text()
    assert (tmp_path / "crops.png").read_bytes().startswith(b"\x89PNG")


def test_the_interval_of_a_difference_grows_where_lesions_have_many_images() -> None:
    random = np.random.default_rng(0)
    alone = [reading(i, i % 2 == 0, float(random.random()), float(random.random()), 0.5) for i in range(60)]
    together = [replace(one, row=replace(one.row, group=str(i // 12 * 2 + i % 2))) for i, one in enumerate(alone)]
    first, second = (judge(some, title="", threshold=0.5, positive="melanoma", draws=200) for some in (alone, together))
    assert first.differences["network - whole"]["accuracy"].value == second.differences["network - whole"]["accuracy"].value
    assert first.differences["network - whole"]["accuracy"].low != second.differences["network - whole"]["accuracy"].low


def test_images_of_one_class_alone_are_refused_in_words() -> None:
    with pytest.raises(ValueError, match="not of both classes"):
        judge(READINGS[:10], title="", threshold=0.5, positive="melanoma")
    with pytest.raises(ValueError, match="with a crop by network and hand are not of both classes"):
        judge([*READINGS[10:20], READINGS[20]], title="", threshold=0.5, positive="melanoma")


def test_a_mask_by_hand_gives_one_crop_for_each_lesion(tmp_path: Path) -> None:
    mask = np.zeros((60, 80), dtype=np.uint8)
    mask[5:15, 5:15] = mask[40:55, 50:65] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    first, second = crops_by_hand(tmp_path / "m.png", (80, 60))
    assert first.left > second.left, "the largest lesion first"


def test_a_mask_of_another_size_gives_the_crops_of_the_picture(tmp_path: Path) -> None:
    mask = np.zeros((60, 80), dtype=np.uint8)
    mask[40:54, 50:64] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    Image.fromarray(mask).resize((40, 30), Image.Resampling.NEAREST).save(tmp_path / "half.png")
    assert crops_by_hand(tmp_path / "half.png", (80, 60)) == crops_by_hand(tmp_path / "m.png", (80, 60))


def test_the_documented_command_runs_on_small_bundles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, changes in (("skin_lesion_deeplabv3plus", DEEPLAB), ("melanoma_nevus_alexnet", CLASSIFIER)):
        folder = tmp_path / "monai_bundles" / name
        folder.mkdir(parents=True)
        describe(folder, **cast(dict[str, object], changes))
        served = json.loads((folder / "configs/serving.json").read_text())
        for output in served["outputs"]:
            output.update({"temperature": 1.0} if output["kind"] == "classification" else {"threshold": 0.0001})
        (folder / "configs/serving.json").write_text(json.dumps(served))
        lines = ["path,mask,label,dataset"]
    for number in range(6):
        drawn(tmp_path, number, lesion=number % 2 == 0)
        label = ("bcc", "nevus")[number % 2]
        lines.append(f"{number}.png,{number}_mask.png,{label},PAD-UFES-20")
    (tmp_path / "images.csv").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    for words in documented("crops-experiment"):
        assert run(words) == ExitCode.OK, capsys.readouterr().err
    assert (tmp_path / "crops/crops.html").exists()
    assert capsys.readouterr().out.rstrip().endswith(RESEARCH_USE)

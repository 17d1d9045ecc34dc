"""What becomes of a table's rows: who trains, who judges, who is left out and told; masks by channel."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from derm_training.learning.loaders import ClassifiedImages, MaskedImages, few
from derm_training.tables.manifest import read_table


def images(folder: Path, lines: list[str], header: str = "path,label,mask,skin,split,source,dataset") -> Path:
    """Write the table and a picture for each path; the number in its name is its shade."""
    for line in lines:
        for name in line.split(",")[0], *line.split(",")[2:4]:
            if name:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shade = int(Path(name).stem.strip("msk") or 0)
                Image.fromarray(np.full((8, 10, 3), shade, dtype=np.uint8)).save(folder / name)
    file = folder / "t.csv"
    file.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return file


def classified(table: Path, out: Path, **more: Any) -> ClassifiedImages:
    return ClassifiedImages(
        data=table, classes=["nevus", "melanoma"], height=8, width=8, seed=1, folder=out, **{"batch": 4, **more}
    )


def told(capfd: pytest.CaptureFixture[str]) -> str:
    return capfd.readouterr().err


TABLE = [
    "10.png,nevus,,,train,a,D", "11.png,melanoma,,,train,a,D", "12.png,nv,,,train,a,D", "13.png,bcc,,,train,a,D",
    "14.png,nevus,,,val,a,D", "15.png,melanoma,,,val,a,D", "16.png,bcc,,,val,a,D", "17.png,other,,,train,a,D",
    "18.png,melanoma,,,train,a,D-full", "19.png,melanoma,,,train,a,E-full", "20.png,melanoma,,,train,a,F",
]


def test_rows_that_are_left_out_are_counted_by_reason(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    classified(images(tmp_path, TABLE), tmp_path / "out", same_as={"nv": "nevus"}, without_datasets=["F"])
    said = told(capfd)
    assert "6 images can be used; left out: 3 of another label, 1 that repeat others at full size, 1 of the dataset F" in said
    assert "training on 2 melanoma, 2 nevus; 4 drawn in each epoch" in said
    assert "judged on 1 melanoma, 1 nevus" in said
    rows = read_table(tmp_path / "out" / "table.csv").rows
    assert sorted((row.image.stem, row.split) for row in rows) == [
        ("10", "train"), ("11", "train"), ("12", "train"), ("14", "val"), ("15", "val"), ("19", "train"),
    ]


def test_a_batch_holds_pictures_labels_and_pictures_of_other_classes(tmp_path: Path) -> None:
    made = classified(images(tmp_path, TABLE), tmp_path / "out", other_classes={"bcc": 2}, other_batch=1, batch=3)
    made.batches.begin_epoch(1, 5)
    (batch,) = list(made.training)
    assert batch["image"].shape == (4, 3, 8, 8)
    labels = {10: 0, 11: 1, 12: 0, 13: 2, 19: 1, 20: 1}
    assert [labels[int(picture[0, 0, 0])] for picture in batch["image"]] == batch["label"].tolist()
    assert batch["label"].tolist()[3] == 2
    judged = [int(label) for one in made.validation for label in one["label"]]
    assert judged == [0, 1], "other classes judge nothing"


def test_where_sources_are_balanced_in_training_they_are_in_judging(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines = [f"{n}.png,{'melanoma' if n % 5 == 0 else 'nevus'},,,{'val' if n >= 20 else 'train'},{'a' if n % 2 else 'b'},D" for n in range(10, 40)]
    lines += [f"{n}.png,nevus,,,val,lone,D" for n in range(50, 60)]
    classified(images(tmp_path, lines), tmp_path / "out", balance="source")
    assert "judged on 4 melanoma, 4 nevus" in told(capfd)


def test_the_same_bytes_are_decoded_once_and_changed_ones_again(tmp_path: Path) -> None:
    table = images(tmp_path, TABLE)
    classified(table, tmp_path / "out")
    kept = {file: file.stat().st_mtime_ns for file in (tmp_path / "out" / "cache").iterdir()}
    made = classified(table, tmp_path / "out")
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "out" / "cache").iterdir()} == kept
    Image.fromarray(np.full((9, 9, 3), 200, dtype=np.uint8)).save(tmp_path / "14.png")
    made = classified(table, tmp_path / "out")
    (batch,) = list(made.validation)
    assert int(batch["image"][0, 0, 0, 0]) == 200


def test_a_split_is_made_where_the_table_has_none_and_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines = [f"{n}.png,{'melanoma' if n % 2 else 'nevus'},,,,a,D" for n in range(10, 60)]
    classified(images(tmp_path, lines), tmp_path / "out")
    assert "t.csv gives no split: made by lesion from seed 1" in told(capfd)


def test_judged_images_that_name_no_lesion_are_counted_and_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines = [f"{n}.png,{'melanoma' if n % 2 else 'nevus'},,,{'train' if n < 20 else 'val'},a,D" for n in range(10, 30)]
    classified(images(tmp_path, lines), tmp_path / "out")
    assert "leak of the split: 0 of 10 judged images show a lesion that is also in training; 10 name no lesion" in told(capfd)


def test_where_every_lesion_is_known_and_on_one_side_no_leak_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    header = "path,label,mask,skin,split,source,dataset,lesion_id"
    lines = [f"{n}.png,{'melanoma' if n % 2 else 'nevus'},,,{'train' if n < 20 else 'val'},a,D,L{n}" for n in range(10, 30)]
    classified(images(tmp_path, lines, header), tmp_path / "out")
    assert "leak" not in told(capfd)


def test_a_split_by_image_is_told_with_the_paper_whose_it_is(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines = [f"{n}.png,{'melanoma' if n % 2 else 'nevus'},,,,a,D" for n in range(10, 50)]
    classified(images(tmp_path, lines), tmp_path / "out", split="paper")
    said = "split at random by image, as in Ameri 2020 (there 900 and 100 of each class): 18 of each class to train, 2 to test"
    assert said in told(capfd)


def test_masks_are_split_by_image_whatever_they_show(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines = [f"{n}.png,{'melanoma' if n == 10 else 'nevus'},m255.png,,,a,D" for n in range(10, 50)]
    MaskedImages(data=images(tmp_path, lines), height=8, width=8, batch=3, seed=1, folder=tmp_path / "out", split="paper")
    said = told(capfd)
    assert "split at random by image, nine of ten to train: 36 to train, 4 to test" in said
    assert "judged on 4 images with masks\n" in said


def test_drawn_images_are_called_so_and_counted_beside_photographs(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    drawn = "synthetic dermatoses"
    lines = [f"{n}.png,{'melanoma' if n % 2 else 'nevus'},m255.png,,{'val' if n % 4 < 2 else 'train'},a,{drawn}" for n in range(10, 20)]
    classified(images(tmp_path, lines), tmp_path / "out")
    said = told(capfd)
    assert "training on 3 melanoma, 3 nevus (SYNTHETIC); 6 drawn in each epoch" in said
    assert "judged on 2 melanoma, 2 nevus (SYNTHETIC)\n" in said
    both = images(tmp_path, [line.replace(drawn, "D") if line.startswith(("12", "13")) else line for line in lines])
    classified(both, tmp_path / "both")
    assert "judged on 2 melanoma, 2 nevus (2 photographs, 2 SYNTHETIC); auc is of the photographs alone\n" in told(capfd)
    MaskedImages(data=both, height=8, width=8, batch=3, seed=1, folder=tmp_path / "masks")
    said = told(capfd)
    assert "training on 6 images with masks (SYNTHETIC); 6 drawn in each epoch" in said
    assert "judged on 4 images with masks (2 photographs, 2 SYNTHETIC)\n" in said


def test_the_papers_split_draws_all_of_its_images_however_unequal_the_sources(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines = [f"{n}.png,{'melanoma' if n % 2 else 'nevus'},,,,{'b' if n < 16 and n % 2 else 'a'},D" for n in range(10, 50)]
    made = classified(images(tmp_path, lines), tmp_path / "out", split="paper", balance="source")
    assert "training on 18 melanoma, 18 nevus; 36 drawn in each epoch" in told(capfd)
    assert made.batches.count == 36


def test_a_side_to_judge_by_that_no_source_makes_fair_is_named(tmp_path: Path) -> None:
    lines = [f"{n}.png,{'melanoma' if n % 2 else 'nevus'},,,{'train' if n < 28 else 'val'},{'ab'[n % 2] if n >= 28 else 'a'},D" for n in range(10, 30)]
    with pytest.raises(ValueError, match=r"no source has images to judge by \(split val\) of more than one class"):
        classified(images(tmp_path, lines), tmp_path / "out", balance="source")


def test_too_few_for_two_sides_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="both sides need some"):
        classified(images(tmp_path, ["10.png,nevus,,,,a,D", "11.png,melanoma,,,,a,D"]), tmp_path / "out")


@pytest.mark.parametrize("splits", [("test",), ("val",), ("test", "val")])
def test_nothing_is_learnt_from_images_that_the_table_keeps_aside(tmp_path: Path, splits: tuple[str, ...]) -> None:
    lines = [f"{n}.png,{'melanoma' if n // 2 % 2 else 'nevus'},,,{splits[n % len(splits)]},a,D" for n in range(10, 60)]
    said = rf"t\.csv has no image to learn from: the column split says {' or '.join(splits)} in all 50 rows .*; write train there"
    with pytest.raises(ValueError, match=said):
        classified(images(tmp_path, lines), tmp_path / "out")


def test_a_row_without_a_split_among_rows_that_have_one_is_on_no_side_and_counted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    classified(images(tmp_path, [*TABLE, "21.png,nevus,,,,a,D", "22.png,bcc,,,,a,D"]), tmp_path / "out", other_classes={"bcc": 2}, other_batch=1)
    assert "2 without a split among rows that have one" in told(capfd)
    assert not {"21", "22"} & {row.image.stem for row in read_table(tmp_path / "out" / "table.csv").rows}


def test_a_label_is_known_however_it_is_capitalised(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines = ["10.png,Nevus,,,train,a,D", "11.png, MELANOMA ,,,train,a,D", "12.png,NV,,,val,a,D", "13.png,melanoma,,,val,a,D", "14.png,Bcc,,,train,a,D"]
    classified(images(tmp_path, lines), tmp_path / "out", same_as={"nv": "nevus"})
    said = told(capfd)
    assert "4 images can be used; left out: 1 of another label" in said
    assert "judged on 1 melanoma, 1 nevus" in said


def test_a_trial_takes_labels_in_turn(tmp_path: Path) -> None:
    rows = read_table(images(tmp_path, TABLE)).rows
    assert [row.label for row in few([row for row in rows if row.label in {"nevus", "melanoma"} and row.dataset == "D"], 2)] == ["melanoma", "nevus"]
    assert few(rows, None) == list(rows)


def test_a_row_teaches_the_maps_whose_mask_it_has(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines = [
        "10.png,nevus,m255.png,,train,a,D", "11.png,,m0.png,s255.png,train,a,small", "12.png,nevus,,,train,a,D", "13.png,bcc,m255.png,,val,a,D",
    ]
    made = MaskedImages(
        data=images(tmp_path, lines), maps=["lesion", "skin"], height=8, width=8, batch=3, seed=1, folder=tmp_path / "out", repeats={"small": 2}
    )
    assert "1 without a mask" in told(capfd)
    (batch,) = list(made.training)
    shown = {int(picture[0, 0, 0]): number for number, picture in enumerate(batch["image"])}
    assert batch["mask"].shape == (3, 2, 8, 8)
    assert batch["known"][shown[10]].tolist() == [True, False]
    assert batch["known"][shown[11]].tolist() == [True, True]
    assert batch["mask"][shown[10], 0].min() == 255
    assert batch["mask"][shown[11]].flatten(1).max(dim=1).values.tolist() == [0, 255]


@pytest.mark.parametrize("name", ["m255.png", "s255.png"])
def test_a_mask_that_is_not_there_is_named_before_anything_is_decoded(tmp_path: Path, name: str) -> None:
    file = images(tmp_path, ["10.png,nevus,m255.png,s255.png,train,a,D", "11.png,nevus,m254.png,s254.png,val,a,D"])
    (tmp_path / name).unlink()
    with pytest.raises(ValueError, match=rf"t\.csv names .*{name} as mask of .*10\.png, which does not exist \(1 of 4 masks are missing\)"):
        MaskedImages(data=file, maps=["lesion", "skin"], height=8, width=8, batch=2, seed=1, folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_map_that_no_table_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a map can be lesion or skin"):
        MaskedImages(data=tmp_path, maps=["hair"], height=8, width=8, batch=3, seed=1, folder=tmp_path)

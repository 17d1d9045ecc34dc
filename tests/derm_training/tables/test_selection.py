"""Which images are measured: split, labels, data sets; what cannot be measured is named."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from derm_training.learning.loaders import ClassifiedImages
from derm_training.tables.manifest import read_table
from derm_training.tables.selection import kinds, select, synthetic

LABELS = ("nevus", "melanoma")


def table(folder: Path, columns: str, lines: list[str]) -> Path:
    """Write the table, and a picture for each first column."""
    for line in lines:
        name = folder / line.split(",")[0]
        name.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((20, 30, 3), dtype=np.uint8)).save(name)
    file = folder / "table.csv"
    file.write_text("\n".join([columns, *lines]) + "\n", encoding="utf-8")
    return file


def test_without_a_split_every_known_image_is_measured_and_the_others_are_counted(tmp_path: Path) -> None:
    file = table(tmp_path, "path,label", ["a.png,nevus", "b.png,melanoma", "c.png,bcc", "d.png,angioma"])
    chosen = select(file, split="", labels=LABELS)
    assert [row.image.name for row in chosen.rows] == ["a.png", "b.png"]
    assert (chosen.split, chosen.left_out, chosen.train) == ("all", {"of another diagnosis": 2}, ())


def test_what_the_table_keeps_aside_is_measured_unless_asked_otherwise(tmp_path: Path) -> None:
    file = table(tmp_path, "path,label,split", ["a.png,nevus,train", "b.png,melanoma,val", "c.png,nevus,test"])
    found = {split: [row.image.name for row in select(file, split=split, labels=LABELS).rows] for split in ("", "test", "train", "all")}
    assert found == {"": ["b.png"], "test": ["c.png"], "train": ["a.png"], "all": ["a.png", "b.png", "c.png"]}


def test_all_takes_rows_without_a_split_among_rows_that_have_one(tmp_path: Path) -> None:
    file = table(tmp_path, "path,label,split", ["a.png,nevus,train", "b.png,melanoma,", "c.png,nevus,val"])
    assert [row.image.name for row in select(file, split="all", labels=LABELS).rows] == ["a.png", "b.png", "c.png"]
    assert [row.image.name for row in select(file, split="", labels=LABELS).rows] == ["c.png"]


def test_what_is_left_out_is_counted_among_the_images_that_are_asked_for(tmp_path: Path) -> None:
    lines = ["a.png,nevus,train,one", "b.png,bcc,train,one", "c.png,melanoma,val,one", "d.png,bcc,val,one", "e.png,bcc,val,two"]
    file = table(tmp_path, "path,label,split,dataset", lines)
    assert select(file, split="val", labels=LABELS).left_out == {"of another diagnosis": 2}
    assert select(file, split="val", labels=LABELS, datasets=["one"]).left_out == {"of another diagnosis": 1}
    assert select(file, split="all", labels=LABELS, datasets=["one"]).left_out == {"of another diagnosis": 2}


def test_a_label_is_known_however_it_is_capitalised(tmp_path: Path) -> None:
    file = table(tmp_path, "path,label", ["a.png,Nevus", "b.png, MELANOMA ", "c.png,BCC", "d.png,nevus"])
    chosen = select(file, split="", labels=LABELS)
    assert [row.label for row in chosen.rows] == ["nevus", "melanoma", "nevus"]
    assert chosen.left_out == {"of another diagnosis": 1}
    assert [row.label for row in select(file, split="", labels=("Bcc",)).rows] == ["Bcc"], "as the bundle writes it"


def test_the_baseline_learns_from_no_lesion_that_is_measured(tmp_path: Path) -> None:
    file = table(
        tmp_path, "path,label,split,lesion_id", ["a.png,nevus,train,1", "b.png,melanoma,train,2", "c.png,nevus,val,1"]
    )
    assert [row.image.name for row in select(file, split="val", labels=LABELS).train] == ["b.png"]


def test_images_of_training_that_are_not_there_do_not_hinder_a_measurement(tmp_path: Path) -> None:
    file = table(tmp_path, "path,label,split", ["a.png,nevus,train", "b.png,melanoma,train", "c.png,nevus,val"])
    (tmp_path / "a.png").unlink()
    chosen = select(file, split="", labels=LABELS)
    assert [row.image.name for row in chosen.rows] == ["c.png"]
    assert [row.image.name for row in chosen.train] == ["b.png"]
    assert chosen.left_out == {"to train the baseline that are not there": 1}


def test_a_segmentation_takes_every_row_with_a_mask(tmp_path: Path) -> None:
    file = table(tmp_path, "path,label,mask", ["a.png,bcc,a.png", "b.png,,b.png", "c.png,nevus,"])
    chosen = select(file, split="", labels=())
    assert [row.image.name for row in chosen.rows] == ["a.png", "b.png"]
    assert chosen.left_out == {"without a mask": 1}


def test_a_papers_split_says_what_leaks(tmp_path: Path) -> None:
    lines = [f"{label}{n}.png,{label},{label}{n // 4}" for label in LABELS for n in range(20)]
    file = table(tmp_path, "path,label,lesion_id", lines)
    chosen = select(file, split="paper", labels=LABELS, seed=8)
    assert len(chosen.rows) == 4
    assert len(chosen.train) == 36
    assert "of 4 judged images show a lesion that is also in training" in chosen.leak


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    file = table(tmp_path, "path,label", ["a.png,nevus"])
    (tmp_path / "a.png").unlink()
    with pytest.raises(ValueError, match=r"a\.png, which does not exist"):
        select(file, split="", labels=LABELS)


def test_where_a_bundle_reads_grey_pictures_in_colour_are_counted_and_left_out(tmp_path: Path) -> None:
    file = table(tmp_path, "path,label,split", ["a.png,nevus,val", "b.png,melanoma,val", "c.png,nevus,train"])
    for name in "bc":
        Image.new("RGB", (30, 20), (200, 120, 110)).save(tmp_path / f"{name}.png")
    chosen = select(file, split="", labels=LABELS, colour="GREY")
    assert [row.image.name for row in chosen.rows] == ["a.png"], "three equal channels are grey"
    assert (chosen.train, chosen.left_out) == ((), {"in colour, where the bundle reads grey": 1})
    with pytest.raises(ValueError, match="all 1 are in colour, where the bundle reads grey"):
        select(file, split="train", labels=LABELS, colour="GREY")


def test_a_classifier_needs_no_masks(tmp_path: Path) -> None:
    file = table(tmp_path, "path,label,mask", ["a.png,nevus,absent.png"])
    assert len(select(file, split="", labels=LABELS).rows) == 1
    with pytest.raises(ValueError, match=r"absent\.png as mask of .*a\.png, which does not exist \(1 of 1 masks are missing\); paths are relative"):
        select(file, split="", labels=())


def test_a_mask_that_cannot_lie_on_its_picture_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    file = table(tmp_path, "path,mask", ["a.png,m.png"])
    Image.new("L", (20, 30), 255).save(tmp_path / "m.png")
    with pytest.raises(ValueError, match=r"the mask .*m\.png is 20 x 30, its picture .*a\.png is 30 x 20 when upright"):
        select(file, split="", labels=())


def test_nothing_to_measure_and_unknown_splits_are_refused_by_name(tmp_path: Path) -> None:
    file = table(tmp_path, "path,label,dataset", ["a.png,bcc,X", "b.png,nevus,X"])
    with pytest.raises(ValueError, match="labels melanoma"):
        select(file, split="", labels=("melanoma",))
    with pytest.raises(ValueError, match="datasets Y"):
        select(file, split="", labels=LABELS, datasets=("Y",))
    with pytest.raises(ValueError, match="no split 'lesion'"):
        select(file, split="lesion", labels=LABELS)


@pytest.mark.parametrize("split", ["", "val", "paper"])
def test_where_nothing_is_measured_the_labels_of_the_table_are_named(tmp_path: Path, split: str) -> None:
    file = table(tmp_path, "path,label", ["a.png,NV", "b.png,MEL", "c.png,NV"])
    with pytest.raises(ValueError, match=r"labels nevus, melanoma; the table has labels NV \(2\), MEL \(1\)$"):
        select(file, split=split, labels=LABELS)
    many = table(tmp_path, "path,label", [f"{number}.png,kind {number}" for number in range(10)])
    with pytest.raises(ValueError, match=r"kind 7 \(1\) and 2 more$"):
        select(many, split=split, labels=LABELS)


def test_where_split_or_data_set_leave_nothing_those_of_the_table_are_named(tmp_path: Path) -> None:
    lines = ["a.png,nevus,train,one", "b.png,nevus,,one", "c.png,melanoma,train,one", "d.png,bcc,val,two"]
    file = table(tmp_path, "path,label,split,dataset", lines)
    held = r"; the table has labels nevus \(2\), bcc \(1\), melanoma \(1\)"
    with pytest.raises(ValueError, match=rf"split val, .*{held}; of those asked for, splits train \(2\), none \(1\)$"):
        select(file, split="val", labels=LABELS)
    with pytest.raises(ValueError, match=rf"{held}; of those asked for, splits train \(2\), none \(1\), datasets one \(3\)$"):
        select(file, split="all", labels=LABELS, datasets=["two"])
    with pytest.raises(ValueError, match=r"rows with a mask; the table has masks in none of 4 rows$"):
        select(file, split="", labels=())
    masked = table(tmp_path, "path,mask,split", ["a.png,m.png,train"])
    with pytest.raises(ValueError, match=r"the table has masks in 1 of 1 rows; of those asked for, splits train \(1\)$"):
        select(masked, split="val", labels=())


def test_drawn_images_are_told_by_their_data_set(tmp_path: Path) -> None:
    file = table(tmp_path, "path,label,dataset", ["a.png,nevus,synthetic mosaics", "b.png,nevus,HAM10000"])
    assert [synthetic(row) for row in select(file, split="", labels=LABELS, mixed=True).rows] == [True, False]


def test_the_papers_split_takes_no_row_that_a_training_leaves_out(tmp_path: Path) -> None:
    lines = [f"{label}{n}.png,{label},{'train' if n else ''},set" for label in LABELS for n in range(20)]
    chosen = select(table(tmp_path, "path,label,split,dataset", lines), split="paper", labels=LABELS)
    assert chosen.left_out == {"without a split among rows that have one": 2}
    assert len(chosen.rows) + len(chosen.train) == 38


def test_the_papers_split_is_the_one_that_training_draws(tmp_path: Path) -> None:
    lines = [f"{label}{n}.png,{label},{label}{n // 2},set{'-full' * (n > 20)}" for label in LABELS for n in range(24)]
    file = table(tmp_path, "path,label,lesion_id,dataset", lines)
    ClassifiedImages(
        data=file, classes=list(LABELS), height=16, width=16, batch=4, seed=8, folder=tmp_path / "training", split="paper"
    )
    trained = read_table(tmp_path / "training" / "table.csv").rows
    chosen = select(file, split="paper", labels=LABELS, seed=8)
    assert {row.image.resolve() for row in chosen.rows} == {row.image for row in trained if row.split == "test"}
    assert {row.image.resolve() for row in chosen.train} == {row.image for row in trained if row.split == "train"}


def test_the_papers_split_is_drawn_without_the_data_sets_that_a_training_leaves_out(tmp_path: Path) -> None:
    lines = [f"{label}{n}.png,{label},{'X' if n < 20 else 'Y'},{'val' if n % 4 else 'train'}" for label in LABELS for n in range(24)]
    file = table(tmp_path, "path,label,dataset,split", lines)
    chosen = select(file, split="paper", labels=LABELS, without_datasets=["Y"])
    assert {row.dataset for row in (*chosen.rows, *chosen.train)} == {"X"}
    assert chosen.left_out == {"of the dataset Y": 8}
    ordinary = select(file, split="val", labels=LABELS, without_datasets=["Y"])
    assert {row.dataset for row in ordinary.rows} == {"X", "Y"}, "the table's own split is measured whole"


def test_the_papers_split_of_masks_regards_no_diagnosis(tmp_path: Path) -> None:
    file = table(tmp_path, "path,label,mask", [f"{n}.png,{'melanoma' if n == 0 else 'nevus' if n < 5 else ''},{n}.png" for n in range(40)])
    chosen = select(file, split="paper", labels=())
    assert (len(chosen.rows), len(chosen.train)) == (4, 36)


def test_a_line_on_images_says_which_of_them_were_drawn() -> None:
    assert kinds(["HAM10000", "PAD"]) == ""
    assert kinds(["synthetic mosaics", "Synthetic, composed from PAD"]) == " (SYNTHETIC)"
    assert kinds(["HAM10000", "synthetic mosaics", "HAM10000"]) == " (2 photographs, 1 SYNTHETIC)"


def test_photographs_and_drawn_pictures_are_measured_as_one_by_nobody(tmp_path: Path) -> None:
    file = table(tmp_path, "path,label,split,dataset", ["a.png,nevus,val,HAM10000", "b.png,nevus,val,synthetic", "c.png,nevus,train,synthetic"])
    with pytest.raises(ValueError, match=r"""has 1 photographs and 1 pictures drawn by a program, which share no figure: .* --datasets "\['HAM10000'\]\""""):
        select(file, split="", labels=LABELS)
    assert [row.image.name for row in select(file, split="", labels=LABELS, datasets=["HAM10000"]).rows] == ["a.png"]
    assert [row.image.name for row in select(file, split="train", labels=LABELS).rows] == ["c.png"], "what is measured is of one kind"
    assert len(select(file, split="", labels=LABELS, mixed=True).rows) == 2, "for who keeps them apart"

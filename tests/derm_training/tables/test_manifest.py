"""Tables of images: paths beside the table, splits, masks, labels."""

from pathlib import Path

import pytest

from derm_training.tables.manifest import labelled_rows, masked_rows, read_table

HEADER = "path,label,mask,lesion_id,source,dataset,split\n"


def table(folder: Path, lines: str, header: str = HEADER) -> Path:
    file = folder / "t.csv"
    file.write_text(header + lines, encoding="utf-8")
    return file


def test_paths_are_beside_the_table_and_an_image_without_a_lesion_is_its_own_group(tmp_path: Path) -> None:
    first, second = read_table(table(tmp_path, "a.jpg,nevus,m/a.png,L1,s,D,train\nb.jpg,bcc,,,s,D,val\n")).rows
    assert first.image == tmp_path / "a.jpg"
    assert first.mask == tmp_path / "m" / "a.png"
    assert (first.group, second.group) == ("L1", "b.jpg")
    assert second.mask is None


def test_a_segmentation_takes_every_row_with_a_mask(tmp_path: Path) -> None:
    file = table(tmp_path, "a.jpg,nevus,a.png,L,s,D,train\nb.jpg,nevus,b.png,L,s,D-full,train\nc.jpg,nevus,,L,s,D,train\n")
    assert [row.image.name for row in masked_rows(file, "train")] == ["a.jpg", "b.jpg"]


def test_a_classifier_leaves_out_labels_that_it_does_not_know(tmp_path: Path) -> None:
    file = table(tmp_path, "a.jpg,nevus,,L,s,D,val\nb.jpg,bcc,,L,s,D,val\nc.jpg,nevus,,L,s,D,train\n")
    assert [row.image.name for row in labelled_rows(file, "val", ("nevus", "melanoma"))] == ["a.jpg"]


def test_a_table_without_a_column_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"t\.csv lacks the columns label; it has path, source, dataset"):
        read_table(table(tmp_path, "", header="path,source,dataset\n"))


def test_a_table_of_masks_needs_no_label(tmp_path: Path) -> None:
    file = table(tmp_path, "a.jpg,a.png,val\nb.jpg,,val\n", header="path,mask,split\n")
    assert [(row.image.name, row.label) for row in masked_rows(file, "val")] == [("a.jpg", "")]


def test_a_split_is_read_however_it_is_capitalised(tmp_path: Path) -> None:
    rows = read_table(table(tmp_path, "a.jpg,nevus,,,,,Test\nb.jpg,nevus,,,,,VAL\n")).rows
    assert [row.split for row in rows] == ["test", "val"]

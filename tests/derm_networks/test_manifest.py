"""Tables of images: paths beside the table, splits, masks, labels."""

from pathlib import Path

import pytest

from derm_networks.manifest import labelled_rows, masked_rows, read_manifest

HEADER = "path,label,mask,lesion_id,source,dataset,split\n"


def table(folder: Path, lines: str, header: str = HEADER) -> Path:
    file = folder / "t.csv"
    file.write_text(header + lines, encoding="utf-8")
    return file


def test_paths_are_beside_the_table_and_an_image_without_a_lesion_is_its_own_group(tmp_path: Path) -> None:
    first, second = read_manifest(table(tmp_path, "a.jpg,nevus,m/a.png,L1,s,D,train\nb.jpg,bcc,,,s,D,val\n"))
    assert first.image == tmp_path / "a.jpg"
    assert first.mask == tmp_path / "m" / "a.png"
    assert (first.group, second.group) == ("L1", "b.jpg")
    assert second.mask is None


def test_training_masks_leave_out_the_full_resolution_sets(tmp_path: Path) -> None:
    file = table(tmp_path, "a.jpg,nevus,a.png,L,s,D,train\nb.jpg,nevus,b.png,L,s,D-full,train\nc.jpg,nevus,,L,s,D,train\n")
    assert [row.image.name for row in masked_rows(file, "train")] == ["a.jpg"]


def test_a_classifier_leaves_out_labels_that_it_does_not_know(tmp_path: Path) -> None:
    file = table(tmp_path, "a.jpg,nevus,,L,s,D,val\nb.jpg,bcc,,L,s,D,val\nc.jpg,nevus,,L,s,D,train\n")
    assert [row.image.name for row in labelled_rows(file, "val", ("nevus", "melanoma"))] == ["a.jpg"]


def test_a_table_without_a_column_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lesion_id, split"):
        read_manifest(table(tmp_path, "", header="path,label,source,dataset\n"))

"""The table of predictions: one row an image, named as readers' tables name it, with all that a comparison needs."""

import csv
from pathlib import Path

import numpy as np
import pytest

from derm_training.measuring.class_figures import Judged
from derm_training.measuring.prediction_table import (
    Line,
    classified_lines,
    drawn_lines,
    is_predictions,
    write_predictions,
)
from derm_training.tables.rows import Row

COMMON = ["image", "path", "table", "lesion_id", "dataset", "source", "split", "synthetic", "label"]


def row(image: Path, label: str = "nevus", *, dataset: str = "spots", lesion: str = "") -> Row:
    return Row(
        image=image, mask=None, label=label, split="val", dataset=dataset, source="A", group=lesion or str(image), lesion_known=bool(lesion)
    )


def judged(probabilities: list[list[float]], positive: int | None, threshold: float = 0.5) -> Judged:
    count = len(probabilities)
    return Judged(
        truth=np.zeros(count, dtype=np.intp), probabilities=np.array(probabilities), groups=tuple(map(str, range(count))), positive=positive,
        threshold=threshold, baseline=None,
    )  # fmt: skip


def read(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_an_image_has_its_name_path_origin_and_what_is_said_of_it(tmp_path: Path) -> None:
    rows = [row(tmp_path / "img" / "ISIC_1.jpg", "melanoma", lesion="L7"), row(tmp_path / "img" / "b.c.png", dataset="synthetic spots")]
    lines = classified_lines(tmp_path / "t.csv", rows, judged([[0.7, 0.3], [0.9, 0.1]], 1, threshold=0.2), ["nevus", "melanoma"])
    write_predictions(tmp_path / "out.csv", lines)
    first, second = read(tmp_path / "out.csv")
    assert list(first) == [*COMMON, "call", "score", "p_nevus", "p_melanoma"]
    assert first == {
        "image": "ISIC_1", "path": "img/ISIC_1.jpg", "table": "t.csv", "lesion_id": "L7", "dataset": "spots", "source": "A", "split": "val",
        "synthetic": "0", "label": "melanoma", "call": "melanoma", "score": "0.3", "p_nevus": "0.7", "p_melanoma": "0.3",
    }  # fmt: skip
    assert (second["image"], second["lesion_id"], second["synthetic"], second["call"]) == ("b.c", "", "1", "nevus")


@pytest.mark.parametrize(("name", "image"), [("1.2.840.10008.7", "1.2.840.10008.7"), ("1.2.840.10008.7.dcm", "1.2.840.10008.7"), ("IM0001", "IM0001")])
def test_a_file_of_dicom_that_is_named_by_its_uid_keeps_the_whole_of_it(name: str, image: str, tmp_path: Path) -> None:
    (line,) = classified_lines(tmp_path, [row(tmp_path / name)], judged([[0.7, 0.3]], 1), ["nevus", "melanoma"])
    assert (line["image"], line["path"]) == (image, name)


def test_an_image_outside_the_tables_folder_is_named_by_its_whole_path(tmp_path: Path) -> None:
    (line,) = drawn_lines(tmp_path / "tables" / "t.csv", [row(tmp_path / "img" / "a.png")], np.array([0.5]), np.array([0.667]))
    assert line["path"] == str(tmp_path / "img" / "a.png")
    assert [*line] == [*COMMON, "jaccard", "dice"]
    assert (line["jaccard"], line["dice"]) == (0.5, 0.667)


def test_classes_without_a_positive_one_have_no_score(tmp_path: Path) -> None:
    (line,) = classified_lines(tmp_path / "t.csv", [row(tmp_path / "a.png")], judged([[0.2, 0.5, 0.3]], None), ["a", "b", "c"])
    assert (line["call"], line["score"], line["p_b"]) == ("b", "", 0.5)


def test_kinds_of_images_whose_classes_differ_stand_in_one_file_with_empty_cells(tmp_path: Path) -> None:
    real = classified_lines(tmp_path / "t.csv", [row(tmp_path / "a.png")], judged([[0.7, 0.3]], 1), ["nevus", "melanoma"])
    made = classified_lines(tmp_path / "t.csv", [row(tmp_path / "b.png", dataset="synthetic")], judged([[0.6, 0.4]], None), ["nevus", "bcc"])
    write_predictions(tmp_path / "out.csv", [*real, *made])
    first, second = read(tmp_path / "out.csv")
    assert (first["p_melanoma"], first["p_bcc"]) == ("0.3", "")
    assert (second["p_melanoma"], second["p_bcc"]) == ("", "0.4")


def test_no_digit_of_a_probability_is_lost_so_that_no_two_images_tie_in_the_file_alone(tmp_path: Path) -> None:
    close = [0.1, np.nextafter(0.1, 1)]
    lines: list[Line] = classified_lines(
        tmp_path / "t.csv", [row(tmp_path / "a.png"), row(tmp_path / "b.png")], judged([[1 - one, one] for one in close], 1), ["nevus", "melanoma"]
    )
    write_predictions(tmp_path / "out.csv", lines)
    assert [float(one["score"]) for one in read(tmp_path / "out.csv")] == close


def test_only_a_table_of_predictions_may_be_replaced(tmp_path: Path) -> None:
    write_predictions(tmp_path / "out.csv", drawn_lines(tmp_path, [row(tmp_path / "a.png")], np.array([0.5]), np.array([0.667])))
    (tmp_path / "t.csv").write_text("path,label\n", encoding="utf-8")
    assert is_predictions(tmp_path / "out.csv")
    assert not any(map(is_predictions, (tmp_path / "t.csv", tmp_path, tmp_path / "none.csv")))
    assert {one.name for one in tmp_path.iterdir()} == {"out.csv", "t.csv"}

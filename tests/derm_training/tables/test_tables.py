"""Tables in every layout: our CSV, ISIC's and HAM10000's own folders, folders of DICOM; what is left out, and what is wrong."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from derm_training.tables.manifest import read_table, write_table
from derm_training.tables.rows import Row
from tests.derm_training.tables.dicom_files import dicom


def csv(folder: Path, text: str, name: str = "t.csv") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def picture(file: Path, shade: int = 90) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 4), (shade, 60, 30)).save(file)
    return file


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,split\n", r"t\.csv lacks the columns label; it has path, split"),
        ("path,label\n,nevus\n", r"t\.csv line 2: the column path is empty"),
        ("path,label\na.jpg,nevus\nb.jpg,nevus,extra\n", r"t\.csv line 3: more values than columns"),
        ("path,label,split\na.jpg,nevus,training\n", r"t\.csv line 2: split is 'training'; write train, val or test"),
        ("image,class\n", r"t\.csv lacks the column path .* it has image, class$"),
        ("Path,Label\na.jpg,nevus\n", r"t\.csv lacks the columns label, path; it has Path, Label"),
        ("path;label\na.jpg;nevus\n", r"t\.csv lacks the column path .* it has path;label, one column: save it with commas in place of semicolons"),
    ],
)
def test_a_wrong_table_is_refused_by_file_and_line_or_column(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_table(csv(tmp_path, text))


def test_a_table_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("path,label\na.jpg,naevus bleu é\n".encode("latin-1"))
    with pytest.raises(ValueError, match="save it as CSV in UTF-8"):
        read_table(tmp_path / "t.csv")


def test_path_and_label_are_enough_and_rows_that_say_nothing_are_counted(tmp_path: Path) -> None:
    made = read_table(csv(tmp_path, "path,label\na.jpg,nevus\nb.jpg,\n"))
    (row,) = made.rows
    assert (row.label, row.split, row.dataset, row.source, row.mask) == ("nevus", "", "", "", None)
    assert not row.lesion_known
    assert made.left_out == {"without label and mask": 1}
    assert made.sentence().endswith("1 images; left out: 1 without label and mask")


@pytest.mark.parametrize(("line", "known"), [("./a.jpg,nevus,", False), ("a.jpg,nevus,jpg", True), ("a.jpg,nevus,a.jpg", True)])
def test_a_lesion_is_known_where_the_table_names_one_whatever_the_path_looks_like(tmp_path: Path, line: str, known: bool) -> None:
    (row,) = read_table(csv(tmp_path, f"path,label,lesion_id\n{line}\n")).rows
    assert row.lesion_known == known


def test_a_row_without_a_split_among_rows_that_have_one_is_read(tmp_path: Path) -> None:
    made = read_table(csv(tmp_path, "path,label,split\na.jpg,nevus,train\nb.jpg,nevus,\n"))
    assert [row.split for row in made.rows] == ["train", ""]
    assert made.left_out == {}


def test_a_written_table_reads_back_from_anywhere(tmp_path: Path) -> None:
    rows = [
        Row(image=tmp_path / "a.jpg", mask=tmp_path / "m.png", skin=tmp_path / "s.png", label="nevus", split="val", dataset="D", source="s, t", group="L1"),
        Row(image=tmp_path / "b.jpg", mask=None, label="bcc", split="train", dataset="D", source="", group="b.jpg", lesion_known=False),
    ]
    write_table(tmp_path / "other" / "t.csv", rows)
    first, second = read_table(tmp_path / "other" / "t.csv").rows
    assert first == rows[0]
    assert (second.image, second.label, second.lesion_known) == (rows[1].image, "bcc", False)


@pytest.mark.parametrize("name", ["HAM10000_metadata", "HAM10000_metadata.csv"])
def test_ham10000_is_read_as_published(tmp_path: Path, name: str) -> None:
    csv(
        tmp_path,
        "lesion_id,image_id,dx,dx_type,age,sex,localization\n"
        "HAM_1,ISIC_1,mel,histo,50,male,back\nHAM_1,ISIC_2,mel,histo,50,male,back\nHAM_2,ISIC_3,nv,histo,40,male,back\nHAM_3,ISIC_4,nv,histo,40,male,back\n",
        name,
    )
    picture(tmp_path / "HAM10000_images_part_1" / "ISIC_1.jpg")
    picture(tmp_path / "HAM10000_images_part_2" / "ISIC_2.jpg")
    picture(tmp_path / "HAM10000_images_part_2" / "ISIC_3.jpg")
    picture(tmp_path / "masks" / "ISIC_3_segmentation.png")
    made = read_table(tmp_path)
    assert [(row.image.stem, row.label, row.group) for row in made.rows] == [
        ("ISIC_1", "melanoma", "HAM_1"), ("ISIC_2", "melanoma", "HAM_1"), ("ISIC_3", "nevus", "HAM_2"),
    ]
    assert [row.mask is not None for row in made.rows] == [False, False, True]
    assert {row.dataset for row in made.rows} == {"HAM10000"}
    assert made.left_out == {"whose image is not in the folder": 1}
    assert read_table(tmp_path / name).rows == made.rows


def test_the_challenge_of_2018_is_read_as_published_with_its_split_and_lesions(tmp_path: Path) -> None:
    header = "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC\n"
    csv(tmp_path, header + "ISIC_1,1.0,0.0,0.0,0.0,0.0,0.0,0.0\nISIC_2,0.0,0.0,0.0,0.0,0.0,1.0,0.0\n", "ISIC2018_Task3_Training_GroundTruth.csv")
    csv(tmp_path, header + "ISIC_3,0.0,1.0,0.0,0.0,0.0,0.0,0.0\n", "ISIC2018_Task3_Validation_GroundTruth.csv")
    csv(tmp_path, "image,lesion_id,diagnosis_confirm_type\nISIC_1,HAM_9,histopathology\n", "ISIC2018_Task3_Training_LesionGroupings.csv")
    for number in (1, 2, 3):
        picture(tmp_path / "images" / f"ISIC_{number}.jpg")
    rows = read_table(tmp_path).rows
    assert [(row.label, row.split, row.lesion_known) for row in rows] == [
        ("melanoma", "train", True), ("dermatofibroma", "train", False), ("nevus", "val", False),
    ]
    assert rows[0].group == "HAM_9"
    assert {row.dataset for row in rows} == {"ISIC2018_Task3"}, "training and validation are of one collection"


def unzipped(folder: Path, part: str, image: str, labels: str = "1.0,0.0") -> Path:
    """Lay a part of the challenge of 2018 out as its own zip files do; returns its table."""
    picture(folder / f"ISIC2018_Task3_{part}_Input" / f"{image}.jpg")
    name = f"ISIC2018_Task3_{part}_GroundTruth"
    return csv(folder / name, f"image,MEL,NV\n{image},{labels}\n", f"{name}.csv")


def test_the_challenge_of_2018_is_read_as_its_own_zip_files_lie(tmp_path: Path) -> None:
    table = unzipped(tmp_path, "Training", "ISIC_1")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "._GroundTruth.csv").write_bytes(b"\x00\x05\xff")
    csv(tmp_path / "groupings", "image,lesion_id\nISIC_1,HAM_9\n", "ISIC2018_Task3_Training_LesionGroupings.csv")
    (row,) = read_table(tmp_path).rows
    assert (row.image.stem, row.label, row.split, row.group, row.dataset) == ("ISIC_1", "melanoma", "", "HAM_9", "ISIC2018_Task3")
    assert read_table(table).rows == (row,), "the inner table"
    assert read_table(table.parent).rows == (row,), "the folder that has the table alone"
    unzipped(tmp_path, "Validation", "ISIC_2", "0.0,1.0")
    assert [(row.label, row.split) for row in read_table(tmp_path).rows] == [("melanoma", "train"), ("nevus", "val")]


def test_tables_below_that_no_rule_brings_together_are_named(tmp_path: Path) -> None:
    unzipped(tmp_path, "Training", "ISIC_1")
    other = csv(tmp_path / "more", "lesion_id,image_id,dx\nHAM_1,ISIC_1,nv\n", "HAM10000_metadata.csv")
    with pytest.raises(ValueError, match=r"several .*: .*Training_GroundTruth\.csv, more/HAM10000_metadata\.csv; name one of them"):
        read_table(tmp_path)
    other.unlink()
    copy = csv(tmp_path / "copy", "image,MEL,NV\nISIC_1,0.0,1.0\n", "ISIC2018_Task3_Training_GroundTruth.csv")
    with pytest.raises(ValueError, match="name one of them"):
        read_table(tmp_path)
    with pytest.raises(ValueError, match=r"no image of its table lies below .*copy; .* or name the folder that has table and images below it"):
        read_table(copy)


def test_a_table_beside_its_pictures_takes_none_from_other_folders(tmp_path: Path) -> None:
    picture(tmp_path / "masked" / "ISIC_1.jpg")
    own = picture(tmp_path / "own" / "ISIC_1.jpg")
    table = csv(tmp_path / "own", "image,MEL,NV\nISIC_1,1.0,0.0\n", "own.csv")
    assert [row.image for row in read_table(table).rows] == [own]


def test_labels_of_dicom_go_before_tables_in_folders_below(tmp_path: Path) -> None:
    uid = dicom(tmp_path / "1", np.zeros((4, 6, 3), dtype=np.uint8))
    csv(tmp_path, f"SOPInstanceUID,label\n{uid},nevus\n", "labels.csv")
    unzipped(tmp_path, "Training", "ISIC_1")
    picture(tmp_path / "masks" / "1_Segmentation.png")
    assert [row.image.name for row in read_table(tmp_path).rows] == ["1"]


def test_of_a_folders_other_tables_the_header_alone_is_read(tmp_path: Path) -> None:
    csv(tmp_path, "lesion_id,image_id,dx\nHAM_1,ISIC_1,nv\n", "HAM10000_metadata.csv")
    picture(tmp_path / "ISIC_1.jpg")
    csv(tmp_path, "pixel0000,pixel0001,label\n1,2,3,what makes a whole read fail\n", "hmnist_28_28_RGB.csv")
    assert [row.group for row in read_table(tmp_path).rows] == ["HAM_1"]


def test_the_challenge_of_2019_keeps_its_lesions_in_its_metadata(tmp_path: Path) -> None:
    csv(tmp_path, "image,MEL,NV\nISIC_1,1.0,0.0\nISIC_2,1.0,0.0\nISIC_3,0.0,1.0\n", "ISIC_2019_Training_GroundTruth.csv")
    csv(tmp_path, "image,age_approx,lesion_id,sex\nISIC_1,50,BCN_1,male\nISIC_2,50,BCN_1,male\nISIC_3,50,,male\n", "ISIC_2019_Training_Metadata.csv")
    for number in (1, 2, 3):
        picture(tmp_path / f"ISIC_{number}.jpg")
    rows = read_table(tmp_path).rows
    assert [(row.group, row.lesion_known) for row in rows] == [("BCN_1", True), ("BCN_1", True), ("ISIC_3.jpg", False)]


@pytest.mark.parametrize("name", ["image", "image_id", "image_name", "isic_id"])
def test_any_table_of_the_folder_may_name_the_lesions(tmp_path: Path, name: str) -> None:
    csv(tmp_path, "image,MEL,NV\nISIC_1,1.0,0.0\n", "x_GroundTruth.csv")
    csv(tmp_path, f"{name},Lesion_ID\nISIC_1,L1\n", "notes.csv")
    picture(tmp_path / "ISIC_1.jpg")
    assert [row.group for row in read_table(tmp_path).rows] == ["L1"]


def test_of_two_tables_with_lesions_the_one_that_knows_more_images_speaks(tmp_path: Path) -> None:
    csv(tmp_path, "image,MEL,NV\nISIC_1,1.0,0.0\nISIC_2,1.0,0.0\nISIC_3,1.0,0.0\n", "x_GroundTruth.csv")
    csv(tmp_path, "image,lesion_id\nISIC_1,A\nISIC_3,B\n", "few.csv")
    csv(tmp_path, "image,lesion_id\nISIC_1,C\nISIC_2,C\nISIC_4,D\n", "many.csv")
    for number in (1, 2, 3):
        picture(tmp_path / f"ISIC_{number}.jpg")
    assert [row.group for row in read_table(tmp_path).rows] == ["C", "C", "B"]


def test_the_challenge_of_2017_calls_neither_melanoma_nor_keratosis_a_nevus(tmp_path: Path) -> None:
    csv(tmp_path, "image_id,melanoma,seborrheic_keratosis\nISIC_1,1.0,0.0\nISIC_2,0.0,1.0\nISIC_3,0.0,0.0\n", "ISIC-2017_Training_Part3_GroundTruth.csv")
    for number in (1, 2, 3):
        picture(tmp_path / f"ISIC_{number}.jpg")
    rows = read_table(tmp_path).rows
    assert [row.label for row in rows] == ["melanoma", "seborrheic_keratosis", "nevus"]
    assert {row.split for row in rows} == {""}, "one part alone is no split"


def test_the_challenge_of_2020_tells_melanoma_by_its_target(tmp_path: Path) -> None:
    csv(
        tmp_path,
        "image_name,patient_id,sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target\n"
        "ISIC_1,IP_1,male,45,torso,melanoma,malignant,1\nISIC_2,IP_1,male,45,torso,nevus,benign,0\nISIC_3,IP_1,male,45,torso,unknown,benign,0\n",
        "ISIC_2020_Training_GroundTruth.csv",
    )
    for number in (1, 2, 3):
        picture(tmp_path / f"ISIC_{number}.jpg")
    rows = read_table(tmp_path).rows
    assert [row.label for row in rows] == ["melanoma", "nevus", "benign_unspecified"]
    assert len({row.group for row in rows}) == 1, "without a lesion the patient is the group, as in DICOM"
    assert all(row.lesion_known for row in rows)
    assert not any("IP_1" in row.group for row in rows)


@pytest.mark.parametrize("name", ["ISIC_1_segmentation.png", "ISIC_1_Segmentation.png"])
def test_images_with_masks_alone_are_enough_for_a_segmentation(tmp_path: Path, name: str) -> None:
    picture(tmp_path / "in" / "ISIC_1.jpg")
    picture(tmp_path / "out" / name)
    (row,) = read_table(tmp_path).rows
    assert row.label == ""
    assert row.mask == tmp_path / "out" / name


def test_a_number_that_is_none_is_refused_by_its_line(tmp_path: Path) -> None:
    csv(tmp_path, "image,MEL,NV\nISIC_1,yes,0\n", "x_GroundTruth.csv")
    with pytest.raises(ValueError, match=r"x_GroundTruth\.csv line 2: 'yes' stands where 0 or 1 is wanted"):
        read_table(tmp_path)


def test_a_folder_of_dicom_is_labelled_by_uid_and_grouped_by_patient_without_the_identifier(tmp_path: Path) -> None:
    pixels = np.zeros((4, 6, 3), dtype=np.uint8)
    first = dicom(tmp_path / "a" / "1", pixels, PatientID="SECRET-7", ManufacturerModelName="Camera")
    second = dicom(tmp_path / "a" / "2", pixels, PatientID="SECRET-7")
    dicom(tmp_path / "3", pixels)
    several = dicom(tmp_path / "4", np.zeros((4, 6), dtype=np.uint8), "MONOCHROME2", NumberOfFrames=2, PixelData=bytes(48))
    (tmp_path / "notes.txt").write_text("not DICOM", encoding="utf-8")
    csv(tmp_path, f"SOPInstanceUID,label\n{first},nevus\n{second},melanoma\n{several},nevus\n1.2.3,nevus\n", "labels.csv")
    made = read_table(tmp_path)
    assert {(row.label, row.source) for row in made.rows} == {("nevus", "Camera"), ("melanoma", "")}
    assert len({row.group for row in made.rows}) == 1
    assert not any("SECRET" in row.group for row in made.rows)
    assert made.left_out == {"DICOM files without a label": 1, "of several frames": 1, "labels without a file": 1}
    assert read_table(tmp_path / "labels.csv").rows == made.rows


def test_images_of_dicom_without_lesion_and_patient_are_each_a_group_of_which_nobody_knows(tmp_path: Path) -> None:
    pixels = np.zeros((4, 6, 3), dtype=np.uint8)
    uids = [dicom(tmp_path / folder / "IM1", pixels) for folder in "ab"]
    csv(tmp_path, "SOPInstanceUID,label\n" + "".join(f"{uid},nevus\n" for uid in uids), "labels.csv")
    rows = read_table(tmp_path).rows
    assert len({row.group for row in rows}) == 2
    assert not any(row.lesion_known for row in rows)


def test_what_the_service_refuses_is_counted_with_its_reason(tmp_path: Path) -> None:
    pixels = np.zeros((4, 6, 3), dtype=np.uint8)
    read = dicom(tmp_path / "1", pixels)
    burned = dicom(tmp_path / "2", pixels, BurnedInAnnotation="YES")
    other = dicom(tmp_path / "3", pixels, "HSV")
    tile = dicom(tmp_path / "4", pixels, TotalPixelMatrixRows=8, TotalPixelMatrixColumns=6)
    csv(tmp_path, "SOPInstanceUID,label\n" + "".join(f"{uid},nevus\n" for uid in (read, burned, other, tile)), "labels.csv")
    made = read_table(tmp_path)
    assert [row.image.name for row in made.rows] == ["1"]
    assert made.left_out == {
        "that the service refuses as well (Burned In Annotation (0028,0301) is YES)": 1,
        "that the service refuses as well (photometric interpretation HSV is not read)": 1,
        "that are a tile of a larger picture": 1,
    }
    (tmp_path / "1").unlink()
    with pytest.raises(ValueError, match=r"none of its 3 DICOM files can be used; left out: 1 that the service refuses as well"):
        read_table(tmp_path)


def test_the_split_of_dicom_is_read_as_that_of_pictures_is(tmp_path: Path) -> None:
    first, second = (dicom(tmp_path / name, np.zeros((4, 6, 3), dtype=np.uint8)) for name in ("1", "2"))
    csv(tmp_path, f"SOPInstanceUID,label,Split\n{first},nevus,Train\n{second},melanoma,VAL\n", "labels.csv")
    assert {row.label: row.split for row in read_table(tmp_path).rows} == {"nevus": "train", "melanoma": "val"}
    csv(tmp_path, f"SOPInstanceUID,label,split\n{first},nevus,train\n{second},melanoma,valid\n", "labels.csv")
    with pytest.raises(ValueError, match=r"labels\.csv line 3: split is 'valid'; write train, val or test"):
        read_table(tmp_path)


def test_a_folder_of_dicom_without_labels_says_what_it_wants(tmp_path: Path) -> None:
    dicom(tmp_path / "1", np.zeros((4, 6, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match=r"labels\.csv does not exist; a folder of DICOM wants it, with the columns SOPInstanceUID and label"):
        read_table(tmp_path)

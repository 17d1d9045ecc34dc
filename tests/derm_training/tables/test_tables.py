"""Tables in every layout: our CSV, ISIC's and HAM10000's own folders, folders of DICOM; what is left out, and what is wrong."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, VLPhotographicImageStorage, generate_uid

from derm_training.tables.manifest import read_rgb, read_table, write_table
from derm_training.tables.rows import Row


def csv(folder: Path, text: str, name: str = "t.csv") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def picture(file: Path, shade: int = 90) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 4), (shade, 60, 30)).save(file)
    return file


def dicom(file: Path, pixels: NDArray[np.generic], photometric: str = "RGB", **more: object) -> str:
    """Write pixels (rows, columns[, 3]) and return the SOP Instance UID."""
    made = Dataset()
    made.SOPClassUID = VLPhotographicImageStorage
    made.SOPInstanceUID = generate_uid()
    made.Rows, made.Columns = pixels.shape[:2]
    made.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    if pixels.ndim == 3:
        made.PlanarConfiguration = 0
    made.PhotometricInterpretation = photometric
    made.BitsAllocated = made.BitsStored = 8 * pixels.dtype.itemsize
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = 0
    made.PixelData = pixels.tobytes()
    for name, value in more.items():
        setattr(made, name, value)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(file, enforce_file_format=True)
    return str(made.SOPInstanceUID)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,split\n", r"t\.csv lacks the columns label; it has path, split"),
        ("path,label\n,nevus\n", r"t\.csv line 2: the column path is empty"),
        ("path,label\na.jpg,nevus\nb.jpg,nevus,extra\n", r"t\.csv line 3: more values than columns"),
        ("path,label,split\na.jpg,nevus,training\n", r"t\.csv line 2: split is 'training'; write train, val or test"),
        ("image,class\n", r"t\.csv lacks the column path .* it has image, class"),
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


def test_a_row_without_a_split_among_rows_that_have_one_is_read(tmp_path: Path) -> None:
    made = read_table(csv(tmp_path, "path,label,split\na.jpg,nevus,train\nb.jpg,nevus,\n"))
    assert [row.split for row in made.rows] == ["train", ""]
    assert made.left_out == {}


def test_a_written_table_reads_back_from_anywhere(tmp_path: Path) -> None:
    rows = [
        Row(image=tmp_path / "a.jpg", mask=tmp_path / "m.png", skin=tmp_path / "s.png", label="nevus", split="val", dataset="D", source="s, t", group="L1"),
        Row(image=tmp_path / "b.jpg", mask=None, label="bcc", split="train", dataset="D", source="", group="b.jpg"),
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
    assert [row.label for row in read_table(tmp_path).rows] == ["melanoma", "nevus", "benign_unspecified"]


def test_images_with_masks_alone_are_enough_for_a_segmentation(tmp_path: Path) -> None:
    picture(tmp_path / "in" / "ISIC_1.jpg")
    picture(tmp_path / "out" / "ISIC_1_segmentation.png")
    (row,) = read_table(tmp_path).rows
    assert row.label == ""
    assert row.mask == tmp_path / "out" / "ISIC_1_segmentation.png"


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


def test_the_pixels_of_dicom_come_as_rgb(tmp_path: Path) -> None:
    colour = np.random.default_rng(1).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    dicom(tmp_path / "rgb", colour)
    assert np.array_equal(read_rgb(tmp_path / "rgb"), colour)
    grey = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
    dicom(tmp_path / "grey", grey, "MONOCHROME2")
    dicom(tmp_path / "inverted", grey, "MONOCHROME1")
    assert np.array_equal(read_rgb(tmp_path / "grey"), np.repeat(grey[..., None], 3, axis=2))
    assert np.array_equal(read_rgb(tmp_path / "inverted"), 255 - np.repeat(grey[..., None], 3, axis=2))
    deep = np.full((4, 6), 65535, dtype=np.uint16)
    deep[0, 0] = 0
    dicom(tmp_path / "deep", deep, "MONOCHROME2")
    assert read_rgb(tmp_path / "deep").tolist()[0][:2] == [[0, 0, 0], [255, 255, 255]]
    tables = {
        f"{name}PaletteColorLookupTable{part}": value
        for name, shade in (("Red", 200), ("Green", 100), ("Blue", 50))
        for part, value in (("Descriptor", [2, 0, 16]), ("Data", np.array([0, shade << 8], dtype=np.uint16).tobytes()))
    }
    dicom(tmp_path / "palette", np.eye(4, 6, dtype=np.uint8), "PALETTE COLOR", **tables)
    assert read_rgb(tmp_path / "palette")[0, :2].tolist() == [[200, 100, 50], [0, 0, 0]]


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("no picture at all, though longer than a DICOM preamble" * 5, encoding="utf-8")
    with pytest.raises(ValueError, match=r"a\.jpg is no image that can be read: PNG, JPEG or DICOM"):
        read_rgb(tmp_path / "a.jpg")

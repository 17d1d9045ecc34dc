"""The presentation state: contour and call over a colour image, and the last look at it."""

import hashlib
import io
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import Dataset

from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.errors import Defect
from derm_pacs.domain.findings import CaseFindings
from derm_pacs.results.contour import outline


def made(kit: Any, *sources: Any, case: CaseFindings | None = None) -> tuple[Composed, ...]:
    case = case or kit.whole_case(list(sources))
    given = {"edition": kit.edition(Form.PRESENTATION)}
    objects: tuple[Composed, ...] = kit.composed(case, *sources, **given)
    kit.checked(objects, case, *sources, **given)
    return objects


def read(one: Composed) -> Dataset:
    return pydicom.dcmread(io.BytesIO(one.data))


def test_the_contour_is_a_closed_polyline_on_a_layer_of_its_own(kit: Any) -> None:
    source = kit.Source()
    (one,) = made(kit, source)
    dataset = read(one)
    (annotation,), (layer,) = dataset.GraphicAnnotationSequence, dataset.GraphicLayerSequence
    assert annotation.GraphicLayer == layer.GraphicLayer == "AI_CONTOUR"
    (graphic,) = annotation.GraphicObjectSequence
    assert (graphic.GraphicType, graphic.GraphicAnnotationUnits, graphic.GraphicFilled) == ("POLYLINE", "PIXEL", "N")
    points = np.array(graphic.GraphicData).reshape(-1, 2)
    assert np.allclose(points, outline(source.mask), atol=0.001)
    assert np.array_equal(points[0], points[-1])
    assert graphic.TrackingUID


def test_the_words_say_call_threshold_setter_and_research_use(kit: Any) -> None:
    (text,) = read(made(kit, kit.Source())[0]).GraphicAnnotationSequence[0].TextObjectSequence
    said = text.UnformattedTextValue
    assert said.startswith("AI result, research use, not for primary diagnosis")
    assert "SYNTHETIC Lesion 1" in said
    assert "Melanoma. Probability of melanoma 87.3 %, at or above the threshold of 50 % set by bundle author" in said
    assert text.BoundingBoxAnnotationUnits == "DISPLAY"
    left, right = text.BoundingBoxTopLeftHandCorner, text.BoundingBoxBottomRightHandCorner
    assert left[0] > 0.1 and right[0] < 0.9 and left[1] > 0.5


def test_a_frame_of_several_is_referenced_by_its_number(kit: Any) -> None:
    source = kit.Source(sop_class=kit.MULTI_FRAME_CAPTURE, frames=2)
    objects = made(kit, source)
    frames = [read(one).GraphicAnnotationSequence[0].ReferencedImageSequence[0].ReferencedFrameNumber for one in objects]
    assert frames == [1, 2]
    assert len({one.series_instance_uid for one in objects}) == 2


def test_frames_in_a_single_frame_class_are_presented_under_the_class_that_they_came_in(kit: Any) -> None:
    objects = [read(one) for one in made(kit, kit.Source(frames=2))]
    references = [one.GraphicAnnotationSequence[0].ReferencedImageSequence[0] for one in objects]
    assert [(one.ReferencedSOPClassUID, one.ReferencedFrameNumber) for one in references] == [(kit.DERMOSCOPIC, 1), (kit.DERMOSCOPIC, 2)]


@pytest.mark.parametrize("attributes", [{"grey": True}, {"sop_class": "1.2.840.10008.5.1.4.1.1.77.1.8", "grey": True}])
def test_a_grey_image_has_none_since_the_class_presents_colour_images_only(kit: Any, attributes: dict[str, Any]) -> None:
    assert made(kit, kit.Source(**attributes)) == ()


def test_a_frame_without_an_outlined_lesion_has_none(kit: Any) -> None:
    source = kit.Source()
    case = CaseFindings(runs=(kit.CLASSIFIER,), findings=(source.finding("b" * 64, [kit.diagnosis(0.9)]),))
    assert made(kit, source, case=case) == ()


def test_an_icc_profile_of_an_input_device_is_kept_and_a_displays_is_replaced(kit: Any) -> None:
    plain = bytes(read(made(kit, kit.Source())[0]).ICCProfile)
    assert plain[12:16] == b"spac"
    for kind, kept in ((b"scnr", True), (b"mntr", False)):
        own = plain[:12] + kind + plain[16:]
        source = kit.Source(attributes=kit.BASIC | {"ICCProfile": own})
        assert (bytes(read(made(kit, source)[0]).ICCProfile) == own) is kept


def test_the_same_case_gives_the_same_bytes(kit: Any) -> None:
    assert made(kit, kit.Source())[0].sha256 == made(kit, kit.Source())[0].sha256


@pytest.mark.parametrize("attributes", [{}, {"sop_class": "1.2.840.10008.5.1.4.1.1.7.4", "frames": 2}, {"site": True}], ids=str)
def test_dciodvfy_reports_no_error(kit: Any, tmp_path: Path, attributes: dict[str, Any]) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (apt-get install dicom3tools)")
    values = {"attributes": kit.BASIC | kit.skin_of_back()} if "site" in attributes else attributes
    for one in made(kit, kit.Source(**values)):
        file = tmp_path / "state.dcm"
        file.write_bytes(one.data)
        done = subprocess.run(["dciodvfy", "-new", file], capture_output=True, text=True, check=False)
        assert [line for line in done.stderr.splitlines() if line.startswith("Error")] == []


def moved(dataset: Dataset) -> None:
    graphic = dataset.GraphicAnnotationSequence[0].GraphicObjectSequence[0]
    graphic.GraphicData = [one + 3 for one in graphic.GraphicData]


def outside(dataset: Dataset) -> None:
    graphic = dataset.GraphicAnnotationSequence[0].GraphicObjectSequence[0]
    graphic.GraphicData = [one + 60 for one in graphic.GraphicData]


def no_contour(dataset: Dataset) -> None:
    del dataset.GraphicAnnotationSequence[0].GraphicObjectSequence


def in_display_units(dataset: Dataset) -> None:
    dataset.GraphicAnnotationSequence[0].GraphicObjectSequence[0].GraphicAnnotationUnits = "DISPLAY"


def no_honesty(dataset: Dataset) -> None:
    text = dataset.GraphicAnnotationSequence[0].TextObjectSequence[0]
    text.UnformattedTextValue = text.UnformattedTextValue.replace("not for primary diagnosis", "")


def other_call(dataset: Dataset) -> None:
    text = dataset.GraphicAnnotationSequence[0].TextObjectSequence[0]
    text.UnformattedTextValue = text.UnformattedTextValue.replace("Melanoma", "Nevus")


def two_layers(dataset: Dataset) -> None:
    dataset.GraphicLayerSequence.append(dataset.GraphicLayerSequence[0])


CHANGES: list[tuple[Callable[[Dataset], None], str]] = [
    (moved, "another contour"), (outside, "outside the image"), (no_contour, "0 contours for 1"), (in_display_units, "no polyline in pixels"),
    (no_honesty, "does not say research use"), (other_call, "does not say the call"), (two_layers, "not one layer"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), CHANGES, ids=lambda one: getattr(one, "__name__", ""))
def test_a_changed_state_is_found_and_named(kit: Any, change: Callable[[Dataset], None], said: str) -> None:
    source = kit.Source()
    case, given = kit.whole_case([source]), {"edition": kit.edition(Form.PRESENTATION)}
    (one,) = kit.composed(case, source, **given)
    dataset = read(one)
    change(dataset)
    with io.BytesIO() as buffer:
        pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
        data = buffer.getvalue()
    wrong = replace(one, data=data, sha256=hashlib.sha256(data).hexdigest())
    with pytest.raises(Defect, match=said):
        kit.checked((wrong,), case, source, **given)


def test_a_missing_state_is_found(kit: Any) -> None:
    source = kit.Source()
    with pytest.raises(Defect, match="are not those of the colour frames"):
        kit.checked((), kit.whole_case([source]), source, edition=kit.edition(Form.PRESENTATION))

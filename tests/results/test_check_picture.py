"""The last look at pictures: whatever is changed in one after the fact is found and named."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import Dataset

from derm_pacs.domain.composed import Composed, Form, Reference
from derm_pacs.domain.errors import Defect
from derm_pacs.domain.visits import LesionVisit
from derm_pacs.results import picture_words

pytestmark = pytest.mark.server  # computes for long: each test composes whole studies


def one_pixel(dataset: Dataset) -> None:
    dataset.PixelData = bytes([dataset.PixelData[0] ^ 1]) + dataset.PixelData[1:]


def other_figure(dataset: Dataset) -> None:
    dataset.ImageComments = dataset.ImageComments.replace("Melanoma 87.3 %", "Melanoma 37.3 %")


def no_honesty(dataset: Dataset) -> None:
    dataset.ImageComments = dataset.ImageComments.replace("not for primary diagnosis", "for diagnosis")


def no_setter(dataset: Dataset) -> None:
    dataset.ImageComments = dataset.ImageComments.replace("bundle author", "somebody")


def not_burned_in(dataset: Dataset) -> None:
    dataset.BurnedInAnnotation = "NO"


def other_modality(dataset: Dataset) -> None:
    dataset.Modality = "OT"


def other_side(dataset: Dataset) -> None:
    dataset.Laterality = "R"


def lossless(dataset: Dataset) -> None:
    dataset.LossyImageCompression = "00"


def no_source(dataset: Dataset) -> None:
    del dataset.SourceImageSequence


CHANGES: list[tuple[Callable[[Dataset], None], str]] = [
    (one_pixel, "does not show what the findings give"), (other_figure, "does not say the probability of melanoma"),
    (no_honesty, "does not say research use"), (no_setter, "does not say who set the threshold"),
    (not_burned_in, "does not say that text is burned in"), (other_modality, "has another modality"), (other_side, "names another side"),
    (lossless, "hides that its source was compressed"), (no_source, "are not those of the frames that are told"),
]  # fmt: skip


@pytest.fixture(scope="module")
def whole(kit: Any) -> tuple[tuple[Composed, ...], Any, Any, dict[str, Any]]:
    first = kit.Source(attributes=kit.BASIC | kit.skin_of_back() | {"LossyImageCompression": "01"})
    second = kit.Source(number=2)
    case = kit.whole_case([first, second])
    given = {"edition": kit.edition(Form.PICTURE), "previews": {(first.uid, 1): kit.picture(first.mask, grey=False)}}
    return kit.composed(case, first, second, **given), case, (first, second), given


def changed(one: Composed, change: Callable[[Dataset], None]) -> Composed:
    dataset = pydicom.dcmread(io.BytesIO(one.data))
    change(dataset)
    with io.BytesIO() as buffer:
        pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
        data = buffer.getvalue()
    return replace(one, data=data, sha256=hashlib.sha256(data).hexdigest())


def test_what_compose_makes_passes(kit: Any, whole: Any) -> None:
    objects, case, sources, given = whole
    kit.checked(objects, case, *sources, **given)


@pytest.mark.parametrize(("change", "said"), CHANGES, ids=lambda one: getattr(one, "__name__", ""))
def test_a_changed_picture_is_found_and_named(kit: Any, whole: Any, change: Callable[[Dataset], None], said: str) -> None:
    objects, case, sources, given = whole
    with pytest.raises(Defect, match=said):
        kit.checked((changed(objects[0], change), *objects[1:]), case, *sources, **given)


def test_a_missing_picture_is_found(kit: Any, whole: Any) -> None:
    objects, case, sources, given = whole
    with pytest.raises(Defect, match="are not those of the frames"):
        kit.checked(objects[:1], case, *sources, **given)


def test_another_findings_picture_is_found(kit: Any, whole: Any) -> None:
    objects, _, sources, given = whole
    with pytest.raises(Defect, match="does not say the probability of melanoma"):
        kit.checked(objects, kit.whole_case(list(sources), melanoma=0.9), *sources, **given)


def test_another_image_under_the_contour_is_found(kit: Any, whole: Any) -> None:
    objects, case, sources, given = whole
    darker = {key: (preview // 2).astype(np.uint8) for key, preview in given["previews"].items()}
    with pytest.raises(Defect, match="does not show what the findings give"):
        kit.checked(objects, case, *sources, **(given | {"previews": darker}))


def test_words_made_wrongly_are_found_though_the_drawing_agrees(kit: Any, whole: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures are looked for without the code that writes them: a fault in that code does not hide itself."""
    _, case, sources, given = whole
    monkeypatch.setattr(picture_words, "figure", lambda share, *_: f"{50 * share:.1f} %")
    with pytest.raises(Defect, match="does not say the probability of melanoma"):
        kit.checked(kit.composed(case, *sources, **given), case, *sources, **given)


def test_a_change_without_its_date_is_found(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    source = kit.Source(attributes=kit.BASIC | {"TrackingUID": "1.2.3.4"})
    report = Reference(form=Form.REPORT_SR, sop_class_uid="1.2", sop_instance_uid="1.2.3", series_instance_uid="1.2.4", study_instance_uid="1.2.5")
    before = LesionVisit(
        tracking_uid="1.2.3.4", tracked=True, site=None, laterality=None, study_instance_uid="1.2.5", study_date=date(2026, 3, 2),
        report=report, images=(), probabilities=(), area=None, diameter=None, share=0.1, outlined_by=("a" * 64,),
    )
    case, given = replace(kit.whole_case([source]), visits=(before,)), {"edition": kit.edition(Form.PICTURE)}
    monkeypatch.setattr(picture_words, "change", lambda _: None)
    with pytest.raises(Defect, match="does not say since when"):
        kit.checked(kit.composed(case, source, **given), case, source, **given)

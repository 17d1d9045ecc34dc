"""The last look: whatever is changed in a composed object after the fact is found and named."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.edition import SrClass
from derm_pacs.domain.errors import Defect
from derm_pacs.domain.findings import CaseFindings
from derm_pacs.domain.reasons import RESULT_INVALID

SEG, OVERLAY, REPORT = 0, 1, 2


def first_number(dataset: Dataset) -> Dataset:
    def walk(item: Dataset) -> list[Dataset]:
        return [item] * (item.get("ValueType") == "NUM") + [one for child in item.get("ContentSequence") or [] for one in walk(child)]

    measured: Dataset = walk(dataset)[0].MeasuredValueSequence[0]
    return measured


def other_patient(dataset: Dataset) -> None:
    dataset.PatientID = "P-2"


def other_name(dataset: Dataset) -> None:
    dataset.PatientName = "Another^One"


def other_study(dataset: Dataset) -> None:
    dataset.StudyInstanceUID = "1.2.3.4"


def other_number(dataset: Dataset) -> None:
    first_number(dataset).NumericValue = "0.5555"


def other_reference(dataset: Dataset) -> None:
    dataset.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.9"


def illegal_value(dataset: Dataset) -> None:
    dataset.add_new("ManufacturerModelName", "LO", "m" * 70)


def illegal_uid(dataset: Dataset) -> None:
    dataset.DimensionOrganizationSequence[0].DimensionOrganizationUID = "1.02.3"


def one_pixel(dataset: Dataset) -> None:
    dataset.PixelData = bytes([dataset.PixelData[0] ^ 1]) + dataset.PixelData[1:]


def no_words(dataset: Dataset) -> None:
    dataset.SeriesDescription = "Report"


def no_mark(dataset: Dataset) -> None:
    del dataset.ContributingEquipmentSequence


def other_meaning(dataset: Dataset) -> None:
    dataset.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeMeaning = "Skin"


def a_private_code_of_nobody(dataset: Dataset) -> None:
    kind = dataset.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0]
    kind.CodeValue, kind.CodingSchemeDesignator = "NOBODYS", "99DERMPACS"


def other_series(dataset: Dataset) -> None:
    dataset.ReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.77"


def other_image(dataset: Dataset) -> None:
    dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID = "1.2.77"


def other_image_class(dataset: Dataset) -> None:
    dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.4"


def no_zone(dataset: Dataset) -> None:
    del dataset.TimezoneOffsetFromUTC


def other_program(dataset: Dataset) -> None:
    dataset.file_meta.ImplementationClassUID = pydicom.uid.UID("1.2.3")


def other_birth_date(dataset: Dataset) -> None:
    dataset.PatientBirthDate = "19700102"


def other_accession_number(dataset: Dataset) -> None:
    dataset.AccessionNumber = "A2"


CHANGES: list[tuple[int, Callable[[Dataset], None], str]] = [
    (SEG, other_patient, "PatientID is not the source's"),
    (REPORT, other_name, "PatientName is not the source's"),
    (OVERLAY, other_study, "StudyInstanceUID is not the source's"),
    (REPORT, other_number, "does not say what was found"),
    (OVERLAY, other_number, "is not the finding's"),
    (REPORT, other_reference, "neither a source image nor made with it"),
    (SEG, illegal_value, "ManufacturerModelName"),
    (SEG, illegal_uid, "DimensionOrganizationUID is no legal UID"),
    (SEG, one_pixel, "holds a mask that nobody found"),
    (REPORT, no_words, "does not say research use"),
    (SEG, no_mark, "does not name us"),
    (SEG, other_meaning, "holds a code 95324001 with another meaning"),
    (SEG, a_private_code_of_nobody, "holds a code NOBODYS with another meaning"),
    (SEG, other_series, "names another series"),
    (SEG, other_image, "neither a source image nor made with it"),
    (SEG, other_image_class, "or is of another class"),
    (REPORT, no_zone, "Timezone Offset From UTC is missing"),
    (OVERLAY, other_program, "names another implementation"),
    (OVERLAY, other_birth_date, "PatientBirthDate is not the source's"),
    (SEG, other_accession_number, "AccessionNumber is not the source's"),
]


@pytest.fixture(scope="module")
def whole(kit: Any) -> tuple[tuple[Composed, ...], CaseFindings, Any]:
    source = kit.Source()
    case = kit.whole_case([source])
    return kit.composed(case, source), case, source


def changed(one: Composed, change: Callable[[Dataset], None]) -> Composed:
    dataset = pydicom.dcmread(io.BytesIO(one.data))
    change(dataset)
    with io.BytesIO() as buffer:
        pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
        data = buffer.getvalue()
    return replace(one, data=data, sha256=hashlib.sha256(data).hexdigest())


def test_what_compose_makes_passes(kit: Any, whole: Any) -> None:
    kit.checked(*whole)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("which", "change", "said"), CHANGES, ids=lambda one: getattr(one, "__name__", str(one)))
def test_a_changed_object_is_found_and_named(kit: Any, whole: Any, which: int, change: Callable[[Dataset], None], said: str) -> None:
    objects, case, source = whole
    wrong = [changed(one, change) if number == which else one for number, one in enumerate(objects)]
    with pytest.raises(Defect) as caught:
        kit.checked(wrong, case, source)
    assert caught.value.reason is RESULT_INVALID
    assert said in caught.value.detail
    assert "Muster" not in caught.value.detail


def test_other_findings_than_those_composed_are_found(kit: Any, whole: Any) -> None:
    objects, _, source = whole
    with pytest.raises(Defect, match="does not say what was found"):
        kit.checked(objects, kit.whole_case([source], melanoma=0.8741), source)


def test_a_missing_object_is_found(kit: Any, whole: Any) -> None:
    objects, case, source = whole
    for number in range(3):
        with pytest.raises(Defect):
            kit.checked([one for each, one in enumerate(objects) if each != number], case, source)


def test_bytes_that_are_not_those_announced_are_found(kit: Any, whole: Any) -> None:
    objects, case, source = whole
    with pytest.raises(Defect, match="SHA-256"):
        kit.checked([replace(objects[0], sha256="0" * 64), *objects[1:]], case, source)
    with pytest.raises(Defect, match="announced"):
        kit.checked([replace(objects[0], series_instance_uid="1.2"), *objects[1:]], case, source)


def test_objects_in_another_order_than_that_of_sending_are_found(kit: Any, whole: Any) -> None:
    objects, case, source = whole
    with pytest.raises(Defect, match="not in the order of sending"):
        kit.checked(objects[::-1], case, source)


def test_a_form_that_the_edition_does_not_have_and_one_that_it_lacks_are_found(kit: Any, whole: Any) -> None:
    objects, case, source = whole
    with pytest.raises(Defect, match="a form that the edition does not have"):
        kit.checked(objects, case, source, edition=kit.edition(Form.OVERLAY_SR, Form.REPORT_SR))
    with pytest.raises(Defect, match="not exactly one report_sr"):
        kit.checked(objects[:2], case, source)


def test_one_object_twice_is_found(kit: Any, whole: Any) -> None:
    objects, case, source = whole
    with pytest.raises(Defect, match="one SOP Instance UID"):
        kit.checked([objects[0], *objects], case, source)


def test_objects_of_another_class_than_the_editions_are_found(kit: Any, whole: Any) -> None:
    objects, case, source = whole
    with pytest.raises(Defect, match="SOP class is not that of the form"):
        kit.checked(objects, case, source, edition=kit.edition(sr=SrClass.COMPREHENSIVE))


def test_objects_of_two_studies_are_never_taken_for_one_another(kit: Any, whole: Any) -> None:
    objects, case, source = whole
    other = kit.Source(study="1.2.826.0.1.3680043.10.999.2", attributes=kit.BASIC | {"PatientID": "P-2"})
    theirs = kit.composed(kit.whole_case([other]), other)
    for number in range(len(objects)):
        mixed = [theirs[number] if each == number else one for each, one in enumerate(objects)]
        with pytest.raises(Defect, match="no source image"):
            kit.checked(mixed, case, source)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(orders=st.permutations(range(4)), whose=st.lists(st.booleans(), min_size=4, max_size=4))
def test_two_patients_images_in_any_order_make_no_result(kit: Any, orders: list[int], whose: list[bool]) -> None:
    """Images of one study that name two patients, or of two studies, are told as nothing, in whatever order they came."""
    sources = [
        kit.Source(number=number + 1, rows=8, columns=9, attributes=kit.BASIC | ({"PatientID": "P-2"} if theirs else {}))
        for number, theirs in enumerate(whose)
    ]
    case = kit.whole_case([sources[one] for one in orders])
    objects = kit.composed(case, *sources)
    if len(set(whose)) == 1:
        kit.checked(objects, case, *sources)
    else:
        with pytest.raises(Defect, match="PatientID is not the source's"):
            kit.checked(objects, case, *sources)

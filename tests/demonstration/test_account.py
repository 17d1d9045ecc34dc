"""The account: what the ledger says beside what the PACS gives back, told in words and pictures."""

import io
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset

from derm_pacs.demonstration import tell
from derm_pacs.demonstration.account import Area, Call, CaseAccount, ImageAccount, ResultAccount, account, mask_of
from derm_pacs.demonstration.picture import NOTICE, SYNTHETIC, lines, picture
from derm_pacs.domain.case import State
from derm_pacs.domain.delivery import DeliveryState
from derm_pacs.domain.findings import BundleIdentity, Grade, OperatingPoint, RunRole
from derm_pacs.ledger.reading import CaseStory, FindingLine, RevisionStory, RunLine
from derm_pacs.ledger.reading_results import DeliveryLine
from derm_pacs.samples.studies import Study
from derm_pacs.samples.wrap import Kind, Label, part10, wrap_bytes

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CALL = Call(bundle="b 1.0.0", called="Melanoma", positive="Melanoma", probability=0.73, threshold=0.5, threshold_set_by="lead")


def image_data(pixels: NDArray[np.uint8]) -> Dataset:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    label = Label(patient_id="P", patient_name="A^B", study_uid="2.25.5", study_description="", series_description="", at=AT)
    return wrap_bytes(buffer.getvalue(), Kind.DERMOSCOPIC, label)


def seg(source: Dataset, mask: NDArray[np.bool_]) -> Dataset:
    made = Dataset()
    made.Rows, made.Columns = mask.shape
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 1
    made.HighBit = made.PixelRepresentation = 0
    made.NumberOfFrames = 1
    packed = np.packbits(mask.ravel(), bitorder="little").tobytes()
    made.PixelData = packed + b"\x00" * (len(packed) % 2)
    made.file_meta = source.file_meta
    groups, derivation, reference = Dataset(), Dataset(), Dataset()
    reference.ReferencedSOPInstanceUID = source.SOPInstanceUID
    derivation.SourceImageSequence = [reference]
    groups.DerivationImageSequence = [derivation]
    made.PerFrameFunctionalGroupsSequence = [groups]
    return made


def image_account(image: Dataset, **changes: object) -> ImageAccount:
    plain = ImageAccount(
        sop_instance_uid=str(image.SOPInstanceUID), kind="Dermoscopic", calls=(), areas=(), refusals=(), image=image, mask=None
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def story(study: Study, image: Dataset, state: State, findings: tuple[FindingLine, ...], deliveries: tuple[DeliveryLine, ...]) -> CaseStory:
    bundle = BundleIdentity(name="b", version="1.0.0", content_hash="0" * 64, title="B", grade=Grade.RESEARCH)
    point = OperatingPoint(id="p", output="class", positive="melanoma", threshold=0.5, set_by="lead")
    run = RunLine(
        bundle=bundle, role=RunRole.ACTIVE, operating_points=(point,), started_at=AT, finished_at=AT, reused=False, findings=findings
    )
    revision = RevisionStory(
        revision_id=1, number=1, state=state, hash="h", first_received_at=AT, last_received_at=AT, closed_at=AT, close_reason=None,
        held_in=None, reason_code=None, reason_detail=None, attempts=1, last_error=None, walk=(), runs=(run,), results=(),
        deliveries=deliveries,
    )  # fmt: skip
    return CaseStory(case_id=9, study_instance_uid=study.study_uid, created_at=AT, objects=(), revisions=(revision,))


def delivery(state: DeliveryState) -> DeliveryLine:
    return DeliveryLine(
        destination="pacs", state=state, edition=None, left_out=(), proof=None, attempts=1, acknowledged=1, next_attempt_at=None, reason_code=None, reason_detail=None,
        finished_at=None, commitment_asked_at=None, commitment_reported_at=None,
    )  # fmt: skip


def case(image: Dataset, **changes: object) -> CaseAccount:
    study = Study(title="a study", study_uid="2.25.5", files=(part10(image),), synthetic=True, expected=State.CONFIRMED)
    plain = CaseAccount(
        study=study, case_id=9, state=State.CONFIRMED, reason="", committed=True, images=(image_account(image),),
        results=(ResultAccount(form="seg", sop_class_uid="1.2", sop_instance_uid="2.25.9", file=b"x"),),
    )  # fmt: skip
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.fixture
def image() -> Dataset:
    return image_data(np.full((30, 40, 3), 150, np.uint8))


def test_the_findings_of_an_image_stand_with_it(image: Dataset) -> None:
    uid = str(image.SOPInstanceUID)
    study = Study(title="t", study_uid="2.25.5", files=(part10(image),), synthetic=True)
    probabilities = [
        {"class_id": "nevus", "concept": "melanocytic_nevus", "probability": 0.4},
        {"class_id": "melanoma", "concept": "melanoma", "probability": 0.6},
    ]
    findings = (
        FindingLine(sop_instance_uid=uid, frame=1, output="class", kind="classification", data={"probabilities": probabilities}),
        FindingLine(sop_instance_uid=uid, frame=1, output="m", kind="segmentation", data={"pixels": 300, "rows": 30, "columns": 40}),
        FindingLine(sop_instance_uid=uid, frame=1, output="", kind="refusal", data={"reason": "poor_quality_blur", "detail": "1 < 5"}),
        FindingLine(sop_instance_uid="2.25.99", frame=1, output="m", kind="segmentation", data={"pixels": 1, "rows": 1, "columns": 1}),
    )
    told = account(study, story(study, image, State.CONFIRMED, findings, (delivery(DeliveryState.PROVEN),)), {uid: part10(image)})
    (found,) = told.images
    assert (found.calls[0].called, found.calls[0].probability, found.calls[0].is_positive) == ("Melanoma", 0.6, True)
    assert found.areas == (Area(bundle="b 1.0.0", pixels=300, share=0.25),)
    assert found.refusals == ("b: poor_quality_blur: The image is not sharp enough. (1 < 5)",)
    assert told.committed


@pytest.mark.parametrize(
    ("deliveries", "committed"),
    [
        ((), False),
        ((DeliveryState.PROVEN, DeliveryState.PROVEN), True),
        ((DeliveryState.PROVEN, DeliveryState.UNPROVABLE), False),
    ],
)
def test_committed_is_what_every_destination_has_proven(
    image: Dataset, deliveries: tuple[DeliveryState, ...], committed: bool
) -> None:
    study = Study(title="t", study_uid="2.25.5", files=(part10(image),), synthetic=True)
    made = story(study, image, State.CONFIRMED, (), tuple(delivery(one) for one in deliveries))
    assert account(study, made, {str(image.SOPInstanceUID): part10(image)}).committed is committed


def test_the_mask_is_that_of_the_seg_that_refers_to_the_image(image: Dataset) -> None:
    mask = np.zeros((30, 40), np.bool_)
    mask[5:12, 8:30] = True
    other = image_data(np.full((30, 40, 3), 10, np.uint8))
    found = mask_of(image, [seg(other, ~mask), seg(image, mask)])
    assert found is not None
    assert np.array_equal(found, mask)
    assert mask_of(image, [seg(other, mask)]) is None


def test_the_picture_is_marked_along_the_outline_only_and_keeps_the_image(image: Dataset) -> None:
    mask = np.zeros((30, 40), np.bool_)
    mask[8:22, 10:30] = True
    drawn = np.asarray(picture(image_account(image, mask=mask, calls=(CALL,)), synthetic=True))
    changed = (drawn[:30] != 150).any(axis=-1)
    assert changed[8, 20]
    assert changed[15, 10]
    assert not changed[15, 20]
    assert not changed[1, 1]
    assert drawn.shape[0] > 30


def test_below_the_picture_stand_the_call_the_area_and_what_it_must_not_be_used_for(image: Dataset) -> None:
    areas = (Area(bundle="b", pixels=300, share=0.25),)
    said = lines(image_account(image, calls=(CALL,), areas=areas), synthetic=True)
    assert said == [
        "Called Melanoma: probability of Melanoma 0.730, at or above the threshold 0.50 (set by lead)",
        "Lesion area 300 pixels, 25.0 % of the image",
        SYNTHETIC,
        NOTICE,
    ]
    assert lines(image_account(image), synthetic=False) == ["Not analysed: no bundle reads this kind of image", NOTICE]
    assert "not for primary diagnosis" in NOTICE


def test_grey_pictures_and_frames_of_more_than_8_bits_are_drawn_too() -> None:
    deep = image_data(np.zeros((8, 8), np.uint8))
    deep.BitsAllocated = deep.BitsStored = 16
    deep.HighBit = 15
    deep.NumberOfFrames = 2
    deep.PixelData = np.linspace(0, 4000, 128).astype("<u2").tobytes()
    assert picture(image_account(deep), synthetic=False).size[0] == 8


def test_a_long_line_is_broken_so_that_nothing_is_cut_off(image: Dataset) -> None:
    wide = picture(image_account(image, refusals=("a " * 400,)), synthetic=False)
    narrow = picture(image_account(image), synthetic=False)
    assert wide.width == narrow.width
    assert wide.height > narrow.height + 500


def test_nothing_is_short_where_all_is_as_it_must_be(image: Dataset) -> None:
    assert case(image).shortcomings() == ()
    own = replace(case(image).study, expected=None)
    assert case(image, study=own, state=State.REJECTED).shortcomings() == ()


def test_what_is_short_is_said_in_sentences(image: Dataset) -> None:
    missing = ResultAccount(form="seg", sop_class_uid="1.2", sop_instance_uid="2.25.9", file=None)
    assert case(image, results=(missing,)).shortcomings() == ("seg 2.25.9 is not in the PACS",)
    assert case(image, state=State.UNCONFIRMED, reason="r").shortcomings() == ("the case is unconfirmed and not confirmed: r",)
    own = replace(case(image).study, expected=None)
    assert case(image, study=own, state=State.HELD, reason="two_patients: x").shortcomings() == ("the case is held: two_patients: x",)


def test_what_is_printed_names_state_call_area_and_every_object(image: Dataset) -> None:
    areas = (Area(bundle="b", pixels=300, share=0.25),)
    told = "\n".join(tell.case_lines(3, case(image, images=(image_account(image, calls=(CALL,), areas=areas),))))
    for part in ("confirmed", "committed by the PACS", "Melanoma 0.730 >= threshold 0.50", "300 pixels, 25.0 %", "SEG", "2.25.9", "fetched back"):
        assert part in told
    missing = ResultAccount(form="seg", sop_class_uid="1.2", sop_instance_uid="2.25.9", file=None)
    assert "NOT in the PACS" in "\n".join(tell.case_lines(1, case(image, results=(missing,), committed=False)))
    assert "nothing to commit" in "\n".join(tell.case_lines(1, case(image, results=(), committed=False, state=State.REJECTED)))


def test_the_path_of_the_repository_is_no_part_of_what_is_told(image: Dataset) -> None:
    assert str(Path.cwd()) not in "\n".join(tell.case_lines(1, case(image)))

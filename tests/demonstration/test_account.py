"""The account: what the ledger says beside what the PACS gives back, compared, and told in words and files."""

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage
from rich.console import Console

from derm_pacs.demonstration import files, tell
from derm_pacs.demonstration.account import Area, Call, CaseAccount, ImageAccount, ResultAccount, account
from derm_pacs.demonstration.compare import shortcomings
from derm_pacs.demonstration.notice import NOTICE
from derm_pacs.domain.case import State
from derm_pacs.domain.composed import Form
from derm_pacs.domain.delivery import DeliveryState, Proof
from derm_pacs.domain.findings import BundleIdentity, Grade, OperatingPoint, Rectangle, RunRole
from derm_pacs.ledger.reading import CaseStory, FindingLine, RevisionStory, RunLine
from derm_pacs.ledger.reading_results import DeliveryLine, ResultLine
from derm_pacs.results import readback
from derm_pacs.samples.studies import Study
from derm_pacs.samples.wrap import Kind, Label, part10, wrap_bytes

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CALL = Call(bundle="b 1.0.0", called="Melanoma", positive="Melanoma", probability=0.73, threshold=0.5, threshold_set_by="lead", grade=Grade.RESEARCH)
WORDS = (
    "Call for this image: Melanoma", "Melanoma 73.0 %", "Since the visit of 2025-12-03", "Melanoma: 40.0 % → 73.0 % (+33.0 points)",
    "Algorithms", "b 1.0.0",
)  # fmt: skip


def image_data(pixels: NDArray[np.uint8]) -> Dataset:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    label = Label(patient_id="P", patient_name="A^B", study_uid="2.25.5", study_description="", series_description="", at=AT)
    return wrap_bytes(buffer.getvalue(), Kind.DERMOSCOPIC, label)


def seg(mask: NDArray[np.bool_]) -> bytes:
    """A SEG as far as its pixels go."""
    made = image_data(np.zeros((8, 8), np.uint8))
    made.Rows, made.Columns = mask.shape
    made.BitsAllocated = made.BitsStored = 1
    made.HighBit = 0
    made.NumberOfFrames = 1
    packed = np.packbits(mask.ravel(), bitorder="little").tobytes()
    made.PixelData = packed + b"\x00" * (len(packed) % 2)
    return part10(made)


def picture(source: Dataset, words: tuple[str, ...]) -> ResultAccount:
    """A picture of ours as far as its words and pixels go."""
    made = image_data(np.full((20, 30, 3), 90, np.uint8))
    made.SOPClassUID, made.SOPInstanceUID = SecondaryCaptureImageStorage, "2.25.31"
    made.ImageComments = "\n".join(words)
    made.SeriesDescription = "AI picture 1 r1"
    reference = Dataset()
    reference.ReferencedSOPInstanceUID = source.SOPInstanceUID
    made.SourceImageSequence = [reference]
    return ResultAccount(
        form=Form.PICTURE, sop_class_uid=made.SOPClassUID, sop_instance_uid=made.SOPInstanceUID, file=part10(made)
    )


def image_account(image: Dataset, **changes: object) -> ImageAccount:
    plain = ImageAccount(sop_instance_uid=str(image.SOPInstanceUID), kind="Dermoscopic", calls=(), areas=(), refusals=())
    return replace(plain, **changes)  # type: ignore[arg-type]


def story(
    study: Study, state: State, findings: tuple[FindingLine, ...] = (), deliveries: tuple[DeliveryLine, ...] = (),
    results: tuple[ResultLine, ...] = (),
) -> CaseStory:
    bundle = BundleIdentity(name="b", version="1.0.0", content_hash="0" * 64, title="B", grade=Grade.RESEARCH)
    point = OperatingPoint(id="p", output="class", positive="melanoma", threshold=0.5, set_by="lead")
    run = RunLine(
        bundle=bundle, role=RunRole.ACTIVE, operating_points=(point,), started_at=AT, finished_at=AT, reused=False, findings=findings
    )
    revision = RevisionStory(
        revision_id=1, number=1, state=state, hash="h", first_received_at=AT, last_received_at=AT, closed_at=AT, close_reason=None,
        held_in=None, reason_code=None, reason_detail=None, attempts=1, last_error=None, walk=(), runs=(run,), results=results,
        deliveries=deliveries,
    )  # fmt: skip
    return CaseStory(case_id=9, study_instance_uid=study.study_uid, created_at=AT, objects=(), revisions=(revision,))


def delivery(state: DeliveryState, *, edition: str | None = None, left_out: tuple[Form, ...] = ()) -> DeliveryLine:
    return DeliveryLine(
        destination="pacs", state=state, edition=edition, left_out=left_out,
        proof=Proof.COMMITMENT if state is DeliveryState.PROVEN else None, attempts=1, acknowledged=1, next_attempt_at=None,
        reason_code=None, reason_detail=None, finished_at=AT, commitment_asked_at=None, commitment_reported_at=None,
    )  # fmt: skip


def result(uid: str, *editions: str) -> ResultLine:
    return ResultLine(
        form=Form.PICTURE, sop_class_uid="1.2", sop_instance_uid=uid, series_instance_uid="2.25.1", sha256="0" * 64, length=1,
        about=(), composed_at=AT, editions=editions,
    )  # fmt: skip


def case(image: Dataset, **changes: object) -> CaseAccount:
    study = Study(title="a study", study_uid="2.25.5", files=(part10(image),), synthetic=True, expected=State.CONFIRMED)
    plain = CaseAccount(
        study=study, case_id=9, state=State.CONFIRMED, reason="", proof=(Proof.COMMITMENT,), left_out=(),
        images=(image_account(image, calls=(CALL,)),), results=(picture(image, WORDS),), holds={"Dermoscopic": 1, "SC": 1},
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
    told = account(study, story(study, State.CONFIRMED, findings, (delivery(DeliveryState.PROVEN),)), {uid: part10(image)})
    (found,) = told.images
    assert (found.calls[0].called, found.calls[0].probability, found.calls[0].is_positive) == ("Melanoma", 0.6, True)
    assert found.areas == (Area(bundle="b 1.0.0", output="m", pixels=300, share=0.25),)
    assert found.refusals == ("b: poor_quality_blur: The image is not sharp enough. (1 < 5)",)
    assert dict(told.holds) == {"Dermoscopic Photography Image": 1}


def test_a_call_that_was_read_on_a_crop_says_where(image: Dataset) -> None:
    uid = str(image.SOPInstanceUID)
    study = Study(title="t", study_uid="2.25.5", files=(part10(image),), synthetic=True)
    data = {
        "probabilities": [
            {"class_id": "nevus", "concept": "melanocytic_nevus", "probability": 0.4},
            {"class_id": "melanoma", "concept": "melanoma", "probability": 0.6},
        ],
        "region": {"left": 4, "top": 10, "width": 30, "height": 20},
    }
    finding = FindingLine(sop_instance_uid=uid, frame=1, output="class", kind="classification", data=data)
    told = account(study, story(study, State.CONFIRMED, (finding,)), {})
    assert told.images[0].calls[0].crop == Rectangle(left=4, top=10, width=30, height=20)
    assert "by b 1.0.0, read on the crop at column 5, row 11, 30 x 20 pixels" in "\n".join(tell.case_lines(1, told))


def test_what_a_bundle_of_demonstration_grade_says_is_called_so(image: Dataset) -> None:
    plain, shown = (
        "\n".join(tell.case_lines(1, case(image, images=(image_account(image, calls=(replace(CALL, grade=grade),)),))))
        for grade in (Grade.RESEARCH, Grade.DEMONSTRATION)
    )
    assert "demonstration grade: says nothing of a patient" in shown
    assert "demonstration grade" not in plain


@pytest.mark.parametrize(
    ("deliveries", "proof"),
    [
        ((), ()),
        ((DeliveryState.PROVEN, DeliveryState.PROVEN), (Proof.COMMITMENT, Proof.COMMITMENT)),
        ((DeliveryState.PROVEN, DeliveryState.UNPROVABLE), ()),
    ],
)
def test_a_case_is_proven_where_every_destination_has_proven_it(
    image: Dataset, deliveries: tuple[DeliveryState, ...], proof: tuple[Proof, ...]
) -> None:
    study = Study(title="t", study_uid="2.25.5", files=(part10(image),), synthetic=True)
    made = story(study, State.CONFIRMED, (), tuple(delivery(one) for one in deliveries))
    assert account(study, made, {}).proof == proof


def test_only_the_objects_that_the_pacs_was_to_get_count_and_what_it_does_not_take_is_told(image: Dataset) -> None:
    study = Study(title="t", study_uid="2.25.5", files=(part10(image),), synthetic=True)
    lines = (result("2.25.1", "as wanted"), result("2.25.2", "as wanted", "as agreed"), result("2.25.3", "as agreed"))
    agreed = delivery(DeliveryState.PROVEN, edition="as agreed", left_out=(Form.SEG,))
    told = account(study, story(study, State.CONFIRMED, (), (agreed,), lines), {})
    assert [one.sop_instance_uid for one in told.results] == ["2.25.2", "2.25.3"]
    assert told.left_out == ("seg by pacs",)
    assert "left out: seg by pacs" in "\n".join(tell.case_lines(1, told))


def test_nothing_is_short_where_all_is_as_it_must_be(image: Dataset) -> None:
    assert shortcomings(case(image)) == ()
    own = replace(case(image).study, expected=None)
    assert shortcomings(case(image, study=own, state=State.REJECTED)) == ()


def test_what_is_short_is_said_in_sentences(image: Dataset) -> None:
    missing = ResultAccount(form=Form.SEG, sop_class_uid="1.2", sop_instance_uid="2.25.9", file=None)
    assert shortcomings(case(image, results=(missing,))) == ("seg 2.25.9 is not in the PACS",)
    assert shortcomings(case(image, state=State.UNCONFIRMED, reason="r")) == ("the case is unconfirmed and not confirmed: r",)
    own = replace(case(image).study, expected=None)
    assert shortcomings(case(image, study=own, state=State.HELD, reason="two_patients: x")) == ("the case is held: two_patients: x",)


def test_a_seg_that_marks_another_area_than_the_ledger_says_is_told(image: Dataset) -> None:
    mask = np.zeros((30, 40), np.bool_)
    mask[5:12, 8:30] = True
    came_back = ResultAccount(form=Form.SEG, sop_class_uid="1.2", sop_instance_uid="2.25.9", file=seg(mask))
    right = image_account(image, areas=(Area(bundle="b", output="lesion", pixels=154, share=0.1),))
    assert shortcomings(case(image, images=(right,), results=(came_back,))) == ()
    wrong = image_account(image, areas=(Area(bundle="b", output="lesion", pixels=155, share=0.1),))
    assert shortcomings(case(image, images=(wrong,), results=(came_back,))) == ("the SEGs mark 154 pixels, the ledger says 155",)


def test_a_picture_and_a_report_that_say_another_probability_are_told(image: Dataset) -> None:
    uid = image.SOPInstanceUID
    for call in (replace(CALL, probability=0.74), replace(CALL, positive="Nevus")):
        (said,) = shortcomings(case(image, images=(image_account(image, calls=(call,)),)))
        assert said.startswith("no picture says")
        assert said.endswith(f"of image {uid}")
    silent = ResultAccount(form=Form.REPORT_SR, sop_class_uid="1.2", sop_instance_uid="2.25.9", file=part10(image))
    assert shortcomings(case(image, results=(silent,))) == (f"the report does not say Melanoma 0.730 of image {uid}",)


def test_a_small_probability_is_compared_as_it_is_written_with_six_decimals(image: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    written = SimpleNamespace(images=((image.SOPInstanceUID, 1),), number=lambda _: SimpleNamespace(value=0.000412))
    monkeypatch.setattr(readback, "groups", lambda _: [written])
    report = ResultAccount(form=Form.REPORT_SR, sop_class_uid="1.2", sop_instance_uid="2.25.9", file=part10(image))

    def told(probability: float) -> int:
        return len(shortcomings(case(image, images=(image_account(image, calls=(replace(CALL, probability=probability),)),), results=(report,))))

    assert told(0.0004123456) == 0
    assert told(0.000414) == 1


def test_a_later_visit_must_say_what_changed(image: Dataset) -> None:
    later = replace(case(image).study, later_visit=True)
    told = case(image, study=later)
    assert told.since == ("Since the visit of 2025-12-03", "Melanoma: 40.0 % → 73.0 % (+33.0 points)")
    assert shortcomings(told) == ()
    assert all(line in "\n".join(tell.case_lines(1, told)) for line in told.since)
    silent = case(image, study=later, results=(picture(image, WORDS[:2]),))
    assert shortcomings(silent) == ("no picture says what changed since the earlier visit",)


def test_what_is_printed_names_state_call_area_and_every_object(image: Dataset) -> None:
    areas = (Area(bundle="b", output="lesion", pixels=300, share=0.25),)
    told = "\n".join(tell.case_lines(3, case(image, images=(image_account(image, calls=(CALL,), areas=areas),))))
    for part in (
        "confirmed", "committed by the PACS", "Melanoma 0.730 >= threshold 0.50", "300 pixels, 25.0 %", "picture", "2.25.31", "fetched back",
        "all 1 came back, and SR, SEG and picture say what the ledger says",
    ):  # fmt: skip
        assert part in told
    missing = ResultAccount(form=Form.SEG, sop_class_uid="1.2", sop_instance_uid="2.25.9", file=None)
    told = "\n".join(tell.case_lines(1, case(image, results=(missing,), proof=())))
    assert "NOT in the PACS" in told
    assert "not proven" in told
    assert "all 1 came back" not in told
    assert "nothing to commit" in "\n".join(tell.case_lines(1, case(image, results=(), proof=(), state=State.REJECTED)))


def test_what_the_pacs_holds_is_counted(image: Dataset) -> None:
    with (console := Console(width=100)).capture() as shown:
        console.print(tell.holdings([case(image), case(image, holds={"SC": 2}, results=())]))
    said = [line.split() for line in shown.get().splitlines()]
    assert ["SC", "3", "2"] in said
    assert ["Dermoscopic", "1", "1"] in said
    assert ["of", "these", "from", "derm-pacs", "1", "1"] in said


def test_the_pictures_that_came_back_lie_as_png_beside_the_objects_and_the_one_that_compares_is_looked_at_first(
    image: Dataset, tmp_path: Path
) -> None:
    plain = case(image, results=(picture(image, WORDS[:2]),))
    written = files.write(tmp_path, [plain, case(image)], isolated=True)
    assert [one.name for one in written.pictures] == ["study-1-picture-1.png", "study-2-picture-1.png"]
    assert written.latest == written.pictures[1]
    with Image.open(written.pictures[0]) as shown:
        assert np.asarray(shown).shape == (20, 30, 3)
    summary = json.loads((tmp_path / "demo.json").read_text())
    assert summary["notice"] == NOTICE
    assert summary["cases"][1]["since_an_earlier_visit"][0] == "Since the visit of 2025-12-03"
    (row,) = summary["cases"][0]["results"]
    assert (tmp_path / row["file"]).read_bytes() == plain.results[0].file
    assert row["series"] == "AI picture 1 r1"


def test_where_no_picture_came_back_none_is_named(image: Dataset, tmp_path: Path) -> None:
    assert files.write(tmp_path, [case(image, results=())], isolated=True).latest is None


def test_the_path_of_the_repository_is_no_part_of_what_is_told(image: Dataset) -> None:
    assert "not for primary diagnosis" in NOTICE
    assert str(Path.cwd()) not in "\n".join(tell.case_lines(1, case(image)))

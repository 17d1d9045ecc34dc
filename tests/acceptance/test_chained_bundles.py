"""A photograph from afar, sent by C-STORE: one bundle outlines it, another reads the crops, and the PACS gets what both say."""

import io
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image

from derm_pacs.domain.case import State
from derm_pacs.ledger.reading import CaseStory, RunLine
from derm_pacs.results.readback import ReadGroup, groups_of, key_of
from derm_pacs.samples import draw
from derm_pacs.samples.wrap import Kind, wrap_bytes
from derm_training.shipping.golden import Lesion, drawn_lesion
from tests.acceptance import studies
from tests.acceptance.hospital import PHOTOGRAPHIC, Hospital, as_bytes
from tests.conftest import REPOSITORY

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

FINDER, READER = "skin_lesion_deeplabv3plus", "clinical_melanoma_resnet50"
ROUTE = f"""
[[routes]]
name = "photographs"
sop_classes = ["{PHOTOGRAPHIC}"]
bundles = ["{FINDER}", "{READER}"]
reads_crops_of = {{ {READER} = "{FINDER}" }}
destinations = ["pacs"]
"""
MELANOMA, NAEVUS = key_of("melanoma"), key_of("melanocytic_nevus")


@dataclass(frozen=True)
class Case:
    """What became of one photograph."""

    image: pydicom.Dataset
    story: CaseStory
    results: list[pydicom.Dataset]
    """What the PACS gives back."""
    shown: str
    """What `derm-pacs cases show` prints."""

    @property
    def state(self) -> State:
        return self.story.revisions[0].state

    @property
    def runs(self) -> tuple[RunLine, ...]:
        return self.story.revisions[0].runs

    def findings(self, bundle: str, kind: str, output: str = "") -> list[dict[str, Any]]:
        """What the ledger has of a bundle."""
        (run,) = [one for one in self.runs if one.bundle.name == bundle]
        return [dict(one.data) for one in run.findings if one.kind == kind and output in ("", one.output)]

    @cached_property
    def report(self) -> pydicom.Dataset:
        (found,) = [one for one in self.results if one.Modality == "SR" and "report" in str(one.SeriesDescription)]
        hd.sr.srread(io.BytesIO(as_bytes(found)))
        return found

    @property
    def summary(self) -> str:
        return next(str(one.value) for one in self.report.iterall() if one.keyword == "TextValue" and "research use" in str(one.value))

    def said_by(self, bundle: str) -> list[ReadGroup]:
        """What the report tells as said by a bundle."""
        return [one for one in groups_of(self.report) if one.algorithm is not None and one.algorithm[0] == bundle]

    def segmented(self, output: str) -> int:
        """Pixels of the segment of that name in the SEG that the PACS has; 0 where it has none."""
        found = [hd.seg.segread(io.BytesIO(as_bytes(one))) for one in self.results if one.Modality == "SEG"]
        return sum(
            int(np.asarray(seg.get_pixels_by_source_instance([str(self.image.SOPInstanceUID)], segment_numbers=[number])).astype(bool).sum())
            for seg in found
            for number in seg.segment_numbers
            if str(seg.get_segment_description(number).segment_label).lower().startswith(output)
        )


def photograph(pixels: NDArray[np.uint8], name: str) -> pydicom.Dataset:
    """Wrap drawn pixels as a camera would."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "JPEG", quality=92)
    return wrap_bytes(buffer.getvalue(), Kind.CLINICAL, studies.label(studies.new_study(), patient=name))


def one_lesion() -> NDArray[np.uint8]:
    return draw.clinical(3, draw.IRREGULAR)


def two_lesions() -> NDArray[np.uint8]:
    """Two stretches of skin beside one another, each with a lesion."""
    middle = slice(300, 940)
    return np.concatenate([draw.clinical(3, draw.IRREGULAR)[:, middle], draw.clinical(4, draw.REGULAR)[:, middle]], axis=1)


def bare_skin() -> NDArray[np.uint8]:
    """Skin without a lesion, as near to a photograph's as drawing comes: the finder takes it for its own."""
    return drawn_lesion(
        Lesion(size=(450, 600), skin=(222, 178, 168), pigment=(150, 92, 70), radius=0.001, uneven=0.0, soft=0.1, seed=13)
    )


def cloth() -> NDArray[np.uint8]:
    """No skin at all."""
    random = np.random.default_rng(1)
    weave = 20 * np.sin(0.3 * np.arange(640)) + random.normal(0, 6, (480, 640))
    return np.asarray(np.clip(np.array([80, 120, 140]) + weave[..., None], 0, 255), np.uint8)


DRAWN: dict[str, Callable[[], NDArray[np.uint8]]] = {
    "one": one_lesion, "two": two_lesions, "none": bare_skin, "cloth": cloth,
}  # fmt: skip


@pytest.fixture(scope="module")
def service(_orthanc_is_there: None) -> Iterator[Hospital]:
    """A hospital whose photographs are outlined by one bundle and read on the crops by another."""
    folder = Path(tempfile.mkdtemp(prefix="derm-c-"))
    folder.chmod(0o755)
    bundles = {name: REPOSITORY / "monai_bundles" / name for name in (FINDER, READER)}
    with Hospital(folder, bundles, routes=ROUTE) as running:
        yield running
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def drawn(service: Hospital) -> dict[str, Case]:
    """What became of the drawn photographs, which arrive together."""
    images = {name: photograph(make(), name) for name, make in DRAWN.items()}
    return dict(zip(images, sent(service, list(images.values())), strict=True))


def sent(service: Hospital, images: list[pydicom.Dataset]) -> list[Case]:
    """Store photographs in the PACS, let it send them on, and return what became of them."""
    service.put_into_pacs(images)
    for image in images:
        service.orthanc.send_study(str(image.StudyInstanceUID), "derm")
    cases = []
    for image in images:
        study = str(image.StudyInstanceUID)
        story = service.wait_for_end(study, within=240)
        shown = service.cli("cases", "show", str(story.case_id))
        assert shown.returncode == 0, shown.stderr
        cases.append(Case(image, story, service.results(study), " ".join(shown.stdout.split())))
    return cases


def place(region: dict[str, int]) -> str:
    """A crop in the words of every result; the first column and row have the number 1."""
    return f"column {region['left'] + 1}, row {region['top'] + 1}, {region['width']} x {region['height']} pixels"


def check_read_on_crops(case: Case, *, count: int) -> None:
    """Everything that was found of a photograph with that many lesions is told, on its crop, in ledger, report and SEG."""
    assert case.state is State.CONFIRMED, (case.story.revisions[0].reason_code, case.story.revisions[0].last_error)
    (searched,) = case.findings(FINDER, "crops")
    called = case.findings(READER, "classification")
    assert len(searched["rectangles"]) == count
    assert [one["region"] for one in called] == searched["rectangles"]
    assert case.findings(READER, "refusal") == []
    for one in called:
        where = place(one["region"])
        melanoma = next(each["probability"] for each in one["probabilities"] if each["class_id"] == "melanoma")
        said = [group for group in case.said_by(READER) if f"read on the crop at {where}" in group.comment]
        assert {group.finding for group in said} == {MELANOMA, NAEVUS}
        (probability,) = [group.number("probability") for group in said if group.finding == MELANOMA]
        assert probability is not None
        assert probability.value == pytest.approx(melanoma, abs=1e-6)
        assert f"on the crop at {where}, Call: " in case.summary
        assert f"read on the crop at {where}: nevus" in case.shown
    (lesion,) = case.findings(FINDER, "segmentation", "lesion")
    (skin,) = case.findings(FINDER, "segmentation", "skin")
    assert case.segmented("lesion") == lesion["pixels"] > 0
    assert case.segmented("skin") == skin["pixels"] > 0


def test_the_finder_runs_before_the_reader_of_its_crops(drawn: dict[str, Case]) -> None:
    for case in drawn.values():
        assert [one.bundle.name for one in case.runs] == [FINDER, READER]
        first, second = case.runs
        assert first.started_at <= second.started_at
        assert case.shown.index(f"Run of {FINDER}") < case.shown.index(f"Run of {READER}")


def test_the_report_says_of_one_lesion_on_which_crop_it_was_read(drawn: dict[str, Case]) -> None:
    case = drawn["one"]
    check_read_on_crops(case, count=1)
    assert len({group.tracking_uid for group in case.said_by(READER)}) == 1
    assert "1 lesion on 1 image." in case.summary
    assert "melanoma below the threshold" in case.shown or "melanoma at or above the threshold" in case.shown


def test_a_real_photograph_is_read_on_its_crop(service: Hospital) -> None:
    (row,) = [one for one in studies.manifest_rows(dataset="PAD-UFES-20") if "PAT_682_1292_978" in one["path"]]
    (case,) = sent(service, [studies.real_image(row, Kind.CLINICAL)])
    check_read_on_crops(case, count=1)


def test_several_lesions_are_read_on_a_crop_each_and_never_taken_for_one(drawn: dict[str, Case]) -> None:
    case = drawn["two"]
    check_read_on_crops(case, count=2)
    assert len({group.tracking_uid for group in case.said_by(READER)}) == 2
    assert "2 crops of an image were read, each as a lesion of its own." in case.summary
    middle = case.image.Columns / 2
    places = sorted(one["region"]["left"] for one in case.findings(READER, "classification"))
    assert places[0] < middle < places[1]
    (lesion,) = [group for group in case.said_by(FINDER) if group.finding == key_of("skin_lesion")]
    (diameter,) = [number.value for number in lesion.numbers if number.name == key_of("diameter")]
    assert diameter < middle / 2, "that of one lesion, not the way from one to the other"


def test_where_no_part_will_do_the_reader_says_why_and_what_the_finder_found_stands(drawn: dict[str, Case]) -> None:
    case = drawn["none"]
    assert case.state is State.CONFIRMED, (case.story.revisions[0].reason_code, case.story.revisions[0].last_error)
    assert case.findings(FINDER, "crops") == [{"rectangles": []}]
    (refused,) = case.findings(READER, "refusal")
    assert refused["reason"] == "no_crop"
    (said,) = case.said_by(READER)
    because = f"not analysed by {READER}, because: No part of the image shows enough skin and lesion"
    assert (key_of("not_analysed_because"), ("NA-NOCROP", "99DERMPACS")) in said.evaluations
    for told in (said.comment, case.summary):
        assert because in told
    assert "Take the image again, nearer to the lesion" in said.comment
    assert f"not analysed, because no_crop: No part of the image shows enough skin and lesion. (searched by {FINDER})" in case.shown
    (skin,) = case.findings(FINDER, "segmentation", "skin")
    assert case.segmented("skin") == skin["pixels"] > 0
    assert "crops around lesion: none" in case.shown


def test_where_the_finder_refuses_the_image_the_reader_refuses_it_for_the_same_reason(drawn: dict[str, Case]) -> None:
    case = drawn["cloth"]
    assert case.state is State.REJECTED
    assert [case.findings(name, "refusal")[0]["reason"] for name in (FINDER, READER)] == ["no_skin", "no_skin"]
    for name in (FINDER, READER):
        (said,) = case.said_by(name)
        assert f"not analysed by {name}, because: The image shows too little that has the colour of skin" in said.comment
        assert f"not analysed by {name}, because: The image shows too little that has the colour of skin" in case.summary
    (said,) = case.said_by(READER)
    assert f"{FINDER}, whose crops were to be read, refused it" in said.comment

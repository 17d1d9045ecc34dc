"""Each bundle of the repository learns for a few steps, is measured, exported and installed, and reads an image in the service."""

import csv
import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.uid import SecondaryCaptureImageStorage

from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.cli.main import run
from derm_pacs.domain.bundle import ClassificationOutput, SegmentationOutput, ServingDescription
from derm_pacs.domain.case import State
from derm_pacs.domain.findings import Grade
from derm_pacs.ledger.reading import CaseStory
from derm_pacs.results.readback import ReadGroup, groups_of, key_of
from derm_pacs.samples.wrap import Kind, wrap
from tests.acceptance import studies
from tests.acceptance.hospital import Hospital, as_bytes
from tests.conftest import REPOSITORY, shared_data

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::UserWarning"),  # pydicom's and MONAI's remarks
]

FOLDER = REPOSITORY / "monai_bundles"
NAMES = sorted(file.parents[1].name for file in FOLDER.glob("*/configs/serving.json"))
FEW = 8
"""Pictures of each side of the split: a training of four steps."""

CLASSIFIED = {"auc", "auc_ci", "accuracy", "sensitivity", "specificity", "threshold", "ece", "n", "per_source"}
SEGMENTED = {"dice", "jaccard", "n", "per_source"}

each_bundle = pytest.mark.parametrize("name", NAMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A bundle as a person has it after training, measuring and exporting."""

    folder: Path
    """The copy with the new weights."""
    description: ServingDescription
    training: dict[str, Any]
    figures: dict[str, Any]
    checkpoint: Path
    table: Path


def derm_pacs(*arguments: str | Path) -> str:
    """Run a command of the product in this process, which has loaded MONAI already; returns what it prints."""
    with redirect_stdout(io.StringIO()) as printed:
        status = run([str(one) for one in arguments])
    assert status == ExitCode.OK, (arguments, printed.getvalue())
    return printed.getvalue()


def serving(folder: Path) -> ServingDescription:
    return ServingDescription.model_validate_json((folder / "configs" / "serving.json").read_bytes())


def pictures(name: str, folder: Path) -> tuple[str, ...]:
    """Return what names the table for the training of a bundle; drawn pictures are made in `folder`."""
    described = serving(FOLDER / name)
    if described.input.colour == "GREY":
        derm_pacs("samples", "mosaics", "--out", folder / "mosaics", "--count", "5", "--rows", "768", "--columns", "768")
        return ("--data", str(folder / "mosaics" / "MANIFEST.csv"))
    images = shared_data() / "images"
    if described.grade is Grade.DEMONSTRATION:
        derm_pacs("samples", "dermatoses", "--out", folder / "drawn", "--count", "5", "--side", "160")
        return ("--data", str(images / "MANIFEST.csv"), "--set", f"drawn={folder / 'drawn' / 'MANIFEST.csv'}")
    masks = all(isinstance(one, SegmentationOutput) for one in described.outputs)
    return ("--data", str(images / ("MANIFEST.csv" if masks else "MELNEV_BALANCED.csv")))


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """Train, measure and export a bundle, once."""

    @cache
    def made(name: str) -> Made:
        folder = tmp_path_factory.mktemp(name)
        copy, out = folder / name, folder / "out"
        few = ["--epochs", "1", "--pretrained", "none", "--set", f"pictures={FEW}", "--set", "batch=2"]
        if "teacher" in json.loads((FOLDER / name / "configs" / "train.json").read_text()):
            few += ["--set", "teacher=null"]  # another bundle's networks: they would take most of the time
        trained = derm_pacs("bundles", "train", FOLDER / name, *pictures(name, folder), "--out", out, "--device", "cpu", *few, "--json")
        weights, table = out / "best.pt", out / "table.csv"
        figures = derm_pacs("bundles", "evaluate", FOLDER / name, "--data", table, "--weights", weights, "--json")
        derm_pacs("bundles", "export", FOLDER / name, "--checkpoint", weights, "--version", "99.0.0", "--out", copy)
        return Made(
            folder=copy, description=serving(copy), training=json.loads(trained), figures=json.loads(figures),
            checkpoint=weights, table=table,
        )

    return made


def kind_of(described: ServingDescription) -> Kind:
    """Return what images the bundle reads, by its description."""
    if described.input.colour == "GREY":
        return Kind.CONFOCAL
    dermoscopic = not described.input.sop_classes or "1.2.840.10008.5.1.4.1.1.77.1.7" in described.input.sop_classes
    return Kind.DERMOSCOPIC if dermoscopic else Kind.CLINICAL


def routes(made: dict[str, Made]) -> str:
    """Return a route for each kind of images, with all bundles that read it; none is clinical, as demonstrations are among them."""
    classes = {Kind.DERMOSCOPIC: "77.1.7", Kind.CLINICAL: "77.1.4", Kind.CONFOCAL: "7"}
    text = ""
    for kind, ending in classes.items():
        bundles = [name for name, one in made.items() if kind_of(one.description) is kind]
        if bundles:
            text += f'[[routes]]\nname = "{kind}"\nsop_classes = ["1.2.840.10008.5.1.4.1.1.{ending}"]\n'
            text += f'bundles = {json.dumps(bundles)}\ndestinations = ["pacs"]\nclinical = false\n'
    return text


@pytest.fixture(scope="module")
def service(_orthanc_is_there: None, make: Callable[[str], Made]) -> Iterator[Hospital]:
    """One hospital in which all bundles are installed as exported."""
    folder = Path(tempfile.mkdtemp(prefix="derm-b-"))
    folder.chmod(0o755)
    made = {name: make(name) for name in NAMES}
    with Hospital(folder, {name: one.folder for name, one in made.items()}, routes=routes(made)) as running:
        yield running
    shutil.rmtree(folder, ignore_errors=True)


@each_bundle
def test_a_few_steps_of_training_leave_weights_and_figures(make: Callable[[str], Made], name: str) -> None:
    made = make(name)
    assert made.training["epochs"] == 1
    assert made.training["figures"]
    assert made.checkpoint.is_file()
    assert made.table.is_file()


@each_bundle
def test_the_evaluation_is_one_object_with_the_figures_of_its_kind(make: Callable[[str], Made], name: str) -> None:
    made = make(name)
    classifies = any(isinstance(one, ClassificationOutput) for one in made.description.outputs)
    assert set(made.figures) >= (CLASSIFIED if classifies else SEGMENTED)
    assert 0 < made.figures["n"] <= 3 * FEW
    for source in made.figures["per_source"].values():
        assert set(source) >= (CLASSIFIED if classifies else SEGMENTED) - {"per_source"}


@each_bundle
def test_the_exported_bundle_is_of_the_new_weights(make: Callable[[str], Made], name: str) -> None:
    made = make(name)
    data = (made.folder / made.description.weights.file).read_bytes()
    assert hashlib.sha256(data).hexdigest() == made.description.weights.sha256
    assert made.description.weights.sha256 != serving(FOLDER / name).weights.sha256
    assert (made.description.name, made.description.grade) == (name, serving(FOLDER / name).grade)


@each_bundle
def test_the_bundle_reads_an_image_in_the_service_and_the_report_in_the_pacs_says_what_it_found(
    service: Hospital, make: Callable[[str], Made], name: str
) -> None:
    made = make(name)
    kind = kind_of(made.description)
    with made.table.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "val"]
    label = studies.label(studies.new_study(), patient=name, synthetic=kind is Kind.CONFOCAL)
    real = [row for row in rows if "synthetic" not in row["dataset"]]
    image = wrap(Path((real or rows)[0]["path"]), kind, label)
    service.put_into_pacs([image])
    service.orthanc.send_study(str(image.StudyInstanceUID), "derm")
    story = service.wait_for_end(str(image.StudyInstanceUID), within=400)
    assert story.revisions[0].state is State.CONFIRMED, (story.revisions[0].reason_code, story.revisions[0].last_error)
    results = service.results(str(image.StudyInstanceUID))
    (report,) = [one for one in results if one.Modality == "SR" and "report" in str(one.SeriesDescription)]
    hd.sr.srread(io.BytesIO(as_bytes(report)))
    check_words(report, story, drawn=kind is Kind.CONFOCAL)
    version = made.description.version
    said = [one for one in groups_of(report) if one.algorithm == (name, version)]
    assert said, f"the report tells nothing of {name} {version}"
    for output in made.description.outputs:
        if isinstance(output, ClassificationOutput):
            check_classification(output, said, finding(story, name, output))
            check_explanation(made.description, finding(story, name, output), results)
        else:
            check_segmentation(output, said, finding(story, name, output), image, results)


def told(item: pydicom.Dataset) -> Iterator[str]:
    """Yield every text of a report; those of the standard's printout are cut short."""
    for child in item.get("ContentSequence", []):
        yield str(child.get("TextValue", ""))
        yield from told(child)


def check_words(report: pydicom.Dataset, story: CaseStory, *, drawn: bool) -> None:
    """What a report says of its worth, where it is read first."""
    words = "\n".join(told(report))
    assert "not for primary diagnosis" in words
    title = str(report.SeriesDescription)
    assert "research use" in title
    demonstration = any(one.bundle.grade is Grade.DEMONSTRATION for one in story.revisions[0].runs)
    assert ("demonstration" in title) == demonstration
    assert ("A bundle of demonstration grade took part" in words) == demonstration
    assert title.startswith("SYNTHETIC") == drawn


def finding(story: CaseStory, bundle: str, output: ClassificationOutput | SegmentationOutput) -> dict[str, Any]:
    """Return what the ledger has of an output of a bundle, of the one image."""
    (found,) = [
        dict(line.data)
        for one in story.revisions[0].runs
        if one.bundle.name == bundle
        for line in one.findings
        if (line.kind, line.output) == (output.kind, output.id)
    ]
    return found


def check_classification(output: ClassificationOutput, said: list[ReadGroup], found: dict[str, Any]) -> None:
    """Every class with its code and the ledger's probability, together 1."""
    expected = {key_of(one["concept"]): one["probability"] for one in found["probabilities"]}
    assert set(expected) == {key_of(one.concept) for one in output.classes}
    said_of = {one.finding: number.value for one in said if (number := one.number("probability")) is not None}
    assert said_of == pytest.approx(expected, abs=1e-6)
    assert sum(said_of.values()) == pytest.approx(1, abs=1e-5)


def check_explanation(described: ServingDescription, found: dict[str, Any], results: list[pydicom.Dataset]) -> None:
    """A map is of the bundle's method and of one of its classes, and a picture shows it; where nothing spoke for the class there is none."""
    if (kept := found.get("saliency")) is None:
        return
    assert described.explanation is not None
    assert kept["method"] == described.explanation.method
    assert kept["class_id"] in {one["class_id"] for one in found["probabilities"]}
    assert any(one.SOPClassUID == SecondaryCaptureImageStorage for one in results), "the picture"


def check_segmentation(
    output: SegmentationOutput, said: list[ReadGroup], found: dict[str, Any], image: pydicom.Dataset, results: list[pydicom.Dataset]
) -> None:
    """The outlined region is told with its area, and its SEG has as many pixels; where nothing was found, that is told."""
    (group,) = [one for one in said if one.finding == key_of(output.concept)]
    if not found["pixels"]:
        assert "found" in group.comment
        return
    segs = [hd.seg.segread(io.BytesIO(as_bytes(one))) for one in results if one.Modality == "SEG"]
    areas = {
        int(np.asarray(seg.get_pixels_by_source_instance([str(image.SOPInstanceUID)], segment_numbers=[number])).astype(bool).sum())
        for seg in segs
        for number in seg.segment_numbers
    }
    assert found["pixels"] in areas
    assert group.seg is not None

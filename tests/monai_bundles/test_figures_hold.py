"""The figures of each bundle are one: in its report, its card and its description; and the shipped weights still give them.

So are the counts of its quality gate, which the documents repeat.
"""

import hashlib
import json
from collections.abc import Callable, Collection
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from derm_pacs.domain.bundle import ServingDescription
from derm_pacs.domain.findings import Classification
from derm_pacs.inference.analyse import analyse_pixels, load_bundle
from derm_pacs.samples.dermatoses import DISEASES, dermatosis
from derm_pacs.samples.draw import Picture
from derm_pacs.samples.mosaics import CLASSES, mosaic
from derm_pacs.samples.picture_set import Drawn, split_of, write_set
from derm_training.reporting.gate_words import gate_block, gate_table
from derm_training.tables.manifest import labelled_rows, masked_rows, read_mask, read_rgb
from derm_training.tables.selection import synthetic
from tests.conftest import REPOSITORY, shared_data

FOLDER = REPOSITORY / "monai_bundles"
BUNDLES = sorted(file.parents[2].name for file in FOLDER.glob("*/docs/report/report.json"))

each_bundle = pytest.mark.parametrize("name", BUNDLES)

Draw = Callable[[int, str], Picture]
DRAWINGS: dict[str, tuple[str, Collection[str], int, Draw]] = {
    "mosaics/MANIFEST.csv": ("synthetic RCM", CLASSES, 20, lambda seed, label: mosaic(seed, label, shape=(768, 768))),
    "dermatoses/MANIFEST.csv": ("synthetic dermatoses", DISEASES, 25, lambda seed, label: dermatosis(seed, label, side=256)),
}
"""Of each drawn table of `make bundles-report` the data set, its classes, the drawings of each, and what draws one from its seed."""
POINT_VALUES = ("auc", "accuracy", "sensitivity", "specificity", "ece")


def read(name: str, place: str) -> Any:
    return json.loads((FOLDER / name / place).read_text(encoding="utf-8"))


def test_every_shipped_bundle_has_a_report() -> None:
    assert sorted(file.parents[1].name for file in FOLDER.glob("*/models/model.safetensors")) == BUNDLES


@each_bundle
def test_card_and_description_hold_the_reports_figures(name: str) -> None:
    card = pytest.importorskip("derm_training.reporting.card", reason="needs the extra 'train'")
    report = read(name, "docs/report/report.json")
    text = (FOLDER / name / "docs" / "README.md").read_text(encoding="utf-8")
    block = text.partition("<!-- figures -->\n")[2].partition("\n<!-- /figures -->")[0]
    assert block == card.figures_block(report)
    assert read(name, "configs/serving.json")["validation"] == card.validation(report)


@each_bundle
def test_the_report_is_of_the_shipped_weights_and_of_this_paper(name: str) -> None:
    report = read(name, "docs/report/report.json")
    serving = read(name, "configs/serving.json")
    assert report["bundle"]["weights_sha256"] == serving["weights"]["sha256"]
    assert {key: report["bundle"][key] for key in ("name", "version", "grade")} == {key: serving[key] for key in ("name", "version", "grade")}
    assert report["paper"] == read(name, "configs/metadata.json").get("paper")
    for task in report["tasks"]:
        assert task.get("temperature", 1.0) == serving["outputs"][0].get("temperature", 1.0)


@each_bundle
def test_every_class_with_an_operating_point_is_measured_at_it(name: str) -> None:
    serving = read(name, "configs/serving.json")
    points = {one["output"]: one for one in serving["operating_points"]}
    for task in read(name, "docs/report/report.json")["tasks"]:
        point = points.get(serving["outputs"][0]["id"])
        if point is not None:
            found = (task["positive"], task["overall"]["threshold"], task["operating_points"][0]["threshold"])
            assert found == (point["positive"], point["threshold"], point["threshold"])


@each_bundle
def test_the_page_warns_and_the_report_stays_small(name: str) -> None:
    folder = FOLDER / name / "docs" / "report"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("For research use; not for primary diagnosis.") >= 2
    assert hashlib.sha256((FOLDER / name / "models" / "model.safetensors").read_bytes()).hexdigest()[:16] in page
    assert sum(file.stat().st_size for file in folder.iterdir()) < 400_000
    drawn = [task for task in read(name, "docs/report/report.json")["tasks"] if task["synthetic"]]
    assert page.count('<span class="synthetic">SYNTHETIC</span>') == len(drawn)
    card = (FOLDER / name / "docs" / "README.md").read_text(encoding="utf-8")
    for picture in folder.glob("*.png"):
        assert Image.open(picture).size > (0, 0)
    for task in drawn:
        assert "SYNTHETIC" in card, task["title"]


def gate_of(name: str) -> dict[str, Any]:
    file = FOLDER / name / "docs" / "report" / "gate.json"
    assert file.is_file(), f"{file} is missing, the gate's counts are not known: `make bundles-report` measures them"
    values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return values


@each_bundle
def test_the_card_holds_the_gates_counts(name: str) -> None:
    text = (FOLDER / name / "docs" / "README.md").read_text(encoding="utf-8")
    assert text.partition("<!-- gate -->\n")[2].partition("\n<!-- /gate -->")[0] == gate_block(gate_of(name))


@each_bundle
def test_the_gates_counts_are_of_the_shipped_weights_and_limits_by_the_whole_measurement(name: str) -> None:
    values, serving = gate_of(name), read(name, "configs/serving.json")
    assert values["weights_sha256"] == serving["weights"]["sha256"]
    assert (values["bundle"], values["version"]) == (serving["name"], serving["version"])
    assert (values["quality"], values["min_short_side"]) == (serving["quality"], serving["input"]["min_short_side"])
    assert (values["count"], values["seed"]) == (500, 0)
    assert values["synthetic"] == all(task["synthetic"] for task in read(name, "docs/report/report.json")["tasks"])


def test_the_document_of_training_holds_the_gates_counts() -> None:
    for name in BUNDLES:
        gate_of(name)
    text = (REPOSITORY / "docs" / "lead" / "training.md").read_text(encoding="utf-8")
    assert gate_table(FOLDER) in text, "docs/lead/training.md is older than the counts: cog -r docs/lead/training.md"


def drawn_again(data: str, folder: Path) -> Path:
    """The validation pictures of a table that `make bundles-report` draws, which keeps no drawing, and their table."""
    dataset, labels, count, draw = DRAWINGS[data]
    judged = [seed for seed in range(count) if split_of(seed) == "val"]
    place = folder / Path(data).parent
    write_set(place, dataset, (Drawn(label=label, seed=seed, picture=draw(seed, label)) for seed, label in product(judged, labels)))
    return place / Path(data).name


def tables_of(name: str, folder: Path) -> list[tuple[dict[str, Any], Path]]:
    """The tasks of the report that can be measured again here, each with its table; drawn ones are drawn into `folder`."""
    found = []
    for task in read(name, "docs/report/report.json")["tasks"]:
        for entry in read(name, "configs/evaluate.json")["report"]:
            data = entry["data"]
            if (entry["title"], Path(data).name, data in DRAWINGS) == (task["title"], task["table"], task["synthetic"]):
                table = drawn_again(data, folder) if task["synthetic"] else shared_data() / "images" / data
                found.append((task | {"datasets": entry.get("datasets", [])}, table))
    return [(task, table) for task, table in found if table.is_file()]


def point_values(task: dict[str, Any], said: Any, every: list[str]) -> dict[str, Any]:
    """The figures of a classification task from the logits of the classes `every`, without intervals and colour alone, which take long."""
    task_figures = pytest.importorskip("derm_training.measuring.task_figures", reason="needs the extra 'train'")
    classes = task["classes"]
    chosen = [i for i, row in enumerate(said.selection.rows) if row.label in classes and synthetic(row) == task["synthetic"]]
    temperature = 1.0 if task["temperature_of"] == "window" else task["temperature"]
    logits = said.logits[np.ix_(chosen, [every.index(one) for one in classes])] / temperature
    rows = [said.selection.rows[i] for i in chosen]
    judged = task_figures.Judged(
        truth=np.array([classes.index(row.label) for row in rows]),
        probabilities=task_figures.softmax(logits),
        groups=tuple(row.group for row in rows),
        positive=None if task["positive"] is None else classes.index(task["positive"]),
        threshold=task["overall"]["threshold"],
        baseline=None,
    )
    found: dict[str, Any] = task_figures.part(judged, logits, 0)
    return found


@pytest.mark.server  # hundreds of images through the networks
@pytest.mark.timeout(1200)  # minutes of computing, more where four tests share two cores
@each_bundle
def test_the_shipped_weights_still_give_the_reports_figures(name: str, tmp_path: Path) -> None:
    predictions = pytest.importorskip("derm_training.measuring.predictions", reason="needs the extra 'train'")
    every = [one["id"] for one in read(name, "configs/serving.json")["outputs"][0].get("classes", [])]
    measured = tables_of(name, tmp_path)
    assert len(measured) == len(read(name, "docs/report/report.json")["tasks"]), "a table of the report is not in ../shared/data/images"
    for task, table in measured:
        said = predictions.predict(FOLDER / name, table, split=task["split"], datasets=task["datasets"], device="cpu")
        if task["kind"] == "segmentation":
            found = {"n": len(said.jaccard), "jaccard": float(said.jaccard.mean()), "dice": float(said.dice.mean())}
        else:
            values = point_values(task, said, every)
            found = {figure: values[figure] for figure in ("n", "n_positive", *POINT_VALUES)}
        said_then = {figure: task["overall"][figure] for figure in found}
        assert found == pytest.approx(said_then, abs=0.002), f"{task['title'] or table.name}, {table.parent.name}"


@pytest.mark.server  # hundreds of images through the network
def test_the_explanation_lies_in_the_lesion_as_often_as_the_card_says() -> None:
    images = shared_data() / "images"
    folder = FOLDER / "melanoma_nevus_alexnet"
    description = ServingDescription.model_validate_json((folder / "configs" / "serving.json").read_bytes())
    description = description.model_copy(update={"quality": description.quality.model_copy(update={"novelty": None})})
    bundle = load_bundle(folder, description)  # the card's figure is of all images, whatever the gate says
    judged = {row.image for row in labelled_rows(images / "MELNEV_BALANCED.csv", "val", ("nevus", "melanoma"))}
    inside, hits, without = [], [], 0
    for row in masked_rows(images / "MANIFEST.csv", "val"):
        if row.image not in judged:
            continue
        assert row.mask is not None
        (found,) = analyse_pixels(bundle, read_rgb(row.image))
        assert isinstance(found, Classification)
        if found.saliency is None:
            without += 1
            continue
        mask, grid = read_mask(row.mask), found.saliency.grid
        heat = np.asarray(Image.fromarray(grid).resize(mask.shape[::-1], Image.Resampling.BILINEAR), dtype=np.float64)
        inside.append(float((heat * mask).sum() / heat.sum()))
        down, across = divmod(int(grid.argmax()), grid.shape[1])
        centre = (down + 0.5) / grid.shape[0] * mask.shape[0], (across + 0.5) / grid.shape[1] * mask.shape[1]
        hits.append(bool(mask[int(centre[0]), int(centre[1])]))
    assert (len(inside), without) == (159, 1)
    assert abs(float(np.mean(inside)) - 0.51) < 0.01
    assert abs(float(np.mean(hits)) - 0.77) < 0.02

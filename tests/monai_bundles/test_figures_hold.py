"""The figures of each bundle are one: in its report, its card and its description; and the shipped weights still give them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from derm_pacs.domain.bundle import ServingDescription
from derm_pacs.domain.findings import Classification
from derm_pacs.inference.analyse import analyse_pixels, load_bundle
from derm_training.measuring.statistics import area_under_curve
from derm_training.tables.manifest import labelled_rows, masked_rows, read_mask, read_rgb
from tests.conftest import REPOSITORY, shared_data

FOLDER = REPOSITORY / "monai_bundles"
BUNDLES = sorted(file.parents[2].name for file in FOLDER.glob("*/docs/report/report.json"))

each_bundle = pytest.mark.parametrize("name", BUNDLES)


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


@each_bundle
def test_a_papers_split_would_be_drawn_as_training_draws_it(name: str) -> None:
    assert read(name, "configs/evaluate.json")["seed"] == read(name, "configs/train.json")["seed"]


def report_tables(name: str) -> list[tuple[dict[str, Any], Path]]:
    """The real images' tasks of the report that can be measured again here, each with its table."""
    named = read(name, "configs/evaluate.json")["report"]
    tasks = [task for task in read(name, "docs/report/report.json")["tasks"] if not task["synthetic"]]
    pairs = [
        (task | {"datasets": entry.get("datasets", [])}, shared_data() / "images" / entry["data"])
        for task in tasks
        for entry in named
        if (entry["title"], Path(entry["data"]).name) == (task["title"], task["table"])
    ]
    return [(task, table) for task, table in pairs if table.is_file()]


@pytest.mark.server  # hundreds of images through the networks
@pytest.mark.timeout(1200)  # minutes of computing, more where four tests share two cores
@each_bundle
def test_the_shipped_weights_still_give_the_reports_figures(name: str) -> None:
    predictions = pytest.importorskip("derm_training.measuring.predictions", reason="needs the extra 'train'")
    measured = report_tables(name)
    if not measured:
        pytest.skip("the bundle's report is of images drawn by a program, which are not kept")
    for task, table in measured:
        said = predictions.predict(FOLDER / name, table, split=task["split"], datasets=task["datasets"], device="cpu")
        assert len(said.selection.rows) >= task["n"]
        if task["kind"] == "segmentation":
            assert len(said.jaccard) == task["n"]
            assert float(said.jaccard.mean()) == pytest.approx(task["overall"]["jaccard"], abs=0.002)
            assert float(said.dice.mean()) == pytest.approx(task["overall"]["dice"], abs=0.002)
        elif len(task["classes"]) == 2:
            positive = task["classes"].index(task["positive"])
            truth = [row.label == task["positive"] for row in said.selection.rows]
            scores = said.logits[:, positive] - said.logits[:, 1 - positive]
            assert area_under_curve(truth, scores) == pytest.approx(task["overall"]["auc"], abs=0.002)


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

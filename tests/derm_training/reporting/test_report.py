"""The report says what it must on every page, needs nothing beside it, and draws its conclusions from the numbers."""

import atexit
import json
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from derm_training.measuring.evaluate import Evaluation
from derm_training.measuring.statement import statement
from derm_training.tables.rows import Row

pytest.importorskip("matplotlib", reason="needs the extra 'train'")

from derm_training.measuring.task_figures import classified, drawn
from derm_training.reporting.plots import plots
from derm_training.reporting.report import remove_report, write_report

PICTURES = Path(tempfile.mkdtemp(prefix="derm-report-"))
atexit.register(shutil.rmtree, PICTURES, ignore_errors=True)
HEAD = {"title": "", "table": "t<a>ble.csv", "split": "val", "leak": "", "left_out": {"of another diagnosis": 2}, "synthetic": False}
BUNDLE = {"name": "spots", "version": "1.0.0", "title": "Spots & <dots>", "grade": "research", "weights": "model.safetensors", "weights_sha256": "ab" * 32}
PAPER = {"citation": "Somebody, Journal 2020.", "data": "Their images.", "figures": {"auc": "0.98765", "specificity at sensitivity 100 %": "0.83"}}


def rows(folder: Path, classes: tuple[str, ...], count: int) -> list[Row]:
    Image.fromarray(np.full((30, 40, 3), 90, dtype=np.uint8)).save(folder / "a.png")
    mask = np.zeros((30, 40), dtype=bool)
    mask[10:20, 10:30] = True
    Image.fromarray(mask).save(folder / "m.png")
    return [
        Row(image=folder / "a.png", mask=folder / "m.png", label=classes[n % len(classes)], split="val", dataset="spots", source="AB"[n // len(classes) % 2], group=str(n))
        for n in range(count)
    ]  # fmt: skip


@cache
def classifier_task(classes: tuple[str, ...], *, synthetic: bool = False, count: int = 60, positive: str | None = None) -> tuple[dict[str, Any], Any]:
    """A task of a report; made once, since its intervals take a while."""
    chosen = rows(PICTURES, classes, count)
    random = np.random.default_rng(1)
    logits = random.normal(0, 1, (count, len(classes))) + 1.2 * np.eye(len(classes))[[classes.index(row.label) for row in chosen]]
    positive = positive or (classes[-1] if len(classes) == 2 else None)
    values, judged = classified(chosen, [], logits, classes=classes, positive=positive, threshold=0.5, sensitivities=(0.95,))
    task = HEAD | {"synthetic": synthetic, "temperature": 1.0, "temperature_of": "image"} | values
    return task | {"statement": statement(task)}, judged


@cache
def mask_task() -> dict[str, Any]:
    """A segmentation's task of a report."""
    chosen = rows(PICTURES, ("nevus",), 12)
    values = np.linspace(0.5, 0.9, 12)
    task = HEAD | drawn(chosen, {"jaccard": values, "dice": 2 * values / (1 + values), "area": values})
    return task | {"statement": statement(task)}


def written(folder: Path, *tasks: tuple[dict[str, Any], Any]) -> str:
    report = {"schema": 1, "research_use": "For research use; not for primary diagnosis.", "bundle": BUNDLE, "paper": PAPER, "tasks": [one for one, _ in tasks]}
    write_report(Evaluation(report=report, judged=tuple(judged for _, judged in tasks), predictions=()), folder / "report")
    assert json.loads((folder / "report" / "report.json").read_text(encoding="utf-8")) == json.loads(json.dumps(report))
    return (folder / "report" / "report.html").read_text(encoding="utf-8")


def test_a_classifiers_report_has_all_its_parts_and_stands_alone(tmp_path: Path) -> None:
    page = written(tmp_path, classifier_task(("nevus", "melanoma")))
    assert page.count("For research use; not for primary diagnosis.") >= 2
    for words in ("Operating points", "sensitivity 100 %", "Calibration", "By source", "By data set", "the paper&rsquo;s own, on its own data", "What this supports, and what not"):
        assert words in page
    assert "Spots &amp; &lt;dots&gt;" in page
    assert "t&lt;a&gt;ble.csv" in page
    assert not re.search(r'(src|href)="(?!#)', page.replace("xlink:href", "href").replace('xmlns:xlink="http', ""))
    pictures = {file.stem for file in (tmp_path / "report").glob("*.png")}
    assert pictures == {"roc", "reliability", "confusion", "scores", "sources", "datasets"}
    assert sum(file.stat().st_size for file in (tmp_path / "report").iterdir()) < 400_000


def test_every_drawing_is_well_formed_and_no_two_things_have_one_id(tmp_path: Path) -> None:
    page = written(
        tmp_path,
        classifier_task(("a", "b", "c")),
        classifier_task(("nevus", "melanoma"), synthetic=True),
        (mask_task(), None),
    )
    drawings = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(drawings) == 6 + 6 + 3
    for drawing in drawings:
        ET.fromstring(drawing)  # noqa: S314 - made here
    identifiers = re.findall(r'\bid="([^"]+)"', page)
    assert len(identifiers) == len(set(identifiers))
    assert set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', page)) != set()
    assert {one or other for one, other in re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', page)} <= set(identifiers)


def test_drawn_images_are_marked_and_the_papers_figures_stand_alone_beside_them(tmp_path: Path) -> None:
    page = written(tmp_path, classifier_task(("nevus", "melanoma"), synthetic=True))
    assert '<span class="synthetic">SYNTHETIC</span>' in page
    assert "say nothing about patients" in page
    main_table = page[: page.index("<h2>The paper</h2>")]
    assert "0.98765" not in re.sub(r"<svg.*?</svg>", "", main_table, flags=re.DOTALL)


def test_the_same_report_is_the_same_bytes(tmp_path: Path) -> None:
    task = classifier_task(("nevus", "melanoma"))
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    assert written(tmp_path / "one", task) == written(tmp_path / "two", task)
    for file in (tmp_path / "one" / "report").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / "report" / file.name).read_bytes()


def test_pictures_of_an_earlier_report_go_and_a_persons_own_stay(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    own = {"photograph.png", "roc of mine.png", "2-lesion.png", "scores.PNG", "notes.html"}
    for name in own:
        (tmp_path / "report" / name).write_bytes(b"mine")
    written(tmp_path, classifier_task(("nevus", "melanoma")), (mask_task(), None))
    assert {"2-overlap.png", "roc.png"} <= {file.name for file in (tmp_path / "report").iterdir()}
    written(tmp_path, (mask_task(), None))
    left = {file.name for file in (tmp_path / "report").iterdir()}
    assert left == own | {"report.html", "report.json", "overlap.png", "sources.png", "datasets.png"}
    assert all((tmp_path / "report" / name).read_bytes() == b"mine" for name in own)


def test_where_no_report_lies_none_is_removed(tmp_path: Path) -> None:
    (tmp_path / "roc.png").write_bytes(b"mine")
    assert not remove_report(tmp_path)
    assert not remove_report(tmp_path / "absent")
    assert (tmp_path / "roc.png").exists()


def test_the_images_behind_a_figure_stand_with_it_where_they_are_not_all(tmp_path: Path) -> None:
    task, judged = classifier_task(("nevus", "melanoma"))
    page = written(tmp_path, (task, judged))
    low, high = task["overall"]["sensitivity_ci"]
    assert page.count(f"<small>{low:.3f} to {high:.3f}, n 30</small>") == 3, "the tile, the first table, the default operating point"
    low, high = task["overall"]["accuracy_ci"]
    assert f"<small>{low:.3f} to {high:.3f}</small>" in page


def test_a_papers_specificity_at_a_sensitivity_stands_beside_the_networks_own_there(tmp_path: Path) -> None:
    task, judged = classifier_task(("nevus", "melanoma"))
    (point,) = (one for one in task["operating_points"] if one["id"] == "sensitivity 100 %")
    low, high = point["specificity_ci"]
    own = f"<td>{point['specificity']:.3f}<small>{low:.3f} to {high:.3f}, n 30</small></td>"
    page = written(tmp_path, (task, judged))
    assert f"<td>specificity at sensitivity 100 %</td>{own}<td class=\"paper\">0.83</td>" in page


def test_each_operating_point_has_a_marker_and_a_line_in_the_legend() -> None:
    task, judged = classifier_task(("nevus", "melanoma"))
    points = [task["operating_points"][0] | {"id": f"point {number}"} for number in range(7)]
    (curve,) = (one for one in plots(task | {"operating_points": points}, judged) if one.name == "roc")
    assert [one["id"] for one in points if one["id"] not in curve.svg] == []


def test_the_operating_point_of_several_classes_stands_in_the_report(tmp_path: Path) -> None:
    page = written(tmp_path, classifier_task(("a", "b", "c"), positive="b"))
    assert "An image is called b at or above the threshold." in page
    assert "By class, each against the rest" in page


def task_with(**changes: Any) -> dict[str, Any]:
    part = {"auc": 0.8, "auc_ci": [0.76, 0.84], "auc_over_baseline": 0.1, "auc_over_baseline_ci": [0.02, 0.2]}
    base = HEAD | {
        "kind": "classification", "n": 200, "lesions": 200, "lesion_unnamed": 0, "positive": "melanoma", "counts": {"melanoma": 100, "nevus": 100},
        "overall": part, "per_source": {}, "operating_points": [],
        "calibration": {"ece": 0.05, "ece_by_chance": 0.04, "ece_by_chance_most": 0.07, "ece_scaled": 0.05},
    }  # fmt: skip
    return base | changes


def test_a_wide_interval_is_called_too_wide() -> None:
    overall = task_with()["overall"] | {"auc_ci": [0.6, 0.95]}
    assert "too wide to rank" in statement(task_with(overall=overall))[0]
    assert "too wide" not in statement(task_with())[0]


def test_images_that_name_no_lesion_are_not_counted_as_lesions_in_silence() -> None:
    assert "With 200 images of 200 lesions the area" in " ".join(statement(task_with(lesion_unnamed=0)))
    said = " ".join(statement(task_with(lesion_unnamed=20, lesions=150)))
    assert "With 200 images of 150 lesions (20 name none and count as one each) the area" in said
    assert "With 200 images that name no lesion the area" in " ".join(statement(task_with(lesion_unnamed=200)))


def test_a_source_of_few_lesions_supports_no_claim_of_its_own() -> None:
    few = task_with()["overall"] | {"lesions": 2, "auc_over_baseline_ci": [None, None]}
    said = " ".join(statement(task_with(per_source={"A": task_with()["overall"], "B": few})))
    assert "by itself it is shown for A, not for B" in said


def test_no_lead_over_the_baseline_is_claimed_whose_interval_holds_zero() -> None:
    open_part = task_with()["overall"] | {"auc_over_baseline_ci": [-0.01, 0.2]}
    assert "is not shown" in " ".join(statement(task_with(overall=open_part)))
    said = " ".join(statement(task_with(per_source={"A": task_with()["overall"], "B": open_part})))
    assert "by itself it is shown for A, not for B" in said
    assert "in every source by itself" in " ".join(statement(task_with(per_source=dict.fromkeys("AB", task_with()["overall"]))))


def test_probabilities_are_called_a_ranking_where_they_are_further_off_than_by_chance() -> None:
    off = task_with()["calibration"] | {"ece": 0.2}
    assert "score for ranking" in " ".join(statement(task_with(calibration=off)))
    assert "an error of that size would not be noticed here" in " ".join(statement(task_with()))


def test_the_mixture_of_classes_is_spoken_of_where_images_are_real() -> None:
    assert "50 % of these images are melanoma; where it is rarer, as in a clinic" in " ".join(statement(task_with()))
    assert "of these images are" not in " ".join(statement(task_with(synthetic=True)))


def test_one_class_alone_and_a_leak_are_told() -> None:
    alone = task_with(overall={"auc": None, "auc_ci": [None, None]}, leak="3 of 10 judged images show a lesion that is also in training")
    said = " ".join(statement(alone))
    assert "one class only" in said
    assert "Figures of such a split are too good." in said

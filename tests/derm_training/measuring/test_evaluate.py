"""Evaluation: the numbers of the service through MONAI's workflow, on tables as people have them; one object as the answer."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from derm_networks.served import open_bundle, read_weights
from derm_pacs.cli import main
from derm_pacs.cli.exit_codes import ExitCode
from derm_training.measuring import evaluate as evaluating
from derm_training.measuring.class_figures import Judged, figures
from derm_training.measuring.evaluate import Question, answer, evaluate, image_sets
from derm_training.measuring.predictions import Classified, Drawn, predict
from derm_training.measuring.statistics import jaccard
from derm_training.measuring.task_figures import classified, drawn, operating_points
from derm_training.tables.manifest import read_rgb
from derm_training.tables.rows import Row
from derm_training.tables.selection import Selection
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.server  # trains or evaluates networks

pytest.importorskip("ignite", reason="needs the extra 'train'")
pytest.importorskip("sklearn", reason="needs the extra 'train'")

BUNDLES = REPOSITORY / "monai_bundles"
CLASSIFIER, SEGMENTER = BUNDLES / "melanoma_nevus_alexnet", BUNDLES / "skin_lesion_deeplabv3plus"
KEYS = {"auc", "auc_ci", "accuracy", "sensitivity", "specificity", "threshold", "ece", "n"}


def draw(file: Path, seed: int, size: tuple[int, int] = (120, 160)) -> np.ndarray:
    """Write a picture of a brown spot and return where the spot is."""
    random = np.random.default_rng(seed)
    height, width = size
    down, across = np.mgrid[0:height, 0:width]
    spot = np.hypot((down - height * random.uniform(0.4, 0.6)) / (height / 4), (across - width / 2) / (width / 5)) < 1
    picture = np.where(spot[..., None], random.integers(40, 130, 3), random.integers(150, 230, 3)) + random.normal(0, 8, (height, width, 3))
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(file)
    return np.asarray(spot)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `two.csv` (path, label alone), `masks.csv` and `drawn.csv` (real and synthetic, of two sources)."""
    folder = tmp_path_factory.mktemp("tables")
    lines: list[dict[str, str]] = []
    for number in range(10):
        spot = draw(folder / "img" / f"{number}.png", number, (90 + 10 * number, 160))
        mask = folder / "mask" / f"{number}.png"
        mask.parent.mkdir(exist_ok=True)
        Image.fromarray(spot).save(mask)
        lines.append({
            "path": f"img/{number}.png", "mask": f"mask/{number}.png", "label": ["nevus", "melanoma", "bcc"][number % 3],
            "source": "AB"[number % 2], "dataset": "synthetic spots" if number < 5 else "spots", "lesion_id": str(number // 2),
        })  # fmt: skip
    for name, columns in {"two": ["path", "label"], "masks": ["path", "label", "mask"], "drawn": list(lines[0])}.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(lines)
    return folder


def test_a_batched_workflow_gives_the_services_probabilities(tables: Path) -> None:
    said = predict(CLASSIFIER, tables / "two.csv", device="cpu")
    assert isinstance(said, Classified)
    bundle = open_bundle(CLASSIFIER)
    shares = np.exp(said.logits) / np.exp(said.logits).sum(axis=1, keepdims=True)
    for row, found in zip(said.selection.rows, shares, strict=True):
        assert list(bundle.probabilities(read_rgb(row.image)).values()) == pytest.approx(found.tolist(), abs=1e-5)


def test_drawn_masks_are_the_services_at_the_images_own_size(tables: Path) -> None:
    said = predict(SEGMENTER, tables / "masks.csv", device="cpu")
    assert isinstance(said, Drawn)
    bundle = open_bundle(SEGMENTER)
    assert len(said.selection.rows) == 10
    for row, found, area in zip(said.selection.rows[:4], said.jaccard, said.area, strict=False):
        assert row.mask is not None
        mask = bundle.mask(read_rgb(row.image))
        truth = np.asarray(Image.open(row.mask)) > 0
        assert mask.mean() == pytest.approx(area, abs=1e-4)
        assert jaccard(mask, truth) == pytest.approx(found, abs=1e-3)


@pytest.mark.parametrize(("bundle", "table"), [(CLASSIFIER, "two.csv"), (SEGMENTER, "masks.csv")], ids=["classifier", "segmenter"])
@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_broken_network_gets_no_figures(bundle: Path, table: str, broken: float, tables: Path, tmp_path: Path) -> None:
    state = read_weights(bundle / "models" / "model.safetensors")
    last = [name for name, value in state.items() if value.is_floating_point()][-1]
    safetensors.torch.save_file(state | {last: torch.full_like(state[last], broken)}, tmp_path / "broken.safetensors")
    with pytest.raises(ValueError, match=r"img/0\.png: the network gives NaN or infinity, as for \d+ of \d+ images, .*take other weights"):
        predict(bundle, tables / table, weights=tmp_path / "broken.safetensors", device="cpu")


def test_a_table_of_path_and_label_is_enough_and_unknown_labels_are_counted(tables: Path) -> None:
    said = answer(evaluate(Question(bundle=CLASSIFIER, data=(tables / "two.csv",), device="cpu")))
    assert said.keys() >= KEYS
    assert (said["n"], said["split"], said["left_out"]) == (7, "all", {"of another diagnosis": 3})
    assert said["use"] == "For research use; not for primary diagnosis."
    assert (said["per_source"], said["per_dataset"], said["further"]) == ({}, {}, [])
    assert said["auc_ci"][0] <= said["auc"] <= said["auc_ci"][1]


def test_real_and_drawn_images_share_no_figure(tables: Path) -> None:
    found = evaluate(Question(bundle=CLASSIFIER, data=(tables / "drawn.csv",), device="cpu"))
    real, drawn = found.report["tasks"]
    assert (real["synthetic"], drawn["synthetic"]) == (False, True)
    assert real["n"] + drawn["n"] == 7
    assert set(real["per_dataset"]) == {"spots"}
    assert set(drawn["per_dataset"]) == {"synthetic spots"}
    assert drawn["statement"][0].startswith("SYNTHETIC")
    assert answer(found)["per_source"].keys() == {"A", "B"}
    assert answer(found)["per_source"]["A"].keys() >= KEYS


def test_colour_that_was_learned_elsewhere_is_no_simple_means_to_be_better_than(tables: Path) -> None:
    lines = ["path,label,split,dataset,lesion_id"]
    lines += [f"img/{n}.png,{'nevus' if n % 2 else 'melanoma'},{'train' if n < 5 else 'val'},{'lens' if n < 5 else 'phone'},{n}" for n in range(10)]
    for name, text in {"elsewhere": "\n".join(lines), "here": "\n".join(lines).replace("phone", "lens")}.items():
        (tables / f"{name}.csv").write_text(text, encoding="utf-8")
    said = {}
    for name in ("elsewhere", "here"):
        (task,) = evaluate(Question(bundle=CLASSIFIER, data=(tables / f"{name}.csv",), device="cpu")).report["tasks"]
        said[name] = task["baseline_learned_elsewhere"], " ".join(task["statement"])
    assert said["elsewhere"][0] == ["lens"]
    assert "learned from other images than these (lens)" in said["elsewhere"][1]
    assert "better than" not in said["elsewhere"][1]
    assert said["here"][0] == []
    assert "better than colour alone" in said["here"][1]


def test_simple_means_are_measured_also_where_the_mask_has_another_size_than_the_picture(tmp_path: Path) -> None:
    spot = draw(tmp_path / "a.png", 1)
    sizes = {}
    for factor in (1, 2):
        mask = tmp_path / f"{factor}.png"
        Image.fromarray(spot).resize((160 * factor, 120 * factor), Image.Resampling.NEAREST).save(mask)
        row = Row(image=tmp_path / "a.png", mask=mask, label="", split="", dataset="", source="", group="a")
        one = np.ones(1)
        sizes[factor] = drawn([row], {"jaccard": one, "dice": one, "area": one})["overall"]["baseline_otsu_jaccard"]
    assert sizes[1] > 0.5
    assert sizes[2] == pytest.approx(sizes[1], abs=0.01)


def test_one_class_alone_gives_no_area_and_no_crash(tables: Path) -> None:
    (tables / "one.csv").write_text("path,label\nimg/0.png,nevus\nimg/3.png,nevus\n", encoding="utf-8")
    said = answer(evaluate(Question(bundle=CLASSIFIER, data=(tables / "one.csv",), device="cpu")))
    assert (said["auc"], said["auc_ci"], said["sensitivity"]) == (None, [None, None], None)
    assert said["specificity"] is not None
    assert said["calibration"]["temperature"] is None
    json.dumps(said, allow_nan=False)


def test_images_of_classes_that_their_kind_does_not_tell_apart_are_counted(tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = evaluating._read
    for real, left in ((["nevus"], 1), (["bcc"], 3)):
        tasks = {"tasks": {"real": real, "synthetic": ["nevus", "melanoma"]}}
        monkeypatch.setattr(evaluating, "_read", lambda file, tasks=tasks: read(file) | (tasks if file.stem == "metadata" else {}))
        report = evaluate(Question(bundle=CLASSIFIER, data=(tables / "drawn.csv",), device="cpu")).report
        counted = {"of another diagnosis": 3, "that are real, of classes that the bundle does not tell apart in real images": left}
        assert [one["left_out"] for one in report["tasks"]] == [counted] * len(report["tasks"])
        assert sum(one["n"] for one in report["tasks"]) == 7 - left
    monkeypatch.setattr(evaluating, "_read", lambda file: read(file) | {"tasks": {"real": ["bcc"], "synthetic": ["bcc"]}})
    with pytest.raises(ValueError, match="no image is of a class that the bundle tells apart"):
        evaluate(Question(bundle=CLASSIFIER, data=(tables / "drawn.csv",), device="cpu"))


def test_the_temperature_of_windows_is_told_and_not_used_twice() -> None:
    configs = BUNDLES / "rcm_mosaic_resnet" / "configs"
    serving, metadata = (evaluating._read(configs / f"{name}.json") for name in ("serving", "metadata"))
    serving["outputs"][0]["temperature"] = 1.4
    shares = np.array([[0.30, 0.45, 0.25], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7]])
    rows = tuple(
        Row(image=Path(name), mask=None, label=name, split="val", dataset="synthetic RCM", source="", group=name) for name in ("melanoma", "nevus", "bcc")
    )
    said = Classified(selection=Selection(rows=rows, train=(), split="val", left_out={}), logits=np.log(shares))
    values, found = evaluating._classified(said, [0, 1, 2], serving, metadata, [0.95])
    assert (values["temperature"], values["temperature_of"]) == (1.4, "window")
    np.testing.assert_allclose(found.probabilities, shares)
    point = serving["operating_points"][0]
    assert (values["positive"], values["operating_points"][0]["threshold"]) == (point["positive"], point["threshold"])


@pytest.mark.parametrize(("lesions", "counted"), [(1, "4 images of 1 lesion"), (4, "4 images of 4 lesions")])
def test_fewer_than_five_lesions_give_figures_without_an_interval_and_say_why(
    tables: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lesions: int, counted: str
) -> None:
    lines = ["path,label,mask,lesion_id,source", *(f"img/{n}.png,nevus,mask/{n}.png,L{n % lesions},A" for n in range(4))]
    (tables / "lone.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.chdir(tables)
    report = ["--report", str(tables / "lone")]
    assert main.run(["bundles", "evaluate", str(SEGMENTER), "--data", "lone.csv", "--device", "cpu", *report]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "fewer than 5 lesions: no interval" in said
    assert f"{counted}: no interval can be given for the mean Jaccard index" in said
    task = json.loads((tables / "lone" / "report.json").read_text(encoding="utf-8"))["tasks"][0]
    assert task["overall"]["jaccard"] is not None
    assert task["overall"]["jaccard_ci"] == task["per_source"]["A"]["jaccard_ci"] == [None, None]
    assert task["overall"]["found_ci"][0] is not None, "a share has Wilson's"
    assert "fewer than 5 lesions: no interval" in (tables / "lone" / "report.html").read_text(encoding="utf-8")


def test_the_command_prints_one_object_and_nothing_else(
    tables: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tables)
    assert main.run(["bundles", "evaluate", str(SEGMENTER), "--data", "masks.csv", "--json", "--device", "cpu"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert said.keys() >= {"jaccard", "jaccard_ci", "dice", "dice_ci", "n", "per_source"}
    assert said["n"] == 10


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--data", "nothing.csv"], ExitCode.NOT_FOUND, "--data: nothing.csv does not exist; name a CSV with the columns path and label"),
        (["--data", "two.csv", "--split", "lesion"], ExitCode.USAGE, "no split 'lesion'; take val, test"),
        (["--data", "two.csv", "--weights", "nothing.pt"], ExitCode.NOT_FOUND, "nothing.pt"),
        (["--data", "two.csv", "--device", "abacus"], ExitCode.USAGE, "abacus"),
        (["--data", "two.csv", "--write", "--weights", "two.csv"], ExitCode.USAGE, "bundles export"),
    ],
)
def test_what_cannot_be_measured_is_told_in_a_sentence(
    tables: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: list[str], status: ExitCode, words: str
) -> None:
    monkeypatch.chdir(tables)
    assert main.run(["bundles", "evaluate", str(CLASSIFIER), *options]) == status
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("../model.safetensors", r"weights\.file of serving\.json is '\.\./model\.safetensors', which is not a file inside the bundle"),
        ("models/model.safetensors", r"models/model\.safetensors does not exist; bring weights into the bundle"),
    ],
)
def test_a_bundle_without_weights_of_its_own_is_refused_before_anything_is_measured(file: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    for name in ("metadata", "evaluate"):
        (tmp_path / "configs" / f"{name}.json").write_text("{}", encoding="utf-8")
    (tmp_path / "configs" / "serving.json").write_text(json.dumps({"weights": {"file": file}}), encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        evaluate(Question(bundle=tmp_path, data=(tmp_path / "none.csv",), device="cpu"))


def test_folders_are_searched_for_the_tables_that_the_bundle_names(tmp_path: Path) -> None:
    named: list[dict[str, Any]] = [{"title": "", "data": "a.csv", "split": "val"}, {"title": "B", "data": "b/b.csv", "split": "all", "datasets": ["X"], "sensitivities": [0.894]}]
    for place in ("one/a.csv", "two/b/b.csv"):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).touch()
    first, second = image_sets([tmp_path / "one", tmp_path / "two"], "", named)
    assert (first.table, first.split, first.datasets) == (tmp_path / "one" / "a.csv", "val", ())
    assert (second.title, second.table, second.datasets) == ("B", tmp_path / "two" / "b" / "b.csv", ("X",))
    assert (first.sensitivities, second.sensitivities) == ((), (0.894,))
    with pytest.raises(ValueError, match=r"b/b\.csv lies in none"):
        image_sets([tmp_path / "one"], "", named)
    assert [one.table for one in image_sets([tmp_path / "x.csv"], "all", named)] == [tmp_path / "x.csv"]


def test_a_sensitivity_in_percent_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    with pytest.raises(ValueError, match=r"report in evaluate\.json names the sensitivity 89\.4 for a\.csv; write shares above 0 and up to 1, such as 0\.894"):
        image_sets([tmp_path], "", [{"title": "", "data": "a.csv", "split": "val", "sensitivities": [0.9, 89.4]}])


def judged(probabilities: np.ndarray, truth: np.ndarray, positive: int | None, threshold: float = 0.5) -> Judged:
    groups = tuple(str(n) for n in range(len(truth)))
    return Judged(truth=truth, probabilities=probabilities, groups=groups, positive=positive, threshold=threshold, baseline=None)


def test_several_classes_are_each_held_against_the_rest() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="needs the extra 'train'")
    random = np.random.default_rng(4)
    truth = random.integers(0, 4, 200)
    scores = random.random((200, 4)) + 0.6 * np.eye(4)[truth]
    shares = scores / scores.sum(axis=1, keepdims=True)
    found = figures(judged(shares, truth, None), draws=50)
    called = shares.argmax(axis=1)
    assert found["auc"].value == pytest.approx(metrics.roc_auc_score(truth, shares, multi_class="ovr", average="macro"))
    assert found["accuracy"].value == pytest.approx(metrics.accuracy_score(truth, called))
    assert found["sensitivity"].value == pytest.approx(metrics.recall_score(truth, called, average="macro"))
    specificities = [(called[truth != one] != one).mean() for one in range(4)]
    assert found["specificity"].value == pytest.approx(np.mean(specificities))


def test_operating_points_reach_what_they_are_named_after() -> None:
    random = np.random.default_rng(5)
    truth = random.integers(0, 2, 120)
    scores = (0.3 * truth + random.random(120)) / 1.3
    points = operating_points(judged(np.stack([1 - scores, scores], axis=1), truth, 1), (0.928, 0.894, 0.928))
    assert [point["id"] for point in points] == ["default", "sensitivity 89.4 %", "sensitivity 92.8 %", "sensitivity 100 %"]
    assert points[0]["threshold"] == 0.5
    assert points[1]["sensitivity"] >= 0.894
    assert points[2]["sensitivity"] >= 0.928
    assert points[3]["sensitivity"] == 1
    assert points[3]["sensitivity_ci"][0] < 1
    assert points[1]["specificity"] >= points[2]["specificity"] >= points[3]["specificity"]


def test_a_perfect_area_of_few_images_has_an_interval(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", 1)
    rows = [
        Row(image=tmp_path / "a.png", mask=None, label=label, split="", dataset="", source="", group=str(n))
        for n, label in enumerate(["nevus"] * 5 + ["melanoma"] * 5)
    ]
    logits = np.array([[2.0, -2.0]] * 5 + [[-2.0, 2.0]] * 5)
    values, _ = classified(rows, [], logits, classes=["nevus", "melanoma"], positive="melanoma", threshold=0.5, sensitivities=(0.95,))
    assert values["overall"]["auc"] == 1
    assert values["overall"]["auc_ci"][0] < 0.6
    assert values["confusion"] == [[5, 0], [0, 5]]

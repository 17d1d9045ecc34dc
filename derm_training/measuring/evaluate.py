"""Measure a bundle on a table of images: every figure of a report, as values that JSON can hold.

Images drawn by a program and photographs are two tasks and share no figure. The report's plain values are the one source of the page, the
model card, the description's `validation` and the command's answer.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from derm_networks.bundle_files import file_inside
from derm_training.measuring import task_figures
from derm_training.measuring.class_figures import Judged
from derm_training.measuring.prediction_table import Line, classified_lines, drawn_lines
from derm_training.measuring.predictions import Classified, Device, Drawn, predict
from derm_training.measuring.statement import RESEARCH_USE, statement
from derm_training.measuring.statistics import roc
from derm_training.tables.rows import Row
from derm_training.tables.selection import synthetic

TARGET = 0.95
"""The sensitivity of the second operating point where none is asked for."""

Plain = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be measured, and how."""

    bundle: Path
    data: tuple[Path, ...]
    """Tables, each measured by itself; or folders that hold the tables which `report` of the bundle's evaluate.json names."""
    split: str = ""
    """See `selection.select`; empty: what the table keeps aside. Not for tables that `report` names."""
    weights: Path | None = None
    """Other weights than the shipped ones: safetensors, or a training's best.pt."""
    sensitivity: float = TARGET
    device: Device = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSet:
    """Images that are measured together."""

    title: str
    table: Path
    split: str
    datasets: tuple[str, ...] = ()
    sensitivities: tuple[float, ...] = ()
    """At which operating points are wanted beside the question's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The report as plain values, what the plots of each task are made from (None for masks), and what was said of each image."""

    report: Plain
    judged: tuple[Judged | None, ...]
    predictions: tuple[Line, ...]


def evaluate(question: Question) -> Evaluation:
    """Run the bundle on the table and measure; raises ValueError where there is nothing to measure."""
    folder = question.bundle
    serving, metadata, settings = (_read(folder / "configs" / f"{name}.json") for name in ("serving", "metadata", "evaluate"))
    bundle = _identity(folder, serving, question.weights)
    tasks: list[Plain] = []
    judged: list[Judged | None] = []
    predictions: list[Line] = []
    for images in image_sets(question.data, question.split, settings.get("report", [])):
        said = predict(
            folder, images.table, split=images.split, datasets=images.datasets, weights=question.weights, device=question.device
        )
        head = {"title": images.title, "table": images.table.name, "split": said.selection.split, "leak": said.selection.leak}
        kinds, left_out = _kinds(said, metadata.get("tasks", {}))
        for by_program, chosen in kinds.items():
            rows = _rows(said, chosen)
            if isinstance(said, Classified):
                values, material = _classified(said, chosen, serving, metadata, [question.sensitivity, *images.sensitivities])
                predictions += classified_lines(images.table, rows, material, values["classes"])
            else:
                values, material = _drawn(said, chosen), None
                predictions += drawn_lines(images.table, rows, said.jaccard[chosen], said.dice[chosen])
            task = {"synthetic": by_program, "left_out": left_out} | head | values
            tasks.append(task | {"statement": statement(task)})
            judged.append(material)
    report = {"schema": 1, "research_use": RESEARCH_USE, "bundle": bundle, "paper": metadata.get("paper"), "tasks": tasks}
    return Evaluation(report=report, judged=tuple(judged), predictions=tuple(predictions))


def image_sets(data: Sequence[Path], split: str, named: Sequence[Plain]) -> list[ImageSet]:
    """Return what is to be measured; `named` is `report` of evaluate.json, for which the folders in `data` are searched.

    Raises ValueError where folders hold some of the named tables and not all, and for a sensitivity that cannot be reached.
    """
    found = {one["data"]: next((folder / one["data"] for folder in data if (folder / one["data"]).is_file()), None) for one in named}
    if not any(found.values()):
        return [ImageSet(title="", table=table, split=split) for table in data]
    if missing := [name for name, file in found.items() if file is None]:
        raise ValueError(f"{', '.join(missing)} lies in none of {', '.join(map(str, data))}; the bundle's evaluate.json names it under report")
    if split:
        raise ValueError("evaluate.json says which split each of its tables is measured on: name a table, or leave --split out")
    return [
        ImageSet(title=one["title"], table=file, split=one["split"], datasets=tuple(one.get("datasets", ())), sensitivities=_sensitivities(one))
        for one in named
        if (file := found[one["data"]]) is not None
    ]


def _sensitivities(named: Plain) -> tuple[float, ...]:
    found = tuple(named.get("sensitivities", ()))
    if wrong := [one for one in found if not 0 < one <= 1]:
        raise ValueError(
            f"report in evaluate.json names the sensitivity {wrong[0]:g} for {named['data']}; write shares above 0 and up to 1, such as 0.894"
        )
    return found


def answer(said: Evaluation) -> Plain:
    """Return the object that `bundles evaluate --json` prints: the first task's figures, the other tasks under `further`."""
    first, *others = [
        {
            **task["overall"],
            "bundle": said.report["bundle"]["name"],
            "table": task["table"],
            "split": task["split"],
            "title": task["title"],
            "synthetic": task["synthetic"],
            "left_out": task["left_out"],
            "per_source": task["per_source"],
            "per_dataset": task["per_dataset"],
        }
        | {key: task[key] for key in ("operating_points", "calibration", "confusion", "classes", "per_class") if key in task}
        | _curve(judged)
        for task, judged in zip(said.report["tasks"], said.judged, strict=True)
    ]
    return first | {"use": said.report["research_use"], "further": others}


def _curve(judged: Judged | None) -> Plain:
    """Return the ROC curve of the positive class, one point for each distinct probability, where there is one."""
    if judged is None or judged.positive is None:
        return {}
    positive = judged.truth == judged.positive
    if positive.all() or not positive.any():
        return {}
    curve = roc(positive, judged.scores)
    # the first point calls nothing positive: no threshold is a number there
    return {
        "roc": {
            "threshold": [None, *(task_figures.rounded(float(one)) for one in curve.thresholds[1:])],
            "sensitivity": [task_figures.rounded(float(one)) for one in curve.true_positive],
            "specificity": [task_figures.rounded(float(1 - one)) for one in curve.false_positive],
        }
    }


def _kinds(said: Classified | Drawn, tasks: Plain) -> tuple[dict[bool, list[int]], dict[str, int]]:
    """Return the rows of photographs (False) and of images drawn by a program (True), each where it has some, and what is left out.

    Where `tasks` names the classes of a kind, rows of other classes are left out. Raises ValueError where none is left.
    """
    found: dict[bool, list[int]] = {}
    left_out = dict(said.selection.left_out)
    for by_program, kind in ((False, "real"), (True, "synthetic")):
        rows = [i for i, row in enumerate(said.selection.rows) if synthetic(row) == by_program]
        classes = tasks.get(kind) if isinstance(said, Classified) else None
        kept = [i for i in rows if classes is None or said.selection.rows[i].label in classes]
        if kept:
            found[by_program] = kept
        if len(kept) < len(rows):
            left_out[f"that are {kind}, of classes that the bundle does not tell apart in {kind} images"] = len(rows) - len(kept)
    if not found:
        raise ValueError(f"no image is of a class that the bundle tells apart in images of its kind; `tasks` of its metadata.json names them: {tasks}")
    return found, left_out


def _classified(said: Classified, chosen: list[int], serving: Plain, metadata: Plain, sensitivities: Sequence[float]) -> tuple[Plain, Judged]:
    """Measure the chosen rows; where the metadata names the classes of this kind of images, they alone are told apart."""
    output = next(one for one in serving["outputs"] if one["kind"] == "classification")
    every = [one["id"] for one in output["classes"]]
    kind = "synthetic" if synthetic(said.selection.rows[chosen[0]]) else "real"
    classes = [name for name in every if name in metadata.get("tasks", {}).get(kind, every)]
    point = next((one for one in serving["operating_points"] if one["output"] == output["id"] and one["positive"] in classes), None)
    called_otherwise = classes[-1] if len(classes) == 2 else None
    positive = point["positive"] if point and len(classes) > 1 else called_otherwise
    # windows are tempered one by one, before they give the image's probabilities
    windows = serving["inference"]["kind"] == "windows"
    logits = said.logits[np.ix_(chosen, [every.index(name) for name in classes])] / (1.0 if windows else output["temperature"])
    rows = _rows(said, chosen)
    train = [row for row in said.selection.train if row.label in classes and synthetic(row) == (kind == "synthetic")]
    values, judged = task_figures.classified(
        rows,
        train,
        logits,
        classes=classes,
        positive=positive,
        threshold=point["threshold"] if point else 0.5,
        sensitivities=sensitivities,
    )
    values["temperature"] = output["temperature"]
    values["temperature_of"] = "window" if windows else "image"
    values["baseline_learned_elsewhere"] = _elsewhere(train, rows)
    return values, judged


def _elsewhere(train: Sequence[Row], measured: Sequence[Row]) -> list[str]:
    """Return the data sets that taught the colour baseline where none of them is measured: it then stands for no simple means here."""
    taught = {row.dataset for row in train}
    return [] if taught & {row.dataset for row in measured} else sorted(taught)


def _drawn(said: Drawn, chosen: list[int]) -> Plain:
    found = {"jaccard": said.jaccard[chosen], "dice": said.dice[chosen], "area": said.area[chosen]}
    return task_figures.drawn(_rows(said, chosen), found)


def _rows(said: Classified | Drawn, chosen: Sequence[int]) -> list[Row]:
    return [said.selection.rows[i] for i in chosen]


def _read(file: Path) -> Plain:
    values: Plain = json.loads(file.read_text(encoding="utf-8"))
    return values


def _identity(folder: Path, serving: Plain, weights: Path | None) -> Plain:
    file = weights or file_inside(folder, serving["weights"]["file"], "weights.file")
    if not file.is_file():
        raise ValueError(f"{file} does not exist; bring weights into the bundle with `derm-pacs bundles export`, or name some by --weights")
    named = {key: serving[key] for key in ("name", "version", "title", "grade")}
    return named | {"weights": file.name, "weights_sha256": hashlib.sha256(file.read_bytes()).hexdigest()}

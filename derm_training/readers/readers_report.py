"""What a comparison with readers says: as plain values, as the rows of a table, as a plot, as a report in a folder."""

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas

from derm_training.measuring.statement import RESEARCH_USE
from derm_training.measuring.statistics import Figure
from derm_training.readers.dichotomous import Comparison, Group, Matched, Point, Spread, once, rates, tenths
from derm_training.readers.reader_tables import UNREAD, Study
from derm_training.readers.simulated_readers import is_simulated, marked
from derm_training.reporting import page

COLUMNS = (
    "reader", "rank", "n", "AUC", "sensitivity", "specificity", "algorithm's specificity there", "at threshold", "difference",
)  # fmt: skip
"""Headers of `lines`."""

_TENTHS = ("threshold", "sensitivity", "specificity", "algorithm's specificity there", "at threshold")

_HOW = (
    "The algorithm is compared at the largest threshold that reaches the reader's sensitivity; images that share a score are "
    "called together. Intervals are 95 %, by bootstrap over images, and over readers too where a mean over readers is given. A share's is "
    "no narrower than Wilson's for so many images, or groups of them; where no draw varies, other figures have none."
)
_LIMITS = (
    "The figures hold for these images and these readers, under the conditions of their study: they do not say how the algorithm "
    "or the readers do on other patients, cameras or mixtures of cases, nor with the history that a reader in a clinic has."
)


def title(study: Study) -> str:
    """Return the report's title; simulated readers are called so in it."""
    return f"An algorithm beside readers: {marked(study)}"


def as_values(study: Study, comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Return the comparison as JSON has it; what is not finite is None (a threshold: nothing is called positive)."""
    first = comparisons[0]
    values: dict[str, Any] = {
        "title": title(study),
        "use": RESEARCH_USE,
        "simulated_readers": is_simulated(study),
        "n": len(study.truth),
        "positives": int(study.truth.sum()),
        "negatives": int((1 - study.truth).sum()),
        "score": first.score,
        **named("auc", first.auc),
        "notes": list(study.notes),
        "algorithms": [_algorithm(study, one) for one in comparisons],
    }
    if len(comparisons) > 1 and first.groups:
        values["over_algorithms"] = _over_algorithms(comparisons)
    return values


def _algorithm(study: Study, one: Comparison) -> dict[str, Any]:
    return {
        "score": one.score,
        **named("auc", one.auc),
        "at_sensitivity": [_matched(matched) for matched in one.asked],
        "readers": [_point(study, one.score, point) for point in one.points],
        "over_readers": [_group(group) for group in one.groups],
    }


def _point(study: Study, score: str, point: Point) -> dict[str, Any]:
    values: dict[str, Any] = {
        "reader": point.reader,
        "rank": point.rank or None,
        "n": point.sensitivity.n,
        "threshold": point.threshold,
        **({} if point.auc is None else named("auc", point.auc)),
        **named("sensitivity", point.sensitivity),
        **named("specificity", point.specificity),
        "algorithm": _matched(point.matched),
        **named("difference", point.difference),
    }
    if point.auc is not None:
        values["at_tenths"] = _tenths(study, score, point.reader)
    return values


def _tenths(study: Study, score: str, reader: str) -> list[dict[str, Any]]:
    (mine,) = (one for one in study.readers if one.name == reader)
    made = []
    for at, matched in tenths(study, mine):
        sensitivity, specificity = (float(one[0]) for one in rates(study.truth, at.calls, once(len(study.truth))))
        beside = matched[score]
        made.append({
            "threshold": at.threshold,
            "sensitivity": sensitivity,
            "specificity": specificity,
            "algorithm": {
                "threshold": finite(beside.threshold),
                "sensitivity": beside.sensitivity,
                "specificity": beside.specificity.value,
            },
        })
    return made


def _tenth_line(at: dict[str, Any]) -> tuple[str, ...]:
    beside = at["algorithm"]
    shares = (at["sensitivity"], at["specificity"], beside["specificity"])
    threshold = "nothing is called" if beside["threshold"] is None else f"{beside['threshold']:.5g}"
    return (f"{at['threshold']:g}", *(f"{share:.3f}" for share in shares), threshold)


def _group(group: Group) -> dict[str, Any]:
    return {
        "rank": group.rank or None,
        "readers": group.readers,
        "sensitivity": spread_values(group.sensitivity),
        "specificity": spread_values(group.specificity),
        "algorithm_specificity_at_each": spread_values(group.matched_specificity),
        **named("difference", group.difference),
        "algorithm_at_mean_sensitivity": _matched(group.at_mean_sensitivity),
        "readers_below_curve": group.below_curve,
    }


def _over_algorithms(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Return the spread over several scores, such as those of repeated trainings, at the readers' mean sensitivity."""
    each = [one.groups[0].at_mean_sensitivity.specificity.value for one in comparisons]
    return {"scores": len(each), "specificity_at_mean_sensitivity": {"mean": sum(each) / len(each), "range": [min(each), max(each)]}}


def spread_values(spread: Spread) -> dict[str, Any]:
    """Return mean, its interval, and range."""
    return {**named("mean", spread.mean), "range": [finite(spread.least), finite(spread.largest)]}


def _matched(matched: Matched) -> dict[str, Any]:
    return {
        "threshold": finite(matched.threshold),
        "sensitivity": finite(matched.sensitivity),
        **named("specificity", matched.specificity),
    }


def named(name: str, figure: Figure) -> dict[str, Any]:
    """Return a figure under its name, and its interval under the name with _ci."""
    return {name: finite(figure.value), f"{name}_ci": [finite(figure.low), finite(figure.high)]}


def finite(value: float) -> float | None:
    """Return the number, None where there is none."""
    return value if math.isfinite(value) else None


def lines(one: Comparison) -> list[tuple[str, ...]]:
    """Return the rows of the table: each reader, then the means over readers."""
    rows: list[tuple[str, ...]] = [
        (
            point.reader + ("" if point.threshold is None else f" at {point.threshold:g}"),
            point.rank,
            str(point.sensitivity.n),
            "" if point.auc is None else str(point.auc),
            str(point.sensitivity),
            str(point.specificity),
            str(point.matched.specificity),
            f"{point.matched.threshold:.5g}",
            point.difference.signed(),
        )
        for point in one.points
    ]
    return rows + [
        (
            f"mean of {group.readers}",
            group.rank or "all",
            "",
            "",
            str(group.sensitivity.mean),
            str(group.specificity.mean),
            str(group.matched_specificity.mean),
            "",
            group.difference.signed(),
        )
        for group in one.groups
        if group.readers > 1
    ]


def sentences(one: Comparison) -> list[str]:
    """Return in words what the table does not hold: the AUC, the ranges, the points asked for by number."""
    said = [f"{one.score}: AUC {one.auc}, n {one.auc.n}."]
    said += [
        f"At sensitivity {asked.sensitivity:.3f} (threshold {asked.threshold:.5g}) specificity {asked.specificity}."
        for asked in one.asked
    ]
    for group in (group for group in one.groups if group.readers > 1):
        who = f"The {group.readers} readers" + (f" of rank {group.rank}" if group.rank else "")
        at = group.at_mean_sensitivity
        said.append(
            f"{who}: mean sensitivity {group.sensitivity.mean} (range {_range(group.sensitivity)}), mean specificity "
            f"{group.specificity.mean} (range {_range(group.specificity)}); {one.score} at each reader's sensitivity: mean specificity "
            f"{group.matched_specificity.mean} (range {_range(group.matched_specificity)}); at the readers' mean sensitivity: specificity "
            f"{at.specificity} (threshold {at.threshold:.5g}, sensitivity reached {at.sensitivity:.3f}); "
            f"{group.below_curve} of {group.readers} below the algorithm's curve."
        )
    return said


def _range(spread: Spread) -> str:
    return f"{spread.least:.3f} to {spread.largest:.3f}"


def plot(study: Study, comparisons: Sequence[Comparison], file: Path) -> None:
    """Draw the ROC of each score with each reader as a point beside it and the mean over readers, as PNG."""
    canvas = Canvas(figsize=(7, 7), layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.subplots()
    for one in comparisons:
        beside, up = zip(*one.curve, strict=True)
        axes.plot(beside, up, label=f"{one.score}, AUC {one.auc}")
    points, groups = comparisons[0].points, comparisons[0].groups
    for colour, group in enumerate(groups[1:] or groups[:1], start=len(comparisons)):
        mine = [point for point in points if not group.rank or point.rank == group.rank]
        axes.scatter(
            [1 - point.specificity.value for point in mine], [point.sensitivity.value for point in mine],
            s=22, alpha=0.7, color=f"C{colour}", label=f"{group.rank or 'readers'} ({len(mine)})",
        )  # fmt: skip
    if groups and groups[0].readers > 1:
        mean = groups[0]
        axes.scatter([1 - mean.specificity.mean.value], [mean.sensitivity.mean.value], marker="X", s=110, color="black", label="mean of readers")
    axes.plot([0, 1], [0, 1], color="0.8", linewidth=1)
    axes.set(
        xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal",
        title=f"{marked(study)}\nn {len(study.truth)}, {int(study.truth.sum())} positive. {RESEARCH_USE}",
    )  # fmt: skip
    axes.title.set_fontsize(10)
    axes.legend(loc="lower right", fontsize=8)
    canvas.savefig(file, dpi=120, metadata={"Software": None})


def write(study: Study, comparisons: Sequence[Comparison], folder: Path) -> None:
    """Write readers.json, readers.png and readers.html; of simulated readers also their calls as a table."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "readers.json").write_text(
        json.dumps(as_values(study, comparisons), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    plot(study, comparisons, folder / "readers.png")
    parts = [page.paragraph(note) for note in study.notes]
    parts.append(page.picture("readers.png", "ROC curve with each reader as a point"))
    for one in comparisons:
        parts.append(page.heading(one.score))
        parts += [page.paragraph(sentence) for sentence in sentences(one)]
        parts.append(page.table(COLUMNS, lines(one)))
        for point in one.points:
            if point.auc is not None:
                parts.append(page.paragraph(f"{point.reader} at other thresholds:"))
                parts.append(page.table(_TENTHS, [_tenth_line(at) for at in _tenths(study, one.score, point.reader)]))
    parts += [page.paragraph(_HOW), page.paragraph(_LIMITS)]
    (folder / "readers.html").write_text(page.page(title(study), parts), encoding="utf-8")
    if is_simulated(study):
        write_calls(study, folder / "simulated_readers.csv")


def write_calls(study: Study, file: Path) -> None:
    """Write the calls of all readers, one row a call, in a shape that the command reads again."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        out = csv.writer(stream, lineterminator="\n")
        out.writerow(["image", "label", *study.scores, "reader", "rank", "call"])
        for reader in study.readers:
            for index in np.flatnonzero(reader.calls != UNREAD):
                scores = [repr(float(values[index])) for values in study.scores.values()]
                out.writerow([f"image {index + 1}", study.truth[index], *scores, reader.name, reader.rank, reader.calls[index]])

"""The figures of one task as values that JSON can hold: of a classifier's logits, or of drawn masks; whole, by source, by data set."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from PIL import Image

from derm_training.measuring import class_figures
from derm_training.measuring.baseline import centred_ellipse, colour_probabilities, dark_region
from derm_training.measuring.calibration import Calibration, calibration, calibration_error, confidences, softmax
from derm_training.measuring.class_figures import Judged
from derm_training.measuring.statistics import (
    DRAWS,
    Figure,
    Indices,
    OperatingPoint,
    Values,
    at_sensitivity,
    at_threshold,
    bootstrap,
    confusion,
    jaccard,
    widened,
)
from derm_training.tables.manifest import read_mask, read_rgb
from derm_training.tables.rows import Row

Plain = dict[str, Any]
_PART_DRAWS = DRAWS // 2


def rounded(value: float) -> float | None:
    """Return the value with six digits after the point; None where it is no number, as JSON wants it."""
    return round(float(value), 6) if math.isfinite(value) else None


def plain(figures: dict[str, Figure]) -> Plain:
    """Return each figure under its name, its interval under the name with `_ci`, the images that it is made from with `_n`."""
    found: Plain = {}
    for name, figure in figures.items():
        found[name] = rounded(figure.value)
        found[f"{name}_ci"] = [rounded(figure.low), rounded(figure.high)]
        found[f"{name}_n"] = figure.n
    return found


def by(rows: Sequence[Row], key: Callable[[Row], str]) -> dict[str, Indices]:
    """Return the indices of the rows of each value that is not empty, in order of the values; none where no row has one."""
    names = [key(row) for row in rows]
    return {name: np.flatnonzero(np.array(names) == name) for name in sorted(set(names) - {""})}


def classified(
    rows: Sequence[Row],
    train: Sequence[Row],
    logits: Values,
    *,
    classes: Sequence[str],
    positive: str | None,
    threshold: float,
    sensitivities: Sequence[float],
) -> tuple[Plain, Judged]:
    """Measure logits (N, classes), already divided by the temperature, of `rows`; `train` teaches the colour baseline."""
    truth = np.array([classes.index(row.label) for row in rows])
    groups = tuple(row.group for row in rows)
    judged = Judged(
        truth=truth,
        probabilities=softmax(logits),
        groups=groups,
        positive=None if positive is None else classes.index(positive),
        threshold=threshold,
        baseline=colour_probabilities(train, rows, classes, lambda row: read_rgb(row.image)),
    )
    counts = Counter(row.label for row in rows)
    values: Plain = {
        "kind": "classification",
        "n": len(rows),
        **_lesions(rows),
        "classes": list(classes),
        "counts": {name: counts[name] for name in classes},
        "positive": positive,
        "overall": part(judged, logits, DRAWS),
        "per_source": {name: part_of(judged, logits, chosen) for name, chosen in by(rows, lambda row: row.source).items()},
        "per_dataset": {name: part_of(judged, logits, chosen) for name, chosen in by(rows, lambda row: row.dataset).items()},
        "operating_points": [] if positive is None else operating_points(judged, sensitivities),
        "calibration": _calibration(calibration(logits, truth, groups, _confident_of(judged))),
        "confusion": confusion(truth, judged.called, len(classes)).tolist(),
        "per_class": {},
    }
    if judged.several:
        each = class_figures.each_class(judged, classes)
        values["per_class"] = {name: {"n": counts[name]} | plain(figures) for name, figures in each.items()}
    return values, judged


def _lesions(rows: Sequence[Row]) -> Plain:
    """Return how many lesions the rows show, and how many rows name none and are taken for one each."""
    return {"lesions": len({row.group for row in rows}), "lesion_unnamed": sum(not row.lesion_known for row in rows)}


def part_of(judged: Judged, logits: Values, chosen: Indices) -> Plain:
    """Return the figures of some of the images."""
    return part(judged.part(chosen), logits[chosen], _PART_DRAWS)


def part(judged: Judged, logits: Values, draws: int) -> Plain:
    """Return the figures of a set of images, under the names that `bundles evaluate --json` prints."""
    figures = class_figures.figures(judged, draws=draws)
    error = calibration_error(*confidences(logits, judged.truth, _confident_of(judged)))
    return {
        "n": len(judged.truth),
        "lesions": len(set(judged.groups)),
        "n_positive": None if judged.positive is None else int((judged.truth == judged.positive).sum()),
        "threshold": None if judged.positive is None else judged.threshold,
        "ece": rounded(error),
    } | plain(figures)


def _confident_of(judged: Judged) -> int | None:
    """Return the class whose probability calibration is about; None, with several classes, for the most probable one's."""
    return None if judged.several else judged.positive


def operating_points(judged: Judged, sensitivities: Sequence[float]) -> list[Plain]:
    """Return the bundle's own threshold, and the largest ones that reach each of the sensitivities and every positive.

    Of several classes they are those of the positive class against the rest.
    """
    positive = judged.truth == judged.positive
    points: list[tuple[str, OperatingPoint]] = [("default", at_threshold(positive, judged.scores, judged.threshold))]
    if positive.any():
        points += [
            (f"sensitivity {100 * wanted:g} %", at_sensitivity(positive, judged.scores, wanted))
            for wanted in sorted({*sensitivities, 1.0})
        ]
    return [
        {"id": name, "threshold": float(point.threshold)} | plain(class_figures.at_point(judged, point)) for name, point in points
    ]


def _calibration(found: Calibration) -> Plain:
    values = asdict(found)
    for name, value in values.items():
        if isinstance(value, float):
            values[name] = rounded(value)
        elif isinstance(value, tuple):
            values[name] = [{key: rounded(one) for key, one in item.items()} for item in value]
    return values


def drawn(rows: Sequence[Row], found: dict[str, Values]) -> Plain:
    """Measure drawn masks: `found` has jaccard, dice and area (N,) of `rows`; simple means are measured on the same masks."""
    simple = [_simple(row) for row in rows]
    columns = {
        "jaccard": found["jaccard"],
        "dice": found["dice"],
        "found": (found["area"] > 0).astype(np.float64),
        "baseline_otsu_jaccard": np.array([one for one, _ in simple]),
        "baseline_ellipse_jaccard": np.array([one for _, one in simple]),
    }
    groups = [row.group for row in rows]
    every = np.arange(len(rows))
    return {
        "kind": "segmentation",
        "n": len(rows),
        **_lesions(rows),
        "overall": _means(columns, groups, every, DRAWS),
        "per_source": {name: _means(columns, groups, i, _PART_DRAWS) for name, i in by(rows, lambda row: row.source).items()},
        "per_dataset": {name: _means(columns, groups, i, _PART_DRAWS) for name, i in by(rows, lambda row: row.dataset).items()},
        "spread": {f"p{p}": rounded(float(np.percentile(found["jaccard"], p))) for p in (5, 25, 50, 75, 95)},
        "histogram": np.histogram(found["jaccard"], bins=20, range=(0, 1))[0].tolist(),
    }


def _means(columns: dict[str, Values], groups: Sequence[str], chosen: Indices, draws: int) -> Plain:
    names = [groups[i] for i in chosen]
    figures: dict[str, Figure] = {}
    for name, column in columns.items():
        values = column[chosen]
        figures[name] = bootstrap(names, lambda i, values=values: float(values[i].mean()), draws=draws)  # type: ignore[misc]
    figures["found"] = widened(figures["found"], len(set(names)))
    best = columns["baseline_otsu_jaccard"][chosen], columns["baseline_ellipse_jaccard"][chosen]
    lead = columns["jaccard"][chosen] - max(best, key=lambda values: float(values.mean()))
    figures["jaccard_over_baseline"] = bootstrap(names, lambda i: float(lead[i].mean()), draws=draws)
    return {"n": len(chosen), "lesions": len(set(names))} | plain(figures)


def _simple(row: Row) -> tuple[float, float]:
    if row.mask is None:
        raise ValueError(f"{row.image} has no mask")
    truth = read_mask(row.mask) > 0
    region = Image.fromarray(dark_region(read_rgb(row.image))).resize(truth.shape[::-1], Image.Resampling.NEAREST)
    return jaccard(np.asarray(region), truth), jaccard(centred_ellipse(*truth.shape), truth)

"""What a comparison of several classes with readers says: as plain values, as rows of tables, as a plot, as a report in a folder."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas

from derm_training.measuring.statement import RESEARCH_USE
from derm_training.readers.class_readers import ClassComparison, ClassPoint, ClassStudy
from derm_training.readers.dichotomous import Spread
from derm_training.readers.readers_report import finite, named, spread_values
from derm_training.readers.simulated_readers import is_simulated, marked
from derm_training.reporting import page

CALLERS = ("who", "rank", "n", "accuracy", "sensitivity", "specificity", "algorithm's accuracy there", "difference")
"""Headers of `callers`: sensitivity and specificity are means over the classes."""

CLASSES = ("class", "n", "sensitivity", "readers' mean", "range", "specificity", "readers' mean", "range")
"""Headers of `classes`."""

_LIMITS = (
    "Each class stands against the rest. Intervals are 95 %, by bootstrap over images, and over readers too where a mean over readers is "
    "given; a share's is no narrower than Wilson's for so many images, or groups of them, and where no draw varies, other figures have none. "
    "The figures hold for these images, these classes and these readers, under the conditions of their study; images of other "
    "diseases, which a clinic has, are not among them."
)


def title(study: ClassStudy) -> str:
    """Return the report's title."""
    return f"A classifier of {len(study.classes)} classes beside readers: {marked(study)}"


def as_values(study: ClassStudy, found: ClassComparison) -> dict[str, Any]:
    """Return the comparison as JSON has it."""
    values: dict[str, Any] = {
        "title": title(study),
        "use": RESEARCH_USE,
        "simulated_readers": is_simulated(study),
        "n": len(study.truth),
        "classes": list(study.classes),
        "notes": list(study.notes),
        "algorithm": _point(found.algorithm),
        "readers": [_point(one) for one in found.readers],
        "per_class": [
            {
                "class": one.name,
                "n": one.n,
                **named("sensitivity", one.sensitivity),
                **named("specificity", one.specificity),
                **({"readers_sensitivity": spread_values(one.readers_sensitivity)} if one.readers_sensitivity else {}),
                **({"readers_specificity": spread_values(one.readers_specificity)} if one.readers_specificity else {}),
            }
            for one in found.classes
        ],
    }
    if found.accuracy and found.difference:
        values["over_readers"] = {"readers": len(found.readers), "accuracy": spread_values(found.accuracy), **named("difference", found.difference)}
    return values


def _point(point: ClassPoint) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": point.name,
        "rank": point.rank or None,
        "n": point.accuracy.n,
        **named("accuracy", point.accuracy),
        **named("sensitivity", point.sensitivity),
        **named("specificity", point.specificity),
    }
    if point.algorithm and point.difference:
        values |= {**named("algorithm_accuracy", point.algorithm), **named("difference", point.difference)}
    return values


def callers(found: ClassComparison) -> list[tuple[str, ...]]:
    """Return the rows of the table of callers: the algorithm, each reader, the mean over readers."""
    rows: list[tuple[str, ...]] = [_line(one) for one in (found.algorithm, *found.readers)]
    if found.accuracy and found.difference and len(found.readers) > 1:
        mean = f"{found.accuracy.mean}, range {_range(found.accuracy)}"
        rows.append((f"mean of {len(found.readers)} readers", "", "", mean, "", "", "", found.difference.signed()))
    return rows


def _line(one: ClassPoint) -> tuple[str, ...]:
    beside = ("", "") if one.algorithm is None or one.difference is None else (str(one.algorithm), one.difference.signed())
    return (one.name, one.rank, str(one.accuracy.n), str(one.accuracy), str(one.sensitivity), str(one.specificity), *beside)


def classes(found: ClassComparison) -> list[tuple[str, ...]]:
    """Return the rows of the table of classes."""
    return [
        (one.name, str(one.n), str(one.sensitivity), *_cells(one.readers_sensitivity), str(one.specificity), *_cells(one.readers_specificity))
        for one in found.classes
    ]


def _cells(spread: Spread | None) -> tuple[str, str]:
    if spread is None or finite(spread.mean.value) is None:
        return "", ""
    return str(spread.mean), _range(spread)


def _range(spread: Spread) -> str:
    return f"{spread.least:.3f} to {spread.largest:.3f}"


def plot(study: ClassStudy, found: ClassComparison, file: Path) -> None:
    """Draw sensitivity and specificity of each class, the algorithm's beside the readers' mean with its interval, as PNG."""
    canvas = Canvas(figsize=(10, 2 + 0.5 * len(found.classes)), layout="constrained")
    FigureCanvasAgg(canvas)
    for axes, word in zip(canvas.subplots(1, 2, sharey=True), ("sensitivity", "specificity"), strict=True):
        for place, one in enumerate(found.classes):
            pairs = [(getattr(one, word), "C0", -0.12, "algorithm")]
            readers: Spread | None = getattr(one, f"readers_{word}")
            if readers is not None:
                pairs.append((readers.mean, "C1", 0.12, "mean of readers"))
            for figure, colour, shift, name in pairs:
                axes.plot([figure.low, figure.high], [place + shift] * 2, color=colour)
                axes.plot([figure.value], [place + shift], "o", color=colour, label=name if not place else None)
        axes.set(xlabel=word, xlim=(-0.02, 1.02), yticks=range(len(found.classes)), yticklabels=[one.name for one in found.classes])
    axes.invert_yaxis()
    axes.legend(fontsize=8)
    canvas.suptitle(f"{title(study)}\nn {len(study.truth)}, intervals 95 %. {RESEARCH_USE}", fontsize=10)
    canvas.savefig(file, dpi=120, metadata={"Software": None})


def write(study: ClassStudy, found: ClassComparison, folder: Path) -> None:
    """Write readers.json, readers.png and readers.html."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "readers.json").write_text(json.dumps(as_values(study, found), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    plot(study, found, folder / "readers.png")
    parts: Sequence[str] = [
        *(page.paragraph(note) for note in study.notes),
        page.picture("readers.png", "Sensitivity and specificity of each class, the algorithm beside the mean of readers"),
        page.table(CALLERS, callers(found)),
        page.table(CLASSES, classes(found)),
        page.paragraph(_LIMITS),
    ]
    (folder / "readers.html").write_text(page.page(title(study), parts), encoding="utf-8")

"""The pictures of a report: each as PNG on white for cards and mail, and as SVG whose colours the page decides, light or dark."""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from derm_training.measuring.class_figures import Judged
from derm_training.measuring.statistics import DRAWS, resamples, roc, roc_band

Plain = dict[str, Any]

# each colour is the page's variable of the same name; no two are equal, so that an SVG's can be told apart
_INK, _MUTED, _GRID, _PAPER = "#1f2a37", "#64748a", "#dfe5ec", "#fffffe"
_NETWORK, _OTHER, _ALARM = "#1769aa", "#b7791f", "#c2413b"
VARIABLES = {_INK: "ink", _MUTED: "muted", _GRID: "grid", _PAPER: "paper", _NETWORK: "network", _OTHER: "other", _ALARM: "alarm"}
_STYLE: Any = {
    "axes.edgecolor": _MUTED,
    "axes.facecolor": _PAPER,
    "axes.grid": True,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.axisbelow": True,
    "figure.facecolor": _PAPER,
    "font.size": 10,
    "grid.color": _GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.fonttype": "none",
    "text.color": _INK,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
}
_MEASURE = {"classification": "auc", "segmentation": "jaccard"}
_NARROW, _WIDE = (4.8, 4.3), (7.4, 0.0)

PlotName = Literal["roc", "reliability", "confusion", "scores", "overlap", "sources", "datasets"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A picture in both forms, with what it shows in words."""

    name: PlotName
    caption: str
    png: bytes
    svg: str
    wide: bool = False


def plots(task: Plain, judged: Judged | None) -> list[Plot]:
    """Return the pictures of a task of a report; those of images drawn by a program say so."""
    found: list[Plot] = []

    def plot(name: PlotName, caption: str, draw: Callable[[], Figure], *, wide: bool = False) -> Plot:
        return _drawn(name, caption, draw, wide=wide, synthetic=task["synthetic"])

    if judged is not None:
        if not judged.several and len(np.unique(judged.truth)) == 2:
            found.append(plot("roc", "ROC curve with its 95 % band and the operating points", lambda: _roc(task, judged)))
        elif judged.several:
            found.append(plot("roc", "ROC curve of each class against the rest", lambda: _rocs(task, judged)))
        found += [
            plot("reliability", "What is observed at each probability, as shipped and after temperature scaling", lambda: _reliability(task)),
            plot("confusion", "What is true (rows) and what was called (columns), in images", lambda: _confusion(task)),
            plot("scores", "How the images' scores are spread", lambda: _scores(task, judged)),
        ]
    else:
        found.append(plot("overlap", "How the images' Jaccard indices are spread", lambda: _overlaps(task)))
    groups: list[tuple[PlotName, str, str]] = [("sources", "per_source", "source"), ("datasets", "per_dataset", "data set")]
    found += [
        plot(name, f"Each {what} by itself, with 95 % intervals", lambda key=key: _parts(task, key), wide=True)  # type: ignore[misc]
        for name, key, what in groups
        if any(part[_MEASURE[task["kind"]]] is not None for part in task[key].values())
    ]
    return found


def _drawn(name: PlotName, caption: str, draw: Callable[[], Figure], *, wide: bool, synthetic: bool) -> Plot:
    with mpl.rc_context(_STYLE | {"svg.hashsalt": name}):
        figure = draw()
        if synthetic:
            figure.suptitle("SYNTHETIC images, drawn by a program", color=_ALARM, fontsize=10)
        FigureCanvasAgg(figure)
        png, svg = io.BytesIO(), io.StringIO()
        figure.savefig(png, format="png", dpi=110, metadata={"Software": None})
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return Plot(name=name, caption=caption, png=_few_colours(png), svg=_themed(svg.getvalue(), name), wide=wide)


def _few_colours(png: io.BytesIO) -> bytes:
    """Return the picture with 64 colours: half the bytes, and nobody sees it."""
    small = io.BytesIO()
    with Image.open(png) as picture:
        picture.convert("RGB").quantize(64).save(small, format="png", optimize=True)
    return small.getvalue()


def _themed(svg: str, name: str) -> str:
    """Return the drawing alone, its colours as variables of the page and its ids its own."""
    text = svg[svg.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' width="[0-9.]+pt"', "", text, count=1)
    text = re.sub(r' height="[0-9.]+pt"', "", text, count=1)
    text = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\d\.\d\d)\d+", r"\1", path[0]), text)  # hundredths of a point
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    text = re.sub(r"font: ([0-9.]+)px [^;\"]*", r"font: \1px var(--letters)", text)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    return re.sub(r'xlink:href="#([^"]+)"', rf'xlink:href="#{name}-\1"', text)


def _square(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_NARROW, layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel=x, ylabel=y, aspect="equal")
    axes.plot([0, 1], [0, 1], color=_MUTED, linewidth=0.9, linestyle=(0, (4, 4)))
    return figure, axes


def _roc(task: Plain, judged: Judged) -> Figure:
    figure, axes = _square("1 - specificity", "sensitivity")
    positive = judged.truth == judged.positive
    curve = roc(positive, judged.scores)
    grid = np.linspace(0, 1, 101)
    low, high = roc_band(positive, judged.scores, resamples(judged.groups, draws=DRAWS // 4), grid)
    axes.fill_between(grid, low, high, color=_NETWORK, alpha=0.16, linewidth=0)
    axes.plot(curve.false_positive, curve.true_positive, color=_NETWORK, linewidth=2, label=f"network, AUC {task['overall']['auc']:.3f}")
    if judged.baseline is not None:
        colour = roc(positive, judged.baseline[:, judged.positive])
        axes.plot(colour.false_positive, colour.true_positive, color=_OTHER, linewidth=1.3, label=f"colour alone, AUC {task['overall']['baseline_auc']:.3f}")
    for marker, point in zip(cycle("osD^v"), task["operating_points"], strict=False):
        if point["specificity"] is not None and point["sensitivity"] is not None:
            axes.plot(
                1 - point["specificity"], point["sensitivity"], marker, color=_ALARM, markersize=6.5, clip_on=False, zorder=5,
                label=f"{point['id']}: threshold {point['threshold']:.3g}",
            )  # fmt: skip
    axes.legend(loc="lower right")
    return figure


def _rocs(task: Plain, judged: Judged) -> Figure:
    figure, axes = _square("1 - specificity", "sensitivity of the class")
    grid = np.linspace(0, 1, 101)
    curves = []
    for one in np.unique(judged.truth):
        curve = roc(judged.truth == one, judged.probabilities[:, one]) if len(np.unique(judged.truth)) > 1 else None
        if curve is None:
            continue
        axes.plot(curve.false_positive, curve.true_positive, color=_NETWORK, linewidth=0.9, alpha=0.45)
        curves.append(np.interp(grid, curve.false_positive, curve.true_positive))
    if curves:
        axes.plot(grid, np.mean(curves, axis=0), color=_NETWORK, linewidth=2.2, label=f"mean of {len(curves)} classes, AUC {task['overall']['auc']:.3f}")
        axes.legend(loc="lower right")
    return figure


def _reliability(task: Plain) -> Figure:
    found = task["calibration"]
    several = len(task["classes"]) != 2
    figure, axes = _square(
        "probability of the most probable class" if several else f"probability of {task['positive']}",
        "share in which it is right" if several else f"share that is {task['positive']}",
    )
    for key, colour, words in (("bins", _NETWORK, "as shipped"), ("bins_scaled", _OTHER, "after temperature scaling")):
        bins = found[key]
        if not bins:
            continue
        error = found["ece" if key == "bins" else "ece_scaled"]
        x, y = [one["confidence"] for one in bins], [one["observed"] for one in bins]
        largest = max(one["n"] for one in bins)
        axes.plot(x, y, color=colour, linewidth=1.4, label=f"{words}, ECE {error:.3f}")
        axes.scatter(x, y, [12 + 70 * one["n"] / largest for one in bins], color=colour, alpha=0.85, linewidths=0, clip_on=False, zorder=4)
    axes.legend(loc="upper left")
    return figure


def _confusion(task: Plain) -> Figure:
    names, counts = task["classes"], np.array(task["confusion"])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(_NARROW[1], 0.46 * len(names) + 2.2)
    figure = Figure(figsize=(side + 0.4, side), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(visible=False)
    for row in range(len(names)):
        for column in range(len(names)):
            colour = _NETWORK if row == column else _ALARM
            axes.fill_between([column - 0.48, column + 0.48], row - 0.48, row + 0.48, color=colour, alpha=float(0.04 + 0.62 * shares[row, column]), linewidth=0)
            if counts[row, column]:
                axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=15 if len(names) < 4 else 8)
    labels = [name.replace("_", " ") for name in names]
    axes.set_xticks(range(len(names)), labels, rotation=0 if len(names) < 4 else 90)
    axes.set_yticks(range(len(names)), labels, rotation=90 if len(names) < 4 else 0, va="center")
    axes.set(xlabel="called", ylabel="true", xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5), aspect="equal")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0)
    return figure


def _scores(task: Plain, judged: Judged) -> Figure:
    figure = Figure(figsize=_NARROW, layout="constrained")
    axes = figure.add_subplot()
    edges = np.linspace(0, 1, 21)
    if not judged.several:
        positive = judged.truth == judged.positive
        parts = [(judged.scores[~positive], _NETWORK, next(name for name in task["classes"] if name != task["positive"])), (judged.scores[positive], _ALARM, task["positive"])]
        axes.axvline(judged.threshold, color=_INK, linewidth=1, linestyle=(0, (4, 3)), label=f"threshold {judged.threshold:g}")
        axes.set_xlabel(f"probability of {task['positive']}")
    else:
        right = judged.called == judged.truth
        own = np.take_along_axis(judged.probabilities, judged.called[:, None], axis=1)[:, 0]
        parts = [(own[right], _NETWORK, "right"), (own[~right], _ALARM, "wrong")]
        axes.set_xlabel("probability of the call")
    for values, colour, name in parts:
        axes.hist(values, edges.tolist(), color=colour, alpha=0.45, label=name.replace("_", " "))
    axes.set_ylabel("images")
    axes.legend()
    return figure


def _overlaps(task: Plain) -> Figure:
    figure = Figure(figsize=_NARROW, layout="constrained")
    axes = figure.add_subplot()
    edges = np.linspace(0, 1, 21)
    axes.bar(edges[:-1], task["histogram"], width=0.05, align="edge", color=_NETWORK, alpha=0.55, edgecolor=_PAPER)
    axes.axvline(task["overall"]["jaccard"], color=_INK, linewidth=1.2, linestyle=(0, (4, 3)), label=f"mean {task['overall']['jaccard']:.3f}")
    axes.set(xlim=(0, 1), xlabel="Jaccard index of an image", ylabel="images")
    axes.legend(loc="upper left")
    return figure


def _parts(task: Plain, key: str) -> Figure:
    """Draw each part as a bar from the chance level with its interval, the simple means beside it."""
    if task["kind"] == "classification":
        series = [("auc", _NETWORK, "network"), ("baseline_auc", _OTHER, "colour alone")]
        start, words = 0.5, "area under the ROC curve (0.5: chance)"
    else:
        series = [("jaccard", _NETWORK, "network"), ("baseline_otsu_jaccard", _OTHER, "Otsu"), ("baseline_ellipse_jaccard", _MUTED, "centred ellipse")]
        start, words = 0.0, "mean Jaccard index"
    parts = {name: part for name, part in task[key].items() if part[series[0][0]] is not None}
    series = [one for one in series if all(part.get(one[0]) is not None for part in parts.values())]
    names = list(parts)
    thick = 0.72 / max(1, len(series))
    figure = Figure(figsize=(_WIDE[0], 1.15 + 0.62 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    for number, (metric, colour, label) in enumerate(series):
        places = np.arange(len(names)) + (number - (len(series) - 1) / 2) * thick
        values = np.array([parts[name][metric] for name in names])
        low = np.array([parts[name][f"{metric}_ci"][0] for name in names], dtype=float)
        high = np.array([parts[name][f"{metric}_ci"][1] for name in names], dtype=float)
        axes.barh(places, values - start, thick * 0.86, left=start, color=colour, alpha=0.5, label=label)
        axes.hlines(places, low, high, color=colour, linewidth=1.6)
    axes.set_yticks(range(len(names)), [f"{name} ({parts[name]['n']})" for name in names])
    shown = (end for part in parts.values() for metric, _, _ in series for end in (part[metric], part[f"{metric}_ci"][0]))
    lowest = min([start, *(end for end in shown if end is not None)])
    axes.set(xlim=(max(0.0, lowest - 0.02), 1.005), ylim=(len(names) - 0.5, -0.5), xlabel=words)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return figure

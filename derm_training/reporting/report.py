"""One report of an evaluation: a page that needs nothing beside it, the same as JSON, and each picture as PNG."""

import html
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from derm_training.measuring.evaluate import Evaluation
from derm_training.measuring.statement import images_counted
from derm_training.measuring.statistics import LEAST_LESIONS, with_interval
from derm_training.reporting.calibration_words import as_shipped, fitted, scaled
from derm_training.reporting.page import document
from derm_training.reporting.plots import Plot, PlotName, plots

Plain = dict[str, Any]

NAMES = {
    "auc": "AUC",
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "baseline_auc": "AUC of colour alone",
    "jaccard": "Jaccard index",
    "dice": "Dice",
    "found": "something was drawn",
    "baseline_otsu_jaccard": "Jaccard, Otsu",
    "baseline_ellipse_jaccard": "Jaccard, centred ellipse",
}
_PAGE, _VALUES = "report.html", "report.json"
_PICTURE = re.compile(rf"(\d+-)?({'|'.join(get_args(PlotName))})\.png")
"""The names of `picture_name`: no other picture in the folder is a report's."""
MAIN = {
    "classification": ("auc", "accuracy", "sensitivity", "specificity"),
    "segmentation": ("jaccard", "dice", "found"),
}
_BASELINES = {"auc": (("baseline_auc", ""),), "jaccard": (("baseline_otsu_jaccard", "Otsu "), ("baseline_ellipse_jaccard", "ellipse "))}
_EXPLAINED = {
    "classification": (
        "Every image went through the bundle's own configs/evaluate.json in MONAI's machinery, which a test holds to the numbers of the service. "
        "AUC is the area under the ROC curve, ties counting half; its interval and all others are 95 %, by 2000 draws (1000 for parts) of whole lesions, and of fewer than "
        f"{LEAST_LESIONS} lesions there is none; a share's interval is never narrower than Wilson's for so many lesions. With more than two classes AUC, sensitivity and specificity are means of "
        "each class against the rest, and an interval goes by the rarest classes. The call is the service's: the class of the operating point at or above its threshold, else the most probable of the others; "
        "without an operating point the most probable class. Where a figure is made from other images than its row, their number n stands with it. ECE is the expected calibration error in ten equal bins. "
        "&ldquo;After temperature scaling&rdquo; is fitted on one half of the lesions and measured on the other, both ways round, mean of ten halvings; a shipped temperature other than 1 was fitted on all images of the validation split, where the error as shipped therefore flatters. "
        "Colour alone is a logistic regression on the histogram of 6 x 6 x 6 colours of the image at 96 x 96 pixels, trained on the same table's training images."
    ),
    "segmentation": (
        "Every image went through the bundle's own configs/evaluate.json in MONAI's machinery; masks are compared at the image's own size. "
        "The Jaccard index is intersection over union, of each image, then the mean; intervals are 95 %, by 2000 draws (1000 for parts) of whole lesions, and of fewer than "
        f"{LEAST_LESIONS} lesions there is none. "
        "Otsu: the largest region darker than Otsu's threshold. Ellipse: in the middle, half axes 0.3 of width and height."
    ),
}


def write_report(said: Evaluation, folder: Path) -> None:
    """Write report.html, report.json and the pictures into `folder`; those of an earlier report go, and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    remove_report(folder)
    drawn = [plots(task, judged) for task, judged in zip(said.report["tasks"], said.judged, strict=True)]
    for number, pictures in enumerate(drawn):
        for picture in pictures:
            (folder / f"{picture_name(number, picture.name)}.png").write_bytes(picture.png)
    (folder / _VALUES).write_text(json.dumps(said.report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / _PAGE).write_text(page(said.report, drawn), encoding="utf-8")


def remove_report(folder: Path) -> bool:
    """Delete the report in `folder`, if one lies there, and no file that a report does not write; return whether one did."""
    if not (folder / _VALUES).is_file():
        return False
    for file in [one for one in folder.iterdir() if one.name in {_PAGE, _VALUES} or _PICTURE.fullmatch(one.name)]:
        file.unlink()
    return True


def picture_name(task: int, name: str) -> str:
    """Return the file's stem of a picture of the task with this number."""
    return name if task == 0 else f"{task + 1}-{name}"


def figure(part: Plain, name: str) -> str:
    """Return a figure with its interval, in words where it is not defined, with the reason where few lesions give no interval.

    The number of images that it is made from stands with it where that is not the part's: a sensitivity is of the positives alone.
    """
    value, low, high = (math.nan if one is None else one for one in (part.get(name), *part.get(f"{name}_ci", (None, None))))
    few = f"fewer than {LEAST_LESIONS} lesions: no interval"
    said = with_interval(value, low, high, few if part.get("lesions", LEAST_LESIONS) < LEAST_LESIONS else "no interval")
    return f"{said[:-1]}{_counted(part, name)})" if said.endswith(")") else said


def _counted(part: Plain, name: str) -> str:
    n = part.get(f"{name}_n")
    return "" if n is None or n == part.get("n") else f", n {n}"


def cell(part: Plain, name: str) -> str:
    """Return a figure for a table of the page, its interval in small letters below."""
    value, _, interval = figure(part, name).partition(" (")
    return f"{value}<small>{interval.removesuffix(')')}</small>" if interval else value


def page(report: Plain, drawn: Sequence[Sequence[Plot]]) -> str:
    """Return the whole page."""
    bundle = report["bundle"]
    title = f"{bundle['title']} {bundle['version']}"
    use = html.escape(report["research_use"])
    body = [
        f'<header><p class="use">{use} Not a medical device.</p><h1>{html.escape(bundle["title"])}</h1>',
        (
            f'<p class="of">Evaluation of <code>{html.escape(bundle["name"])}</code> {html.escape(bundle["version"])}, grade {html.escape(bundle["grade"])}, '
            f'weights <code>{html.escape(bundle["weights"])}</code> <code class="sha">{bundle["weights_sha256"][:16]}</code></p></header>'
        ),
    ]
    for number, (task, pictures) in enumerate(zip(report["tasks"], drawn, strict=True)):
        body.append(_task(task, pictures, report["paper"] if number == 0 and not task["synthetic"] else None, number))
    if report["paper"] and all(task["synthetic"] for task in report["tasks"]):
        body.append(f"<section><h2>The paper</h2>{_paper_note(report['paper'])}{_paper_alone(report['paper'])}</section>")
    kinds = dict.fromkeys(task["kind"] for task in report["tasks"])
    body.append("<section><h2>How it was measured</h2>" + "".join(f'<p class="fine">{_EXPLAINED[kind]}</p>' for kind in kinds) + "</section>")
    body.append(f'<footer><p class="use">{use} Not a medical device.</p></footer>')
    return document(f"{title}: evaluation", "\n".join(body))


def _task(task: Plain, pictures: Sequence[Plot], paper: Plain | None, number: int) -> str:
    title = task["title"] or ("Images drawn by a program" if task["synthetic"] else "Figures")
    mark = '<span class="synthetic">SYNTHETIC</span> ' if task["synthetic"] else ""
    counts = ", ".join(f"{count} {html.escape(name.replace('_', ' '))}" for name, count in task.get("counts", {}).items() if count)
    left = "".join(f"; left out: {count} {html.escape(reason)}" for reason, count in task["left_out"].items())
    parts = [
        f'<section class="{"drawn" if task["synthetic"] else "real"}"><h2>{mark}{html.escape(title)}</h2>',
        f'<p class="of">{images_counted(task)} from <code>{html.escape(task["table"])}</code>, split {task["split"]}{": " + counts if counts else ""}{left}.</p>',
        '<div class="says"><h3>What this supports, and what not</h3><ul>' + "".join(f"<li>{html.escape(one)}</li>" for one in task["statement"]) + "</ul></div>",
        _tiles(task),
        _main_table(task, paper),
    ]
    narrow = [one for one in pictures if not one.wide]
    parts.append('<div class="plots">' + "".join(_plot(one, number) for one in narrow) + "</div>")
    if task.get("operating_points"):
        parts.append(_points(task))
    if task.get("calibration"):
        parts.append(_calibration(task))
    if task.get("per_class"):
        parts.append(_parts("By class, each against the rest", "class", task["per_class"], ("auc", "sensitivity", "specificity")))
    columns = tuple(name for name in (*MAIN[task["kind"]], *(one for one, _ in _BASELINES[MAIN[task["kind"]][0]])) if name in task["overall"])
    for heading, key, picture in (("By source", "per_source", "sources"), ("By data set", "per_dataset", "datasets")):
        if task[key]:
            parts += [_plot(one, number) for one in pictures if one.name == picture]
            parts.append(_parts(heading, key.removeprefix("per_").replace("dataset", "data set"), task[key], columns))
    return "\n".join(parts) + "</section>"


def _tiles(task: Plain) -> str:
    overall = task["overall"]
    tiles = []
    for name in MAIN[task["kind"]]:
        if overall[name] is None:
            continue
        low, high = overall[f"{name}_ci"]
        bar = "" if low is None else f'<span class="bar"><i style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></i><b style="left:{100 * overall[name]:.1f}%"></b></span>'
        between = "" if low is None else f"<small>{low:.3f} to {high:.3f}{_counted(overall, name)}</small>"
        tiles.append(f'<div class="tile"><span>{NAMES[name]}</span><strong>{overall[name]:.3f}</strong>{bar}{between}</div>')
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _main_table(task: Plain, paper: Plain | None) -> str:
    overall = task["overall"]
    simple = {
        name: "".join(f"<div>{words}{cell(overall, other)}</div>" for other, words in _BASELINES.get(name, ()) if other in overall)
        for name in MAIN[task["kind"]]
    }
    told = paper.get("figures", {}) if paper else {}
    # a paper's specificity at a sensitivity stands beside the network's own there
    there = {f"specificity at {point['id']}": cell(point, "specificity") for point in task.get("operating_points", [])}
    head = "<th>figure</th><th>this network (95 %)</th>"
    head += f"<th>{'colour alone' if task['kind'] == 'classification' else 'simple means'} (95 %)</th>" if any(simple.values()) else ""
    head += '<th class="paper">the paper&rsquo;s own, on its own data</th>' if told else ""
    lines = []
    for name in dict.fromkeys((*MAIN[task["kind"]], *told)):
        own = cell(overall, name) if name in overall else there.get(name)
        cells = f"<td>{NAMES.get(name, html.escape(name.replace('_', ' ')))}</td><td>{own or '&ndash;'}</td>"
        cells += f"<td>{simple.get(name) or '&ndash;'}</td>" if any(simple.values()) else ""
        cells += f'<td class="paper">{_told(told.get(name))}</td>' if told else ""
        lines.append(f"<tr>{cells}</tr>")
    note = _paper_note(paper) if paper else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>{note}"


def _told(value: object) -> str:
    return "&ndash;" if value is None else html.escape(str(value))


def _paper_note(paper: Plain) -> str:
    words = " ".join(html.escape(str(paper[key])) for key in ("citation", "data", "note") if paper.get(key))
    return f'<p class="fine paper-note">The paper&rsquo;s figures were measured by its authors on their images; no comparison with the others can be drawn from them. {words}</p>'


def _paper_alone(paper: Plain) -> str:
    lines = "".join(f"<tr><td>{NAMES.get(name, html.escape(name.replace('_', ' ')))}</td><td class=\"paper\">{_told(value)}</td></tr>" for name, value in paper.get("figures", {}).items())
    return f'<table><thead><tr><th>figure</th><th class="paper">the paper&rsquo;s own, on its own data</th></tr></thead><tbody>{lines}</tbody></table>'


def _points(task: Plain) -> str:
    lines = "".join(
        f"<tr><td>{html.escape(point['id'])}</td><td>{point['threshold']:.4g}</td><td>{cell(point, 'sensitivity')}</td><td>{cell(point, 'specificity')}</td></tr>"
        for point in task["operating_points"]
    )
    return (
        "<h3>Operating points</h3><table><thead><tr><th>point</th><th>threshold</th><th>sensitivity (95 %)</th><th>specificity (95 %)</th></tr></thead>"
        f"<tbody>{lines}</tbody></table><p class=\"fine\">An image is called {html.escape(task['positive'])} at or above the threshold. Thresholds other than the default "
        "were chosen on these same images, the largest that reach the sensitivity: on others they reach more or less.</p>"
    )


def _calibration(task: Plain) -> str:
    found = task["calibration"]
    if found["ece_scaled"] is None:
        return ""
    return (
        "<h3>Calibration</h3><table><thead><tr><th>probabilities</th><th>expected calibration error</th></tr></thead><tbody>"
        f"<tr><td>{as_shipped(task)}</td><td>{found['ece']:.3f}</td></tr>"
        f"<tr><td>{scaled(task)}</td><td>{found['ece_scaled']:.3f}</td></tr>"
        f"<tr><td>what perfect probabilities would show on so many images</td><td>{found['ece_by_chance']:.3f}, up to {found['ece_by_chance_most']:.3f}</td></tr></tbody></table>"
        f'<p class="fine">{html.escape(fitted(task))}</p>'
    )


def _parts(heading: str, what: str, parts: Plain, columns: Sequence[str]) -> str:
    head = "".join(f"<th>{NAMES[name]}</th>" for name in columns)
    lines = "".join(
        f"<tr><td>{html.escape(name.replace('_', ' ') if what == 'class' else name)}</td><td>{part['n']}</td>" + "".join(f"<td>{cell(part, column)}</td>" for column in columns) + "</tr>"
        for name, part in parts.items()
    )
    return f"<h3>{heading}</h3><table><thead><tr><th>{what}</th><th>n</th>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _plot(plot: Plot, number: int) -> str:
    svg = plot.svg if number == 0 else _renamed(plot.svg, f"t{number}-")
    return f'<figure class="{"wide" if plot.wide else "narrow"}" role="img" aria-label="{html.escape(plot.caption)}">{svg}<figcaption>{html.escape(plot.caption)}.</figcaption></figure>'


def _renamed(svg: str, beginning: str) -> str:
    """Keep the ids of two tasks' drawings apart."""
    for mark in ('id="', "url(#", 'xlink:href="#'):
        svg = svg.replace(mark, mark + beginning)
    return svg

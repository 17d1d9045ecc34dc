"""The measured part of a bundle: `validation` of its description and the marked blocks of its card, made from the report alone."""

import json
import re
from pathlib import Path
from typing import Any

from derm_training.measuring.statement import images_counted
from derm_training.reporting.calibration_words import as_shipped, scaled
from derm_training.reporting.gate_words import GATE, gate_block
from derm_training.reporting.report import MAIN, NAMES, figure, picture_name

Plain = dict[str, Any]

_METRICS = {
    "classification": ("auc", "accuracy", "sensitivity", "specificity", "baseline_auc"),
    "segmentation": ("jaccard", "dice", "baseline_otsu_jaccard", "baseline_ellipse_jaccard"),
}

_CARD = Path("docs") / "README.md"
NOT_MEASURED = "Not measured yet: no figures are known of these weights. `derm-pacs bundles evaluate BUNDLE --data TABLE --write` measures them."
GATE_NOT_MEASURED = "Not measured yet: what this gate lets through is not known. `derm-pacs bundles quality BUNDLE --data TABLE --write` counts it."


def write_figures(bundle: Path, report: Plain) -> None:
    """Put the figures of a report into configs/serving.json and docs/README.md; raises what `check_card` does, before it writes."""
    check_card(bundle)
    serving = bundle / "configs" / "serving.json"
    description = json.loads(serving.read_text(encoding="utf-8"))
    description["validation"] = validation(report)
    serving.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    write_block(bundle / _CARD, "figures", figures_block(report))


def write_gate(bundle: Path, values: Plain) -> None:
    """Put the counts of `gate_values` into docs/report/gate.json and docs/README.md; raises what `check_card` does, before it writes."""
    check_card(bundle, "gate")
    (bundle / GATE).parent.mkdir(parents=True, exist_ok=True)
    (bundle / GATE).write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    write_block(bundle / _CARD, "gate", gate_block(values))


def check_card(bundle: Path, block: str = "figures") -> None:
    """Raise ValueError where the bundle has no card with this block, and figures have no place to stand in."""
    _parted(bundle / _CARD, block)


def forget_figures(bundle: Path) -> bool:
    """Let the block `figures` of the card say that nothing was measured; return whether figures stood in it. A card may have none."""
    return _forget(bundle, "figures", NOT_MEASURED)


def forget_gate(bundle: Path) -> bool:
    """Delete docs/report/gate.json and let the block `gate` of the card say that nothing was measured; return whether counts stood in either."""
    counted = (bundle / GATE).is_file()
    (bundle / GATE).unlink(missing_ok=True)
    return _forget(bundle, "gate", GATE_NOT_MEASURED) or counted


def _forget(bundle: Path, block: str, not_measured: str) -> bool:
    try:
        _, former, _ = _parted(bundle / _CARD, block)
    except ValueError:
        return False
    write_block(bundle / _CARD, block, not_measured)
    return former.strip() not in {"", not_measured}


def write_block(card: Path, name: str, text: str) -> None:
    """Put `text` between the markers `<!-- name -->` and `<!-- /name -->`; raises ValueError if the card lacks them."""
    before, _, after = _parted(card, name)
    card.write_text(f"{before}{text}\n{after}", encoding="utf-8")


def _parted(card: Path, name: str) -> tuple[str, str, str]:
    """Return the card up to the opening marker, what stands in the block, and the card from the closing marker on."""
    remedy = f"write a line <!-- {name} --> and below it a line <!-- /{name} --> into the card, where its figures are to stand"
    if not card.is_file():
        raise ValueError(f"{card} does not exist; {remedy}")
    before, opening, rest = card.read_text(encoding="utf-8").partition(f"<!-- {name} -->\n")
    former, closing, after = rest.partition(f"<!-- /{name} -->")
    if not opening or not closing:
        raise ValueError(f"{card} lacks the markers of the block {name!r}; {remedy}")
    return before + opening, former, closing + after


def validation(report: Plain) -> list[Plain]:
    """Return the figures of the whole and of each data set of every task, as the bundle's description holds them."""
    found: list[Plain] = []
    for task in report["tasks"]:
        whole = re.sub(r"\.csv$", "", task["table"])
        parts = {_titled(task, whole): task["overall"]} | {_titled(task, name): part for name, part in task["per_dataset"].items()}
        for name, part in parts.items():
            for metric in _METRICS[task["kind"]]:
                if part.get(metric) is None or part[f"{metric}_ci"][0] is None:
                    continue
                low, high = part[f"{metric}_ci"]
                found.append({"dataset": name, "split": task["split"], "metric": metric, "value": part[metric], "low": low, "high": high, "n": part[f"{metric}_n"]})
    return found


def _titled(task: Plain, name: str) -> str:
    said = f"{task['title']}: {name}" if task["title"] else name
    return f"SYNTHETIC, {said}" if task["synthetic"] and "synthetic" not in said.lower() else said


def figures_block(report: Plain) -> str:
    """Return the card's block `figures`: for each task a table, its operating points, calibration, and what it supports."""
    blocks = [_task(task, number) for number, task in enumerate(report["tasks"])]
    told = (report["paper"] or {}).get("figures")
    if told:
        blocks.append(_paper(report["paper"]))
    blocks.append("Intervals are 95 %, over lesions. The whole report: [report/report.html](report/report.html), as values [report/report.json](report/report.json).")
    return "\n\n".join(blocks)


def _task(task: Plain, number: int) -> str:
    columns = [name for name in (*MAIN[task["kind"]], *_METRICS[task["kind"]]) if name in task["overall"]]
    columns = list(dict.fromkeys(columns))
    left = "".join(f", {count} {reason} left out" for reason, count in task["left_out"].items())
    title = task["title"] or task["table"]
    lines = [
        f"**{'SYNTHETIC: ' if task['synthetic'] else ''}{title}, split {task['split']}** ({images_counted(task)}{left})",
        "",
        f"| images | n | {' | '.join(NAMES[name] for name in columns)} |",
        "|---|---|" + "---|" * len(columns),
    ]
    parts = {"all": task["overall"], **task["per_dataset"], **{f"source {name}": part for name, part in task["per_source"].items()}}
    lines += [f"| {name} | {part['n']} | {' | '.join(figure(part, column) for column in columns)} |" for name, part in parts.items()]
    if task.get("operating_points"):
        lines += ["", "| operating point | threshold | sensitivity | specificity |", "|---|---|---|---|"]
        lines += [f"| {one['id']} | {one['threshold']:.4g} | {figure(one, 'sensitivity')} | {figure(one, 'specificity')} |" for one in task["operating_points"]]
    if task.get("per_class"):
        lines += ["", "| class | n | AUC | sensitivity | specificity |", "|---|---|---|---|---|"]
        lines += [
            f"| {name} | {one['n']} | {figure(one, 'auc')} | {figure(one, 'sensitivity')} | {figure(one, 'specificity')} |"
            for name, one in task["per_class"].items()
        ]
    if task.get("calibration", {}).get("ece_scaled") is not None:
        found = task["calibration"]
        lines += ["", f"Expected calibration error: {found['ece']:.3f} {as_shipped(task)}; {found['ece_scaled']:.3f} {scaled(task)}; perfect probabilities would show {found['ece_by_chance']:.3f} on so many images, up to {found['ece_by_chance_most']:.3f}."]
    lines += ["", *(f"- {sentence}" for sentence in task["statement"])]
    picture = "roc" if task["kind"] == "classification" else "overlap"
    lines += ["", f"![{picture} of {title}](report/{picture_name(number, picture)}.png)"]
    return "\n".join(lines)


def _paper(paper: Plain) -> str:
    lines = ["| figure | the paper's own, on its own data |", "|---|---|"]
    lines += [f"| {NAMES.get(name, name.replace('_', ' '))} | {value} |" for name, value in paper["figures"].items()]
    return "\n".join([f"{paper['citation']} No comparison with the figures above can be drawn from these.", "", *lines])

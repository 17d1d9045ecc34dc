"""What a bundle's quality gate lets through, in the words of cards and documents: composed from docs/report/gate.json alone."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Plain = dict[str, Any]

GATE = Path("docs") / "report" / "gate.json"
"""Where the counts stand in a bundle's folder."""
_GROUPS = {"good": "validation pictures", "not_skin": "without skin", "degraded": "damaged"}
_OF_THE_TABLE = {"good", "degraded"}


def gate_block(values: Plain) -> str:
    """Return the card's block `gate`: a sentence of the three groups, and a table of each kind of picture."""
    good, without, damaged = (values[group][0] for group in _GROUPS)
    drawn = "SYNTHETIC " if values["synthetic"] else ""
    grey = " (read as grey)" if values["colour"] == "GREY" else ""
    sentence = (
        f"The whole gate lets {_of(good)} {drawn}validation pictures of `{values['table']}` through, {_of(without)} pictures without skin{grey}, and "
        f"{_of(damaged)} damaged {drawn}validation pictures (`derm-pacs bundles quality`, version {values['version']}, seed {values['seed']})."
    )
    if values["synthetic"]:
        sentence += " SYNTHETIC: a program drew the validation pictures, of which the damaged ones are made; what is counted of them says nothing about patients."
    head = ["| pictures | n | let through | 95 % interval | refused because |", "|---|---|---|---|---|"]
    lines = [line for group in _GROUPS for line in _lines(values, group)]
    return "\n".join([sentence, "", *head, *lines, "", f"Intervals are Wilson's, over pictures. As values: [report/{GATE.name}](report/{GATE.name})."])


def gate_table(bundles: Path) -> str:
    """Return a table of what the gate of each bundle in the folder `bundles` lets through; a bundle without counts says so."""
    folders = sorted(file.parents[1] for file in bundles.glob("*/configs/serving.json"))
    lines = [f"| `{folder.name}` | {' | '.join(_counts(folder / GATE))} |" for folder in folders]
    return "\n".join(["| bundle | good let through | no skin let through | damaged let through |", "|---|---|---|---|", *lines])


def _counts(file: Path) -> list[str]:
    if not file.is_file():
        return ["not measured yet"] * len(_GROUPS)
    values = json.loads(file.read_text(encoding="utf-8"))
    return [f"{_drawn(values, group)}{_of(values[group][0])}" for group in _GROUPS]


def _lines(values: Plain, group: str) -> Iterator[str]:
    for place, one in enumerate(values[group]):
        name = f"**{_drawn(values, group)}{_GROUPS[group]}**" if place == 0 else one["kind"]
        reasons = ", ".join(f"{reason} {number}" for reason, number in one["refused_because"].items())
        yield f"| {name} | {one['n']} | {one['let_through']} ({_percent(one['share'])}) | {_percent(one['low'])} to {_percent(one['high'])} | {reasons} |"


def _drawn(values: Plain, group: str) -> str:
    return "SYNTHETIC " if values["synthetic"] and group in _OF_THE_TABLE else ""


def _of(one: Plain) -> str:
    return f"{one['let_through']} of {one['n']}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"

"""`derm-pacs bundles quality`: what a bundle's quality gate lets through and what it refuses."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table as Printed

from derm_pacs.bundles.description import SERVING, NotDescribed, parse
from derm_pacs.cli.bundle_folder import Bundle, bundle_folder
from derm_pacs.cli.bundle_output import output_folder
from derm_pacs.cli.gate import gate_of
from derm_pacs.cli.named_path import named_path
from derm_pacs.cli.options import Json
from derm_pacs.cli.print.terminal import print_json, say, stdout
from derm_pacs.cli.refused import refused
from derm_pacs.cli.training_packages import training_packages

if TYPE_CHECKING:
    from derm_training.gate.quality_measured import Gate, GateMeasured

Data = Annotated[Path, typer.Option("--data", metavar="TABLE", help="Table of images; those of split val are good, and some of them are damaged.")]
Count = Annotated[int, typer.Option("--count", min=20, max=10_000, help="Pictures without skin, and as many damaged ones.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed by which they are drawn.")]
Write = Annotated[bool, typer.Option("--write", help="Put the counts into the bundle: docs/report/gate.json and the block `gate` of docs/README.md.")]

_NOT_WRITTEN = "the counts that stand in the bundle are as they were: put that right and measure again"


def quality(bundle: Bundle, *, data: Data, count: Count = 500, seed: Seed = 0, write: Write = False, as_json: Json = False) -> None:
    """Measure what a bundle's quality gate lets through: pictures without skin, damaged ones, and good ones.

    Every picture takes the way of an image in the service. Pictures without skin are cut from photographs that come with
    scikit-image and scikit-learn, or drawn; damaged ones are made from the table's validation pictures, all of which are the good ones.
    Photographs and pictures drawn by a program share no count: a table of both is refused.

    Examples:
        derm-pacs bundles quality melanoma_nevus_alexnet --data MANIFEST.csv
        derm-pacs bundles quality monai_bundles/skin_lesion_deeplabv3plus --data MANIFEST.csv --json
        derm-pacs bundles quality monai_bundles/skin_lesion_deeplabv3plus --data MANIFEST.csv --write
    """
    with training_packages():
        from derm_training.gate.gate_values import gate_values
        from derm_training.gate.quality_measured import measure_gate
        from derm_training.measuring.statement import RESEARCH_USE
        from derm_training.tables.manifest import read_table
    folder = bundle_folder(bundle)
    if write:
        _try_places(folder)
    with refused(NotDescribed, OSError, ValueError, remedy="see docs/lead/training.md"):
        gate = _gate(folder)
        described = json.loads((folder / SERVING).read_bytes())  # as it is measured, whatever is changed meanwhile
        measured = measure_gate(gate, read_table(named_path(data, "--data")), count=count, seed=seed, told=say)
    values = gate_values(described, measured)
    if write:
        _write(folder, values)
    if as_json:
        print_json(values)
    else:
        _print(measured)
        stdout().print(RESEARCH_USE)


def _gate(folder: Path) -> "Gate":
    """Return the gate of the bundle in `folder`, which sees grey where the bundle reads grey."""
    gate = gate_of(folder)
    if parse((folder / SERVING).read_bytes()).input.colour == "RGB":
        return gate
    return lambda picture: gate(picture.mean(axis=2).round().astype(picture.dtype))


def _try_places(folder: Path) -> None:
    """Refuse what could not be written afterwards: measuring takes many minutes."""
    from derm_training.reporting.card import check_card

    with refused(ValueError, remedy=_NOT_WRITTEN):
        check_card(folder, "gate")
    for place in (folder / "docs" / "report", folder.parent):  # the changed copy is made beside the bundle
        output_folder(place, "--write")


def _write(folder: Path, values: dict[str, object]) -> None:
    """Write the counts into the bundle's report and card, or into neither."""
    from derm_training.reporting.card import write_gate
    from derm_training.shipping.staging import staged

    with refused(OSError, ValueError, remedy=_NOT_WRITTEN), staged(folder) as copy:
        write_gate(copy, values)
    say(f"the counts stand in {folder / 'docs' / 'report' / 'gate.json'} and {folder / 'docs' / 'README.md'}")


def _print(measured: "GateMeasured") -> None:
    table = Printed("pictures", "n", "let through", "95 % interval", "refused because", box=None)
    drawn = "SYNTHETIC " if measured.synthetic else ""
    for word, group in ((drawn, measured.good), ("", measured.not_skin), (drawn, measured.degraded)):
        for place, one in enumerate(group):
            reasons = ", ".join(f"{code} {number}" for code, number in one.reasons.items())
            table.add_row(
                f"{word}{one.kind}" if place == 0 else f"  {one.kind}", str(one.n), f"{one.passed} ({one.share:.1%})",
                f"{one.low:.1%} to {one.high:.1%}", reasons,
            )  # fmt: skip
    stdout().print(table)

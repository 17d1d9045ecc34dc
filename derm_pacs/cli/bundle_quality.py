"""`derm-pacs bundles quality`: what a bundle's quality gate lets through and what it refuses."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table as Printed

from derm_pacs.bundles.description import SERVING, NotDescribed, parse
from derm_pacs.cli.bundle_folder import Bundle, bundle_folder
from derm_pacs.cli.gate import gate_of
from derm_pacs.cli.named_path import named_path
from derm_pacs.cli.options import Json
from derm_pacs.cli.print.terminal import print_json, say, stdout
from derm_pacs.cli.refused import refused
from derm_pacs.cli.training_packages import training_packages

if TYPE_CHECKING:
    from derm_training.gate.quality_measured import Gate, GateMeasured, Passed

Data = Annotated[Path, typer.Option("--data", metavar="TABLE", help="Table of images; those of split val are good, and some of them are damaged.")]
Count = Annotated[int, typer.Option("--count", min=20, max=10_000, help="Pictures without skin, and as many damaged ones.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed by which they are drawn.")]


def quality(bundle: Bundle, *, data: Data, count: Count = 500, seed: Seed = 0, as_json: Json = False) -> None:
    """Measure what a bundle's quality gate lets through: pictures without skin, damaged ones, and good ones.

    Every picture takes the way of an image in the service. Pictures without skin are cut from photographs that come with
    scikit-image and scikit-learn, or drawn; damaged ones are made from the table's validation pictures, all of which are the good ones.

    Examples:
        derm-pacs bundles quality melanoma_nevus_alexnet --data MANIFEST.csv
        derm-pacs bundles quality monai_bundles/skin_lesion_deeplabv3plus --data MANIFEST.csv --json
    """
    with training_packages():
        from derm_training.gate.quality_measured import measure_gate
        from derm_training.measuring.statement import RESEARCH_USE
        from derm_training.tables.manifest import read_table
    with refused(NotDescribed, OSError, ValueError, remedy="see docs/lead/training.md"):
        folder = bundle_folder(bundle)
        measured = measure_gate(_gate(folder), read_table(named_path(data, "--data")), count=count, seed=seed, told=say)
    if as_json:
        print_json(_plain(folder.name, measured))
    else:
        _print(measured)
        stdout().print(RESEARCH_USE)


def _gate(folder: Path) -> "Gate":
    """Return the gate of the bundle in `folder`, which sees grey where the bundle reads grey."""
    gate = gate_of(folder)
    if parse((folder / SERVING).read_bytes()).input.colour == "RGB":
        return gate
    return lambda picture: gate(picture.mean(axis=2).round().astype(picture.dtype))


def _plain(name: str, measured: "GateMeasured") -> dict[str, object]:
    def told(passed: "Passed") -> dict[str, object]:
        return {
            "kind": passed.kind, "n": passed.n, "let_through": passed.passed, "share": passed.share,
            "low": passed.low, "high": passed.high, "refused_because": passed.reasons,
        }  # fmt: skip

    groups = {"good": measured.good, "not_skin": measured.not_skin, "degraded": measured.degraded}
    return {"bundle": name, "seed": measured.seed} | {key: [told(one) for one in group] for key, group in groups.items()}


def _print(measured: "GateMeasured") -> None:
    table = Printed("pictures", "n", "let through", "95 % interval", "refused because", box=None)
    for group in (measured.good, measured.not_skin, measured.degraded):
        for place, one in enumerate(group):
            reasons = ", ".join(f"{code} {number}" for code, number in one.reasons.items())
            table.add_row(
                one.kind if place == 0 else f"  {one.kind}", str(one.n), f"{one.passed} ({one.share:.1%})",
                f"{one.low:.1%} to {one.high:.1%}", reasons,
            )  # fmt: skip
    stdout().print(table)

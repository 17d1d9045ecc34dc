"""`derm-pacs bundles novelty`: the limit beyond which an image is unlike all that a bundle has learned from."""

import shlex
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from derm_pacs.cli.bundle_export import code_triples, print_golden
from derm_pacs.cli.bundle_folder import Bundle, bundle_folder
from derm_pacs.cli.bundle_output import output_folder
from derm_pacs.cli.gate import gate_of
from derm_pacs.cli.named_path import named_path
from derm_pacs.cli.options import Json
from derm_pacs.cli.print.terminal import print_json, say
from derm_pacs.cli.refused import refused
from derm_pacs.cli.training_packages import training_packages

if TYPE_CHECKING:
    from derm_training.gate.novelty import Fitted
    from derm_training.tables.rows import Table


class Kind(StrEnum):
    """What says how unlike an image is."""

    FEATURES = "features"
    ENERGY = "energy"


Data = Annotated[Path, typer.Option("--data", metavar="TABLE", help="Table of images with a split: train makes the space of features, val sets the limit.")]
By = Annotated[Kind, typer.Option("--by", help="features: distance from the training images' features. energy: of the logits; no file, no second pass of the network.")]
Share = Annotated[float, typer.Option("--share", min=0.0, max=0.5, help="Share of the validation images that may be refused by it.")]
Images = Annotated[int, typer.Option("--images", min=3, help="Training images at most, drawn by seed.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the drawing.")]


def novelty(
    bundle: Bundle, *, data: Data, by: By = Kind.FEATURES, share: Share = 0.01, images: Images = 2000, seed: Seed = 0, as_json: Json = False,
) -> None:
    """Find the limit beyond which an image is unlike all that a bundle has learned from, and write it into the bundle.

    Changed are quality.novelty and the golden promises of configs/serving.json, the record in configs/metadata.json and, by
    features, models/features.safetensors: a golden picture beyond the limit has its refusal promised. Where all of them would be
    refused nothing is changed. What the gate as a whole then lets through is told by `bundles quality`.

    Examples:
        derm-pacs bundles novelty melanoma_nevus_lite --data MANIFEST.csv
        derm-pacs bundles novelty melanoma_nevus_alexnet --data MANIFEST.csv --by energy --share 0.005
    """
    with training_packages():
        from derm_training.gate.novelty import fit, write
        from derm_training.reporting.card import forget_gate
        from derm_training.shipping.export import golden_of, write_record
        from derm_training.shipping.promises import write_promises
        from derm_training.shipping.staging import staged
        from derm_training.tables.manifest import read_table
        from derm_training.tables.selection import synthetic
    folder = bundle_folder(bundle)
    output_folder(folder.absolute().parent, "BUNDLE")
    with refused(OSError, ValueError, remedy="see docs/lead/training.md"):
        kind: Literal["energy", "feature_distance"] = "energy" if by is Kind.ENERGY else "feature_distance"
        read = read_table(named_path(data, "--data"))
        word = "SYNTHETIC: " if all(synthetic(row) for row in read.rows if row.split in {"train", "val"}) else ""
        fitted = fit(folder, read, kind=kind, share=share, most_images=images, seed=seed, told=lambda line: say(word + line))
        with staged(folder) as copy:
            write(copy, fitted)
            counted = forget_gate(copy)
            golden = golden_of(write_promises(copy, gate_of))
            write_record(copy, code_triples())
    if as_json:
        told = {name: getattr(fitted, name) for name in ("kind", "maximum", "trained_on", "validated_on", "refused", "refused_of_others")}
        drawn = sum(synthetic(row) for row in read.rows if row.split == "val")
        print_json(told | {"validated_on_synthetic": drawn, "directions": 0 if fitted.space is None else len(fitted.space.scale), "golden": golden})
        return
    for line in lines(folder.name, fitted, read):
        print(line)
    print_golden(golden)
    if counted:
        print("what the gate lets through was counted with the former limit and is taken out")
        print(f"count it:  derm-pacs bundles quality {shlex.quote(str(folder))} --data TABLE --write")


def lines(name: str, fitted: "Fitted", table: "Table") -> Iterator[str]:
    """Say which limit was found, from how many of the table's images of which kind, and what it refuses."""
    from derm_training.gate.novelty import ENOUGH
    from derm_training.tables.selection import kinds, synthetic

    taught = [synthetic(row) for row in table.rows if row.split == "train" and fitted.space is not None]
    drawn = (" (SYNTHETIC)" if all(taught) else " (some SYNTHETIC)") if any(taught) else ""  # which of them were taken is not told
    judged = kinds([row.dataset for row in table.rows if row.split == "val"])
    yield f"{name}: {fitted.kind} at most {fitted.maximum:.4f}, from {fitted.trained_on} training{drawn} and {fitted.validated_on} validation images{judged}"
    yield (
        f"refused of the validation images{judged} {fitted.refused:.1%}; of those that did not set the limit {fitted.refused_of_others:.1%} "
        "(halves of the lesions, each by the other's limit)"
    )
    if fitted.validated_on < ENOUGH:
        yield f"so few validation images (below {ENOUGH}) do not tell which share of others the limit refuses: take more before you trust it"

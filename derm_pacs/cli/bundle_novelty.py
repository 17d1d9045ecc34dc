"""`derm-pacs bundles novelty`: the limit beyond which an image is unlike all that a bundle has learned from."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

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
        from derm_training.gate.novelty import ENOUGH, fit, write
        from derm_training.shipping.export import golden_of, write_record
        from derm_training.shipping.promises import write_promises
        from derm_training.shipping.staging import staged
        from derm_training.tables.manifest import read_table
    folder = bundle_folder(bundle)
    output_folder(folder.absolute().parent, "BUNDLE")
    with refused(OSError, ValueError, remedy="see docs/lead/training.md"):
        kind: Literal["energy", "feature_distance"] = "energy" if by is Kind.ENERGY else "feature_distance"
        fitted = fit(folder, read_table(named_path(data, "--data")), kind=kind, share=share, most_images=images, seed=seed, told=say)
        with staged(folder) as copy:
            write(copy, fitted)
            golden = golden_of(write_promises(copy, gate_of))
            write_record(copy, code_triples())
    if as_json:
        told = {name: getattr(fitted, name) for name in ("kind", "maximum", "trained_on", "validated_on", "refused", "refused_of_others")}
        print_json(told | {"directions": 0 if fitted.space is None else len(fitted.space.scale), "golden": golden})
        return
    print(f"{folder.name}: {kind} at most {fitted.maximum:.4f}, from {fitted.trained_on} training and {fitted.validated_on} validation images")
    print(
        f"refused of the validation images {fitted.refused:.1%}; of those that did not set the limit {fitted.refused_of_others:.1%} "
        "(halves of the lesions, each by the other's limit)"
    )
    if fitted.validated_on < ENOUGH:
        print(f"so few validation images (below {ENOUGH}) do not tell which share of others the limit refuses: take more before you trust it")
    print_golden(golden)

"""`derm-pacs bundles compare`: a bundle's network beside common ones, trained alike."""

from pathlib import Path
from typing import Annotated, Any

import typer

from derm_pacs.cli.bundle_folder import bundle_folder
from derm_pacs.cli.bundle_output import output_folder
from derm_pacs.cli.bundle_train import Data, Device, Epochs, Settings, Split, SplitBy, setting
from derm_pacs.cli.named_path import named_path
from derm_pacs.cli.options import Json
from derm_pacs.cli.print.terminal import print_json, say, stdout, table
from derm_pacs.cli.refused import refused
from derm_pacs.cli.training_packages import training_packages

Bundle = Annotated[str, typer.Argument(metavar="BUNDLE", help="A classifier's folder, or its name: of one in ./monai_bundles, or of one that comes with derm-pacs.")]
Networks = Annotated[str, typer.Option("--networks", metavar="A,B,…", help="Networks to compare with: resnet18, resnet50, densenet121, efficientnet-b0.")]
Pretrained = Annotated[str | None, typer.Option("--pretrained", metavar="NAME", help="Weights from which every network starts, its own included. Otherwise all are drawn at random.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder for a training of each network, and for comparison.html and .json. Otherwise ./comparison/ and the bundle's name.")]


def compare(
    bundle: Bundle, *, data: Data, networks: Networks = "resnet18,densenet121,efficientnet-b0", pretrained: Pretrained = None,
    device: Device = "auto", out: Out = None, epochs: Epochs = None, split: SplitBy = Split.LESION, settings: Settings, as_json: Json = False,
) -> None:
    """Train a bundle's network and common ones under one schedule, and print one table of their figures with intervals.

    The bundle's train.json trains each of them; only the network changes. A comparison that was stopped goes on with the same command.
    Classes of which no photograph is to be had come from a table of drawn ones (`derm-pacs samples dermatoses --out drawn`), by --set drawn.
    For research use; not for primary diagnosis.

    Examples:
        derm-pacs bundles compare dermatosis14_efficientnet_b4 --data MANIFEST.csv --set drawn=drawn/MANIFEST.csv --networks resnet18,densenet121,efficientnet-b0
        derm-pacs bundles compare melanoma_nevus_alexnet --data MELNEV_BALANCED.csv --networks resnet18 --epochs 3 --set teacher=null --out comparison
    """
    with training_packages():
        from derm_training.experiments import comparison
        from derm_training.learning.train import TrainingError
        from derm_training.measuring.statement import RESEARCH_USE
    chosen: dict[str, Any] = dict(map(setting, settings))
    chosen |= {"data": str(data.resolve()), "device": device, "split": split.value, "pretrained": pretrained}
    chosen |= {} if epochs is None else {"epochs": epochs}
    folder = bundle_folder(bundle, holding="configs/train.json")
    place = out or Path("comparison") / folder.name
    output_folder(place, "--out")
    named_path(data, "--data")
    with refused(TrainingError, remedy="see docs/lead/readers.md"):
        found = comparison.compare(folder, place, [one.strip() for one in networks.split(",")], chosen)
    comparison.write(found, place)
    if as_json:
        print_json(comparison.as_values(found))
        return
    for one in found:
        shown = table(*comparison.COLUMNS)
        for line in comparison.lines(one):
            shown.add_row(*line)
        for sentence in (one.title, *one.notes):
            stdout().print(sentence)
        stdout().print(shown)
    for sentence in (*comparison.LIMITS, RESEARCH_USE):
        stdout().print(sentence)
    say(f"comparison.html and comparison.json are in {place}")

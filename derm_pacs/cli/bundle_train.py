"""`derm-pacs bundles train`: a bundle learns from images of one's own, by its own configuration."""

import json
import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from derm_pacs.cli.bundle_folder import Bundle, bundle_folder
from derm_pacs.cli.bundle_output import output_folder
from derm_pacs.cli.exit_codes import CommandError, ExitCode
from derm_pacs.cli.named_path import named_path
from derm_pacs.cli.options import Json
from derm_pacs.cli.print.terminal import print_json
from derm_pacs.cli.refused import refused
from derm_pacs.cli.training_packages import training_packages

if TYPE_CHECKING:
    from derm_training.learning.train import Trained


class Split(StrEnum):
    """How images are divided into those to learn from and those to judge by."""

    LESION = "lesion"
    PAPER = "paper"


Data = Annotated[Path, typer.Option("--data", metavar="TABLE", help="CSV with the columns path and label (and mask, split, source, dataset, lesion_id); or a folder in ISIC's or HAM10000's own layout; or a folder of DICOM with a labels.csv.")]
Pretrained = Annotated[str | None, typer.Option("--pretrained", metavar="NAME", help="Weights to start from: imagenet, or none. Otherwise what the bundle's train.json says.")]
Device = Annotated[str, typer.Option("--device", metavar="NAME", help="auto (a GPU where there is one), cpu, cuda or cuda:1.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder for weights, log and decoded images; a training that lies there is taken up. Otherwise ./training/ and the bundle's name.")]
Epochs = Annotated[int | None, typer.Option("--epochs", min=1, help="How often all images are gone through. Otherwise what the bundle's train.json says.")]
SplitBy = Annotated[Split, typer.Option("--split", help="lesion: the table's own split, or whole lesions drawn by seed. paper: at random by image, as Ameri 2020 splits: 900 and 100 of each class or as many as there are (masks: nine of ten images and the tenth); what leaks by it is told, and the last epoch's weights are kept.")]
Settings = Annotated[list[str], typer.Option("--set", default_factory=list, show_default=False, metavar="KEY=VALUE", help="Another setting of the bundle's train.json, such as seed=3 or batch=64; again for each.")]


def train(
    bundle: Bundle, *, data: Data, pretrained: Pretrained = None, device: Device = "auto", out: Out = None, epochs: Epochs = None,
    split: SplitBy = Split.LESION, settings: Settings, as_json: Json = False,
) -> None:
    """Train a bundle on images of your own, by its own configuration.

    MONAI runs configs/train.json with these settings in place of its own. That file is code: train only bundles whose files you trust.
    A training that was stopped, in whichever way, goes on after its last whole epoch with the same command; other images or settings
    need another --out. The seed decides the result: on a CPU to the last digit, on a GPU nearly. The installed bundle stays as it is:
    see the commands named at the end.

    Examples:
        derm-pacs bundles train melanoma_nevus_alexnet --data MELNEV_BALANCED.csv
        derm-pacs bundles train melanoma_nevus_alexnet --data HAM10000 --split paper --out paper
        derm-pacs bundles train monai_bundles/skin_lesion_deeplabv3plus --data MANIFEST.csv --pretrained imagenet --set batch=32
    """
    with training_packages():
        from derm_training.learning.train import TrainingError
        from derm_training.learning.train import train as run
    overrides: dict[str, Any] = dict(map(setting, settings))
    overrides |= {"data": str(data.resolve()), "device": device, "split": split.value}
    overrides |= {name: value for name, value in (("pretrained", pretrained), ("epochs", epochs)) if value is not None}
    folder = bundle_folder(bundle, holding="configs/train.json")
    place = out or Path("training") / folder.name
    output_folder(place, "--out")
    named_path(data, "--data")
    with refused(TrainingError, remedy="see docs/lead/training.md"):
        made = run(folder, place, overrides)
    if as_json:
        print_json(made)
        return
    _print_figures(made, "test images" if split is Split.PAPER else "images that chose the epoch")
    named, table, weights = (shlex.quote(str(one)) for one in (bundle, made.table, made.weights))
    print(f"measure:  derm-pacs bundles evaluate {named} --data {table} --weights {weights}{' --split test' if split is Split.PAPER else ''}")
    print(f"ship:     derm-pacs bundles export {named} --checkpoint {weights} --version VERSION")


def _print_figures(made: "Trained", images: str) -> None:
    """Print the figures and of which images they are: with SYNTHETIC before them where a program drew all of these."""
    photographs, drawn = made.judged_on["photographs"], made.judged_on["synthetic"]
    alone = "SYNTHETIC " if drawn and not photographs else ""
    figures = ", ".join(f"{name} {value:.4f}" for name, value in made.figures.items())
    print(f"{made.weights} holds the averaged weights of epoch {made.epoch} of {made.epochs}: {alone}{figures}")
    both = f" ({photographs} photographs, {drawn} SYNTHETIC{'; auc is of the photographs alone' if 'auc' in made.figures else ''})" if drawn and photographs else ""
    print(f"These are figures of the {alone}{images}{both}, without an interval; `bundles evaluate` measures:")


def setting(text: str) -> tuple[str, Any]:
    """Return key and value of KEY=VALUE; the value as JSON where it is some, otherwise the text."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise CommandError(ExitCode.USAGE, f"--set {text} has no value", "write --set KEY=VALUE, such as --set seed=3")
    try:
        return key.strip(), json.loads(value)
    except json.JSONDecodeError:
        return key.strip(), value

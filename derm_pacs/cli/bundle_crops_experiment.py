"""`derm-pacs bundles crops-experiment`: what the crop search in front of a classifier brings."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from derm_pacs.cli.bundle_folder import bundle_folder
from derm_pacs.cli.bundle_output import output_folder
from derm_pacs.cli.named_path import named_path
from derm_pacs.cli.options import Json
from derm_pacs.cli.print.terminal import print_json, say, stdout, table
from derm_pacs.cli.refused import refused
from derm_pacs.cli.training_packages import training_packages

if TYPE_CHECKING:
    from derm_training.experiments.crops_experiment import Experiment

Segmenter = Annotated[str, typer.Option("--segmenter", metavar="BUNDLE", help="Bundle that finds lesion (and skin): its folder, or its name: of one in ./monai_bundles, or of one that comes with derm-pacs.")]
Classifier = Annotated[str, typer.Option("--classifier", metavar="BUNDLE", help="Bundle that reads the images and the crops.")]
Data = Annotated[Path, typer.Option("--data", metavar="TABLE", help="Images with label and with a mask of the lesion, which stands for the hand.")]
Dataset = Annotated[list[str], typer.Option("--dataset", default_factory=list, show_default=False, metavar="NAME", help="Only images of this dataset; again for each.")]
Split = Annotated[str, typer.Option("--split", metavar="all|train|val|test", help="Which images.")]
Positive = Annotated[str | None, typer.Option("--positive", metavar="LABEL,…", help="Labels that count as the classifier's positive class; otherwise that class.", show_default=False)]
Negative = Annotated[str | None, typer.Option("--negative", metavar="LABEL,…", help="Labels that count as negative; otherwise the classifier's other classes.", show_default=False)]
Report = Annotated[Path | None, typer.Option("--report", metavar="DIR", help="Write HTML, JSON, PNG, and a CSV with a row an image there.")]


def crops_experiment(
    *, segmenter: Segmenter, classifier: Classifier, data: Data, dataset: Dataset, split: Split = "all", positive: Positive = None,
    negative: Negative = None, report: Report = None, as_json: Json = False,
) -> None:
    """Compare one classifier on whole images, on the network's crops and on crops by hand.

    Accuracy, sensitivity, specificity and AUC of each, with paired bootstrap intervals of the differences. Images without a crop are
    counted and named. For research use; not for primary diagnosis.

    Examples:
        derm-pacs bundles crops-experiment --segmenter skin_lesion_deeplabv3plus --classifier melanoma_nevus_alexnet --data MANIFEST.csv --dataset PAD-UFES-20
        derm-pacs bundles crops-experiment --segmenter skin_lesion_deeplabv3plus --classifier melanoma_nevus_lite --data MANIFEST.csv --dataset PAD-UFES-20 --positive melanoma,bcc,scc --negative nevus,seborrheic_keratosis,akiec --report crops
    """
    with training_packages():
        from derm_training.experiments import crops_experiment as experiment
        from derm_training.measuring.statement import RESEARCH_USE
    output_folder(report, "--report")
    with refused(ValueError, remedy="look at the table and at the labels"):
        found = _made((segmenter, classifier), named_path(data, "--data"), dataset, split, (positive, negative))
    if report is not None:
        experiment.write(found, report)
        say(f"crops.html, .json, .png and .csv are in {report}")
    if as_json:
        print_json(experiment.as_values(found))
        return
    for sentence in (found.title, *experiment.sentences(found)):
        stdout().print(sentence)
    shown = table(*experiment.COLUMNS)
    for line in experiment.lines(found):
        shown.add_row(*line)
    stdout().print(shown)
    for sentence in (*experiment.LIMITS, RESEARCH_USE):
        stdout().print(sentence)


def _made(
    bundles: tuple[str, str], data: Path, datasets: list[str], split: str, labels: tuple[str | None, str | None]
) -> "Experiment":
    from rich.progress import track

    with training_packages():
        from derm_networks.served import open_bundle
        from derm_training.experiments.crops_experiment import judge, read
        from derm_training.learning.progress import console
        from derm_training.tables.selection import select
        from derm_training.tables.usable import all_there
    segmenting, classifying = (open_bundle(bundle_folder(name)) for name in bundles)
    point = next(iter(classifying.description.get("operating_points", ())), None)
    if point is None:
        raise ValueError(f"{bundles[1]} has no operating point; take a classifier of two classes")
    if not any(one["kind"] == "segmentation" for one in segmenting.description["outputs"]):
        raise ValueError(f"{bundles[0]} draws no masks; take a bundle that finds lesions, such as skin_lesion_deeplabv3plus")
    others = [one["id"] for one in classifying.description["outputs"][0]["classes"] if one["id"] != point["positive"]]
    positive, negative = ([one.strip() for one in given.split(",")] if given else own for given, own in zip(labels, ([point["positive"]], others), strict=True))
    chosen = select(data, split=split, labels=[*positive, *negative], datasets=datasets)
    masked = [row for row in chosen.rows if row.mask is not None]
    all_there(data, (row.mask for row in masked))
    left_out = chosen.left_out | {"without a mask": len(chosen.rows) - len(masked)}
    notes = [f"Left out: {count} images {why}." for why, count in left_out.items() if count]
    if not segmenting.description.get("crops"):
        notes.append("The segmenter draws no skin: all of an image counts as skin.")
    readings = [
        read(row, segmenting, classifying, positive=positive) for row in track(masked, "reading images", console=console(), transient=True)
    ]
    return judge(
        readings,
        title=f"{classifying.description['title']} on whole images and on crops: {data.name}{', ' + ', '.join(datasets) if datasets else ''}",
        threshold=point["threshold"],
        positive=", ".join(positive),
        notes=notes,
    )

"""`derm-pacs bundles evaluate`: measure a bundle on images of one's own, and write what its card says."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from derm_pacs.cli.bundle_export import code_triples
from derm_pacs.cli.bundle_folder import Bundle, bundle_folder
from derm_pacs.cli.bundle_output import output_folder
from derm_pacs.cli.exit_codes import CommandError, ExitCode
from derm_pacs.cli.named_path import WEIGHTS, named_path
from derm_pacs.cli.options import Json
from derm_pacs.cli.print.terminal import print_json, say, stdout, table
from derm_pacs.cli.refused import refused
from derm_pacs.cli.training_packages import training_packages

if TYPE_CHECKING:
    from derm_training.measuring.evaluate import Evaluation

Data = Annotated[list[Path], typer.Option("--data", metavar="TABLE", help="CSV with the columns path and label (mask for a segmentation), a folder in ISIC's or HAM10000's layout, or a folder of DICOM with labels.csv; again for a further table. Or the folders that hold the tables which `report` of the bundle's evaluate.json names.")]
Report = Annotated[Path | None, typer.Option("--report", metavar="DIR", help="Write the report there: HTML, JSON and PNG.")]
Predictions = Annotated[Path | None, typer.Option("--predictions", metavar="FILE", help="Write what is said of each image there: a CSV that `bundles readers` reads.")]
Split = Annotated[str, typer.Option("--split", metavar="val|test|train|paper|all", help="Which images. Without it those that the table keeps aside: val, else test, else all.", show_default=False)]
Weights = Annotated[Path | None, typer.Option("--weights", metavar="FILE", help="Weights other than the shipped ones: best.pt of a training, or safetensors.")]
Sensitivity = Annotated[float, typer.Option("--sensitivity", min=0.01, max=1.0, metavar="VALUE", help="Also give the operating point that reaches this sensitivity.")]
Device = Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda", help="Where the network runs; auto takes a GPU where there is one.")]
Write = Annotated[bool, typer.Option("--write", help="Put the figures into the bundle: configs/serving.json and metadata.json, docs/README.md, docs/report.")]

_NOT_WRITTEN = "the figures that stand in the bundle are as they were: put that right and measure again"
_COLUMNS = {
    "classification": ("auc", "accuracy", "sensitivity", "specificity", "baseline_auc"),
    "segmentation": ("jaccard", "dice", "baseline_otsu_jaccard", "baseline_ellipse_jaccard"),
}


def evaluate(
    bundle: Bundle, *, data: Data, split: Split = "", weights: Weights = None, sensitivity: Sensitivity = 0.95, device: Device = "auto",
    report: Report = None, predictions: Predictions = None, write: Write = False, as_json: Json = False,
) -> None:
    """Measure a bundle on a table of images: figures with intervals, calibration, each source by itself, the colour baseline beside it.

    Images whose label the bundle does not know are counted and left out. Real and synthetic images never share a figure.
    For research use; not for primary diagnosis.

    Examples:
        derm-pacs bundles evaluate melanoma_nevus_alexnet --data images/MELNEV_BALANCED.csv
        derm-pacs bundles evaluate monai_bundles/melanoma_nevus_alexnet --data images.csv --json
        derm-pacs bundles evaluate melanoma_nevus_alexnet --data images.csv --weights out/best.pt --report out/report
        derm-pacs bundles evaluate melanoma_nevus_alexnet --data images.csv --predictions predictions.csv
        derm-pacs bundles evaluate melanoma_nevus_alexnet --data images --write
    """
    with training_packages():
        from derm_training.measuring.evaluate import Question, answer
        from derm_training.measuring.evaluate import evaluate as measure
        from derm_training.reporting.report import figure
    _check(device, split, weights, write=write)
    folder = bundle_folder(bundle, holding="configs/evaluate.json")
    _try_places(folder, report, predictions, write=write)
    question = Question(
        bundle=folder,
        data=tuple(named_path(one, "--data").resolve() for one in data),
        split=split,
        weights=None if weights is None else weights.resolve(),
        sensitivity=sensitivity,
        device=device,  # type: ignore[arg-type]
    )
    with refused(ValueError, remedy="see `derm-pacs bundles evaluate --help` for the tables that are read"):
        said = measure(question)
    with refused(OSError, ValueError, remedy=_NOT_WRITTEN):
        _write(said, folder, report, predictions, write=write)
    values = answer(said)
    if as_json:
        print_json(values)
    else:
        _print(said.report, [values, *values["further"]], figure)


def _check(device: str, split: str, weights: Path | None, *, write: bool) -> None:
    from derm_training.tables.selection import SPLITS

    if split and split not in SPLITS:
        raise CommandError(ExitCode.USAGE, f"there is no split {split!r}", f"take {', '.join(SPLITS)}")
    if device not in {"auto", "cpu", "cuda"}:
        raise CommandError(ExitCode.USAGE, f"there is no device {device!r}", "take auto, cpu or cuda")
    if write and weights is not None:
        raise CommandError(ExitCode.USAGE, "--write is for the shipped weights", "bring the weights into the bundle with `bundles export` first")
    if weights is not None:
        named_path(weights, "--weights", WEIGHTS)


def _try_places(folder: Path, report: Path | None, predictions: Path | None, *, write: bool) -> None:
    """Refuse what could not be written afterwards: measuring can take hours."""
    from derm_training.measuring.prediction_table import is_predictions
    from derm_training.reporting.card import check_card

    output_folder(report, "--report")
    if predictions is not None:
        if predictions.exists() and not is_predictions(predictions):
            raise CommandError(ExitCode.REFUSED, f"--predictions: {predictions} is there and is no table of predictions", "name a file that does not exist")
        output_folder(predictions.parent, "--predictions")
    if write:
        with refused(ValueError, remedy=_NOT_WRITTEN):
            check_card(folder)
        for place in (folder / "configs", folder / "docs" / "report", folder.parent):  # the changed copy is made beside the bundle
            output_folder(place, "--write")


def _write(said: "Evaluation", folder: Path, report: Path | None, predictions: Path | None, *, write: bool) -> None:
    """Write the predictions and the report into their places, and all that the bundle says of its figures, or nothing of that."""
    from derm_training.measuring.prediction_table import write_predictions
    from derm_training.reporting.card import write_figures
    from derm_training.reporting.report import write_report
    from derm_training.shipping.export import write_record
    from derm_training.shipping.staging import staged

    if predictions is not None:
        write_predictions(predictions, said.predictions)
        say(f"the predictions are in {predictions}, one row an image. {said.report['research_use']}")
    if report is not None:
        write_report(said, report)
        say(f"the report is in {report}: report.html, report.json and pictures")
    if write:
        with staged(folder) as copy:
            write_report(said, copy / "docs" / "report")
            write_figures(copy, said.report)
            write_record(copy, code_triples())
        say(f"the report is in {folder / 'docs' / 'report'}: report.html, report.json and pictures")
        say(f"the figures stand in {folder / 'configs' / 'serving.json'} and {folder / 'docs' / 'README.md'}")


def _print(report: dict[str, Any], answers: Sequence[dict[str, Any]], figure: Callable[[dict[str, Any], str], str]) -> None:
    """Print each task of the report; `answers` has the curve of each."""
    out = stdout()
    for task, values in zip(report["tasks"], answers, strict=True):
        columns = [name for name in _COLUMNS[task["kind"]] if name in task["overall"]]
        out.print(f"{'SYNTHETIC: ' if task['synthetic'] else ''}{report['bundle']['title']} on {task['title'] or task['table']}, split {task['split']}")
        shown = table("images", "n", *(name.replace("_", " ") for name in columns))
        for name, part in {"all": task["overall"], **task["per_dataset"], **{f"source {one}": figures for one, figures in task["per_source"].items()}}.items():
            shown.add_row(name, str(part["n"]), *(figure(part, column) for column in columns))
        out.print(shown)
        _print_points(task.get("operating_points", []), figure)
        if "roc" in values:
            _print_curve(values["roc"])
        for reason, count in task["left_out"].items():
            out.print(f"left out: {count} images {reason}")
        for sentence in task["statement"]:
            out.print(sentence)
    out.print(report["research_use"])


def _print_points(points: list[dict[str, Any]], figure: Callable[[dict[str, Any], str], str]) -> None:
    """Print the bundle's own threshold and those that reach the wanted sensitivities and every positive."""
    if points:
        shown = table("operating point", "threshold", "sensitivity", "specificity")
        for point in points:
            shown.add_row(point["id"], f"{point['threshold']:.4g}", figure(point, "sensitivity"), figure(point, "specificity"))
        stdout().print(shown)


def _print_curve(curve: dict[str, list[float]]) -> None:
    """Print of the ROC curve, whose sensitivity rises, the largest threshold that reaches each tenth of sensitivity."""
    shown = table("ROC: threshold", "sensitivity", "specificity")
    for point in dict.fromkeys(bisect_left(curve["sensitivity"], tenth / 10) for tenth in range(1, 11)):
        shown.add_row(f"{curve['threshold'][point]:.4g}", f"{curve['sensitivity'][point]:.3f}", f"{curve['specificity'][point]:.3f}")
    stdout().print(shown)

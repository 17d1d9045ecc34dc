"""`derm-pacs bundles readers`: an algorithm beside readers, from any table."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from derm_pacs.cli.bundle_output import output_folder
from derm_pacs.cli.exit_codes import CommandError, ExitCode
from derm_pacs.cli.named_path import named_path
from derm_pacs.cli.options import Json
from derm_pacs.cli.print.terminal import print_json, say, stdout, table
from derm_pacs.cli.training_packages import training_packages

if TYPE_CHECKING:
    from derm_training.readers.reader_tables import Columns

Table = Annotated[Path, typer.Argument(metavar="TABLE", help="CSV in UTF-8, the first line naming the columns.")]
Label = Annotated[str, typer.Option("--label", metavar="COLUMN", help="Column of the truth: 0 and 1, or names (see --positive, --classes).")]
Score = Annotated[list[str], typer.Option("--score", default_factory=list, show_default=False, metavar="COLUMN", help="Column of the algorithm's score, higher for positive; again for each algorithm or repeated training.")]
ReaderColumns = Annotated[list[str], typer.Option("--reader", default_factory=list, show_default=False, metavar="COLUMN[=THRESHOLD]", help="Column of a reader's calls (0, 1, empty where not read) or scores, which call from THRESHOLD on (0.5); again for each reader. With --call: the one column that names the reader.")]
Call = Annotated[str | None, typer.Option("--call", metavar="COLUMN", help="Column of calls: the table has one row a call instead of one an image.")]
Image = Annotated[str | None, typer.Option("--image", metavar="COLUMN", help="Column that names the image; needed with --call.")]
Images = Annotated[Path | None, typer.Option("--images", metavar="TABLE", help="With --call: a second table with one row an image for label and scores.")]
Group = Annotated[str | None, typer.Option("--group", metavar="COLUMN", help="Column of the lesion or patient: intervals draw these instead of images.")]
Rank = Annotated[str | None, typer.Option("--rank", metavar="COLUMN", help="With --call: column of the reader's rank; each rank is compared by itself too.")]
Positive = Annotated[str | None, typer.Option("--positive", metavar="LABEL", help="The label, and call, that counts as 1.")]
Sensitivity = Annotated[list[float], typer.Option("--sensitivity", default_factory=list, show_default=False, min=0.0, max=1.0, metavar="VALUE", help="Also give the algorithm's operating point at this sensitivity.")]
Simulate = Annotated[int, typer.Option("--simulate", min=0, max=1000, metavar="COUNT", help="Compare with so many SIMULATED readers, drawn from the labels; every output says so.")]
Classes = Annotated[str | None, typer.Option("--classes", metavar="A,B,…", help="Compare calls that name one of these classes; images of other classes are left out and counted.")]
Prediction = Annotated[str | None, typer.Option("--prediction", metavar="COLUMN", help="With --classes: column of the class that the algorithm calls.")]
Probabilities = Annotated[str | None, typer.Option("--probabilities", metavar="PREFIX", help="With --classes: columns named PREFIX and class hold probabilities; the algorithm calls the most probable of the classes.")]
Draws = Annotated[int, typer.Option("--draws", min=100, max=20_000, help="Draws of the bootstrap.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the bootstrap and of simulated readers.")]
Report = Annotated[Path | None, typer.Option("--report", metavar="DIR", help="Write HTML, JSON and PNG there.")]

_TABLE = "name a CSV in UTF-8 whose first line names the columns"


def readers(
    table_file: Table, *, label: Label, score: Score, reader: ReaderColumns, call: Call = None, image: Image = None, images: Images = None,
    group: Group = None, rank: Rank = None, positive: Positive = None, sensitivity: Sensitivity, simulate: Simulate = 0,
    classes: Classes = None, prediction: Prediction = None, probabilities: Probabilities = None,
    draws: Draws = 2000, seed: Seed = 0, report: Report = None, as_json: Json = False,
) -> None:
    """Compare an algorithm with readers from any table: ROC, each reader a point, the algorithm at each reader's sensitivity.

    The algorithm's operating point is the largest threshold that reaches the reader's sensitivity. With --classes:
    accuracy, and each class's sensitivity and specificity, of calls that name one of several classes. Intervals are 95 %, by bootstrap over images (and over readers for means over them).

    Examples:
        derm-pacs bundles readers study.csv --label target --score network --reader anna --reader bert --report out
        derm-pacs bundles readers lesion-size-2020_metadata.csv --label target --score adae_score --reader crowd_score=0.3 --json
        derm-pacs bundles readers calls.csv --image image --reader reader --call call --rank rank --images images.csv --label label --score network
        derm-pacs bundles readers study.csv --label target --score network --simulate 20 --report out
        derm-pacs bundles readers calls.csv --label diagnosis --reader anna --prediction network --classes psoriasis,eczema,acne
    """
    with training_packages():
        from derm_training.readers.reader_tables import Columns
        from derm_training.readers.sheet import UnusableTable
    names, thresholds = _with_thresholds(reader)
    columns = Columns(
        label=label, scores=tuple(score), readers=tuple(names), call=call, image=image, group=group, rank=rank, positive=positive
    )
    output_folder(report, "--report")
    asked = _Asked(
        table=named_path(table_file, "TABLE", _TABLE), columns=columns, images=None if images is None else named_path(images, "--images", _TABLE),
        draws=draws, seed=seed, report=report,
    )
    try:
        if classes is not None:
            if score or sensitivity:
                raise CommandError(ExitCode.USAGE, "--score and --sensitivity are for two classes", "leave them out, or leave out --classes")
            said = _several_classes(asked, [one.strip() for one in classes.split(",")], prediction, probabilities, simulate)
        elif score:
            said = _two_classes(asked, thresholds, sensitivity, simulate)
        else:
            raise CommandError(ExitCode.USAGE, "no column of scores is named", "name it by --score, or several classes by --classes")
    except UnusableTable as error:
        raise CommandError(ExitCode.FAILED, error.wrong, error.remedy) from error
    if report is not None:
        say(f"readers.html, readers.json and readers.png are in {report}")
    if as_json:
        print_json(said.values)
        return
    for sentence in said.sentences:
        stdout().print(sentence)
    for headers, lines in said.tables:
        shown = table(*headers)
        for line in lines:
            shown.add_row(*line)
        stdout().print(shown)
    stdout().print(said.values["use"])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    table: Path
    columns: "Columns"
    images: Path | None
    draws: int
    seed: int
    report: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    values: dict[str, Any]
    sentences: Sequence[str]
    tables: Sequence[tuple[Sequence[str], Sequence[Sequence[str]]]]


def _two_classes(asked: _Asked, thresholds: dict[str, float], sensitivities: Sequence[float], simulate: int) -> _Said:
    with training_packages():
        from derm_training.readers import readers_report, simulated_readers
        from derm_training.readers.dichotomous import compare
        from derm_training.readers.reader_tables import read_study
    study = read_study(asked.table, asked.columns, thresholds, asked.images)
    if simulate:
        study = simulated_readers.with_simulated_readers(study, simulate, asked.seed)
    found = compare(study, sensitivities=sensitivities, draws=asked.draws, seed=asked.seed)
    if asked.report is not None:
        readers_report.write(study, found, asked.report)
    return _Said(
        values=readers_report.as_values(study, found),
        sentences=[readers_report.title(study), *study.notes, *(said for one in found for said in readers_report.sentences(one))],
        tables=[(readers_report.COLUMNS, readers_report.lines(one)) for one in found],
    )


def _several_classes(
    asked: _Asked, classes: list[str], prediction: str | None, probabilities: str | None, simulate: int
) -> _Said:
    with training_packages():
        from derm_training.readers import class_readers_report, simulated_readers
        from derm_training.readers.class_readers import compare_classes, read_class_study
    study = read_class_study(
        asked.table, asked.columns, classes, prediction=prediction, probabilities=probabilities, images=asked.images
    )
    if simulate:
        study = simulated_readers.with_simulated_class_readers(study, simulate, asked.seed)
    found = compare_classes(study, draws=asked.draws, seed=asked.seed)
    if asked.report is not None:
        class_readers_report.write(study, found, asked.report)
    return _Said(
        values=class_readers_report.as_values(study, found),
        sentences=[class_readers_report.title(study), *study.notes],
        tables=[
            (class_readers_report.CALLERS, class_readers_report.callers(found)),
            (class_readers_report.CLASSES, class_readers_report.classes(found)),
        ],
    )


def _with_thresholds(readers: list[str]) -> tuple[list[str], dict[str, float]]:
    """Return the columns of the readers, and the thresholds of those that name one after the last equals sign."""
    names, thresholds = [], {}
    for one in readers:
        name, equals, text = one.rpartition("=")
        try:
            value = float(text)
        except ValueError:
            name, equals = one, ""
        if equals:
            thresholds[name] = value
        names.append(name if equals else one)
    return names, thresholds

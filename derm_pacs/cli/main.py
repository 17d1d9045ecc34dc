"""The command `derm-pacs`: the list of all commands, each loaded only when it is run.

A command is a function with Typer's annotations; its docstring is its help, and what follows "Examples:" in it ends
the help. Nothing else is imported before a command runs, so that `derm-pacs --help` answers at once.
"""

import importlib
import inspect
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from derm_pacs.cli.exit_codes import CommandError, ExitCode
from derm_pacs.domain.errors import Busy, Rejected, Transient, WalkError
from derm_pacs.domain.reasons import BUNDLE_UNKNOWN
from derm_pacs.settings.read import SettingsError


@dataclass(frozen=True, slots=True)
class Listed:
    """A command: its name, the sentence of its help's first line, and the function `derm_pacs.cli.MODULE.FUNCTION`."""

    name: str
    sentence: str
    module: str
    function: str


@dataclass(frozen=True, slots=True)
class Noun:
    """Commands about one thing."""

    name: str
    sentence: str
    commands: tuple[Listed, ...]


COMMANDS: tuple[Listed | Noun, ...] = (
    Listed("serve", "Run the service until it is told to stop (SIGTERM): listener, filing, workers, clock, embedded database.", "serve", "serve"),
    Listed("check", "Print the settings as understood, then try everything that they name.", "check", "check"),
    Listed("status", "Show how the service stands: filing, cases, queue, deliveries, faults.", "status", "status"),
    Noun("cases", "Look at cases, and act on those that wait for a person.", (
        Listed("list", "List the cases, the last changed first.", "cases", "list_cases"),
        Listed("show", "Show one case with its whole story.", "cases", "show"),
        Listed("retry", "Take a held case on from where it was held.", "case_acts", "retry"),
        Listed("cancel", "End a case for good; nothing more is sent.", "case_acts", "cancel"),
        Listed("export", "Write the received objects and the results of a case as ordinary files: DICOM, and HL7 where a record system gets one.", "case_export", "export"),
        Listed("pdf", "Write the report of a case as a PDF file, for research use, not for primary diagnosis.", "case_pdf", "pdf"),
    )),
    Noun("bundles", "Install bundles, and say which version and which thresholds are in force.", (
        Listed("install", "Install a bundle's folder after its files and its golden outputs are verified.", "bundle_install", "install"),
        Listed("list", "List the installed bundles, usable or why not, with their thresholds.", "bundles", "list_bundles"),
        Listed("activate", "Bring a version of a bundle into force.", "bundles", "activate"),
        Listed("deactivate", "Take a bundle out of force.", "bundles", "deactivate"),
        Listed("threshold", "Move the threshold of a bundle's operating point.", "bundles", "threshold"),
        Listed("train", "Train a bundle on images of your own, by its own configuration.", "bundle_train", "train"),
        Listed("evaluate", "Measure a bundle on a table of images: figures with intervals, calibration, each source by itself, the colour baseline beside it.", "bundle_evaluate", "evaluate"),
        Listed("export", "Ship a trained network: weights, their hash, what they say of the golden pictures, and the bundle's metadata.", "bundle_export", "export"),
        Listed("readers", "Compare an algorithm with readers from any table: ROC, each reader a point, the algorithm at each reader's sensitivity.", "bundle_readers", "readers"),
        Listed("embed", "Plot by t-SNE which pictures a bundle's network sees as alike: those of a table by label, or of stored cases by its call.", "bundle_embed", "embed"),
        Listed("crops-experiment", "Compare one classifier on whole images, on the network's crops and on crops by hand.", "bundle_crops_experiment", "crops_experiment"),
        Listed("compare", "Train a bundle's network and common ones under one schedule, and print one table of their figures with intervals.", "bundle_compare", "compare"),
        Listed("novelty", "Find the limit beyond which an image is unlike all that a bundle has learned from, and write it into the bundle.", "bundle_novelty", "novelty"),
        Listed("quality", "Measure what a bundle's quality gate lets through: pictures without skin, damaged ones, and good ones.", "bundle_quality", "quality"),
    )),
    Noun("pacs", "Ask the peers of the settings.", (
        Listed("echo", "Send a C-ECHO to one peer or to all.", "pacs", "echo"),
        Listed("probe", "Ask a peer what it takes, and say what each destination on it would get.", "pacs_probe", "probe"),
    )),
    Listed("clock", "Show what the clock runs: the last and the next run of each tick.", "clock", "clock"),
    Noun("audit", "Read the audit trail.", (
        Listed("verify", "Verify that no row of the audit trail was changed or taken out.", "audit", "verify"),
    )),
    Listed("migrate", "Bring the database to the schema of this program.", "migrate", "migrate"),
    Listed("demo", "Show the whole way on synthetic studies or on images of your own.", "demo", "demo"),
    Noun("samples", "Draw pictures to train and to try with, where no real ones may be had.", (
        Listed("mosaics", "Draw confocal mosaics of naevi, melanomas and basal cell carcinomas.", "samples", "mosaics"),
        Listed("dermatoses", "Draw pictures of nine skin diseases, those of the fourteen of which no real image may be had here.", "samples", "dermatoses"),
    )),
    Listed("wrap", "Wrap photographs into DICOM instances.", "wrap", "wrap"),
)

_MARKUP: Final = "markdown"
_EXIT_STATUSES = "Exit status:\n\n" + "\n".join(f"    {code.value}  {code.sentence}" for code in ExitCode)
_EXAMPLES = """Examples:

    derm-pacs check --config /etc/derm-pacs/derm-pacs.toml
    derm-pacs cases list --state held
    derm-pacs cases show 17 --json

"""


def function(listed: Listed) -> Any:
    """Load the function of a command."""
    return getattr(importlib.import_module(f"derm_pacs.cli.{listed.module}"), listed.function)


def help_and_examples(listed: Listed) -> tuple[str, str]:
    """Return the help of a command and the examples that end it."""
    text, _, examples = (inspect.getdoc(function(listed)) or "").partition("\nExamples:\n")
    lines = textwrap.indent(textwrap.dedent(examples).strip(), "    ")
    return text.strip(), f"Examples:\n\n{lines}" if examples else ""


def command(listed: Listed) -> TyperCommand:
    """Load the function of a command and return it as Typer's command."""
    app = typer.Typer(add_completion=False, rich_markup_mode=_MARKUP)
    text, examples = help_and_examples(listed)
    # the first line counts for no margin: behind an empty one the examples keep theirs, and with it their lines
    app.command(listed.name, help=text, epilog=f"\n{examples}")(function(listed))
    built = typer.main.get_command(app)
    assert isinstance(built, TyperCommand)  # noqa: S101 - an app of one command
    return built


class _Unloaded(TyperCommand):
    """Stands in the help of its group with its sentence; the command itself is loaded when it is run."""

    def __init__(self, listed: Listed) -> None:
        super().__init__(listed.name, help=listed.sentence)
        self._listed = listed

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Hand over to the loaded command."""
        return command(self._listed).make_context(info_name, args, parent, **extra)


def _print_version(asked: bool) -> None:
    if asked:
        print(version("derm-pacs"))
        raise typer.Exit


def _top(
    _version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Take dermoscopy and confocal studies from a PACS, run the bundles on them, put SR and SEG back.

    For research use; not for primary diagnosis.
    """


def program() -> TyperGroup:
    """Return the whole program, no command of it loaded."""
    app = typer.Typer(name="derm-pacs", add_completion=False, rich_markup_mode=_MARKUP, no_args_is_help=True)
    app.callback(epilog=_EXAMPLES + _EXIT_STATUSES)(_top)
    top = typer.main.get_group(app)
    for entry in COMMANDS:
        match entry:
            case Listed():
                top.add_command(_Unloaded(entry))
            case Noun():
                group = TyperGroup(name=entry.name, help=entry.sentence, no_args_is_help=True, rich_markup_mode=_MARKUP)
                for listed in entry.commands:
                    group.add_command(_Unloaded(listed))
                top.add_command(group)
    return top


def exit_code(error: Exception) -> ExitCode:
    """Return the exit status of a command that ended with this error."""
    match error:
        case CommandError():
            return error.code
        case SettingsError():
            return ExitCode.SETTINGS
        case Transient() | Busy():
            return ExitCode.UNAVAILABLE
        case Rejected():
            return ExitCode.NOT_FOUND if error.reason is BUNDLE_UNKNOWN else ExitCode.REFUSED
        case _:
            return ExitCode.FAILED


def run(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name and return its exit status; what is wrong goes to stderr."""
    try:
        program().main(args=list(arguments), prog_name="derm-pacs")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else ExitCode.FAILED
    except (CommandError, SettingsError) as error:
        print(error, file=sys.stderr)
        return exit_code(error)
    except WalkError as error:
        print(f"{error}; {error.reason.remedy}", file=sys.stderr)
        return exit_code(error)
    return ExitCode.OK


def main() -> None:
    """Run `derm-pacs` as a program."""
    sys.exit(run(sys.argv[1:]))

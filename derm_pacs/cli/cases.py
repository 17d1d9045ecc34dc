"""`derm-pacs cases list|show`: looking at cases."""

from typing import Annotated

import typer

from derm_pacs.cli.exit_codes import CommandError, ExitCode
from derm_pacs.cli.opening import opened
from derm_pacs.cli.options import DEFAULT_CONFIG, CaseKey, Config, Json
from derm_pacs.cli.print.cases import print_lines, print_story
from derm_pacs.domain.case import State
from derm_pacs.ledger import reading

OfState = Annotated[State | None, typer.Option("--state", help="Only cases in this state.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="At most so many cases.")]


def list_cases(config: Config = DEFAULT_CONFIG, state: OfState = None, limit: Limit = 50, as_json: Json = False) -> None:
    """List the cases, the last changed first.

    Examples:
        derm-pacs cases list
        derm-pacs cases list --state held --json
    """
    with opened(config) as here:
        lines = here.database.transaction(lambda tx: reading.cases(tx, state=state, limit=limit))
        print_lines(lines, here.settings.zone, as_json=as_json)


def show(case: CaseKey, config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Show one case with its whole story.

    Its revisions with each step, its reason and remedy; what the bundles found against which threshold; the UIDs of
    the results; how each delivery stands. Patient data is never shown.

    Examples:
        derm-pacs cases show 17
        derm-pacs cases show 1.2.826.0.1.3680043.8.498.1 --json
    """
    with opened(config) as here:
        case_id = here.database.transaction(lambda tx: reading.case_id_of(tx, case))
        if case_id is None:
            raise no_such_case(case)
        story = here.database.transaction(lambda tx: reading.story(tx, case_id))
        print_story(story, here.settings.zone, as_json=as_json)


def no_such_case(key: str) -> CommandError:
    """Return the error that says that the ledger has no such case."""
    return CommandError(ExitCode.NOT_FOUND, f"there is no case {key!r}", "see: derm-pacs cases list")

"""`derm-pacs serve`: run the service, or one of its processes."""

from typing import Annotated

import typer

from derm_pacs.cli.exit_codes import CommandError, ExitCode
from derm_pacs.cli.options import DEFAULT_CONFIG, Config
from derm_pacs.operations.processes import Kind, run_only
from derm_pacs.settings.read import read

Only = Annotated[Kind | None, typer.Option("--only", help="Run this one process of the service, for a unit or container of its own.")]
Index = Annotated[int, typer.Option("--index", min=0, help="Number of the process among those of its kind.")]


def serve(config: Config = DEFAULT_CONFIG, only: Only = None, index: Index = 0) -> None:
    """Run the service until it is told to stop (SIGTERM): listener, filing, workers, clock, embedded database.

    Without --only it starts all of them and brings back what ends. Its log is JSON lines on standard error.

    Examples:

        derm-pacs serve --config /etc/derm-pacs/derm-pacs.toml
        derm-pacs serve --only worker --index 1
    """
    settings = read(config)
    if only is not None:
        run_only(settings, only, index)
        return
    # Imported here: a single process loads only what it needs.
    from derm_pacs.ledger.migrate import SchemaError
    from derm_pacs.operations.supervise import serve as supervise

    try:
        supervise(settings, config.resolve())
    except SchemaError as error:
        raise CommandError(ExitCode.REFUSED, "the service was not started", str(error)) from error

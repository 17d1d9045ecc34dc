"""`derm-pacs check`: whether this installation can work."""

from collections.abc import Iterator
from pathlib import Path

import typer

from derm_pacs.cli import checks
from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.cli.options import DEFAULT_CONFIG, Config, Json
from derm_pacs.cli.peers import echo_peer
from derm_pacs.cli.print.checks import Checked, print_checks
from derm_pacs.cli.print.settings import print_settings
from derm_pacs.cli.print.terminal import print_json, stdout
from derm_pacs.settings.model import Settings
from derm_pacs.settings.read import read


def check(config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Print the settings as understood, then try everything that they name.

    Secrets are masked. Tried are the database, the disk against the reserve, the bundles' files, and a C-ECHO of each
    peer that listens. The exit status is 1 when something fails; each failure comes with its remedy.

    Examples:
        derm-pacs check --config /etc/derm-pacs/derm-pacs.toml
        derm-pacs check --json
    """
    settings = read(config)
    if not as_json:
        print_settings(settings, stdout())
        print()
    checked = list(_tried(settings, config))
    if as_json:
        print_json({"settings": settings.masked(), "checked": checked, "ok": all(one.ok for one in checked)})
    else:
        print_checks(checked, as_json=False)
    if not all(one.ok for one in checked):
        raise typer.Exit(ExitCode.FAILED)


def _tried(settings: Settings, config: Path) -> Iterator[Checked]:
    yield Checked(what=f"settings {config}", ok=True, says="understood")
    database = checks.database(settings)
    yield database
    yield checks.disk(settings)
    if database.ok and checks.ledger_is_there(settings):
        yield from checks.bundles(settings)
    yield from (echo_peer(settings, one) for one in settings.peers if one.listens)

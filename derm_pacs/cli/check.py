"""`derm-pacs check`: whether this installation can work."""

from collections.abc import Iterator
from pathlib import Path

import typer

from derm_pacs.cli import checks
from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.cli.options import DEFAULT_CONFIG, Config, Json
from derm_pacs.cli.peers import AnyPeer, checked_destinations, probe, reached
from derm_pacs.cli.print.checks import Checked, print_checks
from derm_pacs.cli.print.settings import print_settings
from derm_pacs.cli.print.terminal import print_json, stdout
from derm_pacs.settings.model import Settings
from derm_pacs.settings.peers import Peer
from derm_pacs.settings.read import read


def check(config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Print the settings as understood, then try everything that they name.

    Secrets are masked. Tried are the database, the disk against the reserve, the bundles' files, and each peer that
    listens: whether it answers, and what of the wanted results its destinations would not get. The exit status is 1
    when something fails; each failure comes with its remedy.

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
    for peer in settings.every_peer:
        if not isinstance(peer, Peer) or peer.listens:
            yield from _peer(settings, peer)


def _peer(settings: Settings, peer: AnyPeer) -> Iterator[Checked]:
    if not any(one.peer == peer.name for one in settings.destinations):
        yield reached(settings, peer)
        return
    probed = probe(settings, peer)
    yield probed.asked[0]
    yield from (one for one in probed.asked[1:] if not one.ok and probed.asked[0].ok)
    yield from checked_destinations(probed)

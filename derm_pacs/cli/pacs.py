"""`derm-pacs pacs echo`: whether the peers answer."""

from typing import Annotated

import typer

from derm_pacs.cli.exit_codes import CommandError, ExitCode
from derm_pacs.cli.options import DEFAULT_CONFIG, Config, Json
from derm_pacs.cli.peers import reached
from derm_pacs.cli.print.checks import print_checks
from derm_pacs.settings.model import Settings
from derm_pacs.settings.peers import Peer
from derm_pacs.settings.read import read

Name = Annotated[str | None, typer.Argument(metavar="[NAME]", help="Name of a peer of the settings; without it, all that listen.")]


def echo(name: Name = None, *, config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Send a C-ECHO to one peer or to all.

    Examples:
        derm-pacs pacs echo
        derm-pacs pacs echo pacs
    """
    settings = read(config)
    checked = [reached(settings, peer) for peer in _peers(settings, name)]
    print_checks(checked, as_json=as_json)
    if not all(one.ok for one in checked):
        raise typer.Exit(ExitCode.UNAVAILABLE)


def _peers(settings: Settings, name: str | None) -> list[Peer]:
    if name is None:
        return [one for one in settings.peers if one.listens]
    try:
        peer = settings.peer(name)
    except KeyError as error:
        raise CommandError(ExitCode.NOT_FOUND, str(error.args[0]), "see: derm-pacs check") from error
    if not isinstance(peer, Peer) or not peer.listens:
        wrong = f"the peer {name!r} has no host and port in the settings"
        raise CommandError(ExitCode.REFUSED, wrong, "give it both if it accepts associations")
    return [peer]

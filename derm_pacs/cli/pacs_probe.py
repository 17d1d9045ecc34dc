"""`derm-pacs pacs probe`: what a peer takes, and what each destination on it would get."""

from typing import Annotated

import typer

from derm_pacs.cli.exit_codes import CommandError, ExitCode
from derm_pacs.cli.options import DEFAULT_CONFIG, Config, Json
from derm_pacs.cli.peers import AnyPeer
from derm_pacs.cli.peers import probe as probe_peer
from derm_pacs.cli.print.probe import print_probed
from derm_pacs.cli.print.terminal import print_json
from derm_pacs.settings.model import Settings
from derm_pacs.settings.peers import Peer
from derm_pacs.settings.read import read

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a peer of the settings, of whatever kind, or an AE title.")]


def probe(name: Name, *, config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Ask a peer what it takes, and say what each destination on it would get.

    A DICOM peer is asked by a C-ECHO and by negotiation: which of our SOP classes and transfer syntaxes, storage
    commitment, C-FIND. A web peer is asked by a search that finds nobody, with our credentials. To a record peer a
    connection is opened. No object, message or patient's data is sent.

    Examples:
        derm-pacs pacs probe pacs
        derm-pacs pacs probe ORTHANC --json
    """
    settings = read(config)
    probed = probe_peer(settings, _peer(settings, name))
    if as_json:
        print_json(probed)
    else:
        print_probed(probed)
    if not probed.asked[0].ok:
        raise typer.Exit(ExitCode.UNAVAILABLE)
    if not all(one.ok for one in probed.asked) or not all(one.gets for one in probed.destinations):
        raise typer.Exit(ExitCode.FAILED)


def _peer(settings: Settings, name: str) -> AnyPeer:
    by_title = {one.ae_title: one for one in settings.peers}
    try:
        peer = settings.peer(name)
    except KeyError as error:
        if name not in by_title:
            raise CommandError(ExitCode.NOT_FOUND, str(error.args[0]), "see: derm-pacs check") from error
        peer = by_title[name]
    if isinstance(peer, Peer) and not peer.listens:
        wrong = f"the peer {peer.name!r} has no host and port in the settings"
        raise CommandError(ExitCode.REFUSED, wrong, "give it both if it accepts associations")
    return peer

"""Asking a peer of the settings by C-ECHO, as `check` and `pacs echo` do."""

from derm_pacs.cli.print.checks import Checked
from derm_pacs.delivery.echo import echo
from derm_pacs.delivery.interface import Destination
from derm_pacs.domain.errors import WalkError
from derm_pacs.settings.model import Settings
from derm_pacs.settings.peers import Peer


def echo_peer(settings: Settings, peer: Peer) -> Checked:
    """Say whether a peer that listens answers a C-ECHO of ours."""
    what = f"peer {peer.name} ({peer.ae_title} at {peer.host}:{peer.port})"
    calling = settings.listener.ae_title
    destination = Destination(name=peer.name, ae_title=peer.ae_title, host=peer.host, port=peer.port, calling_ae=calling, connect_seconds=5, answer_seconds=10)
    try:
        echo(destination)
    except WalkError as error:
        return Checked(what=what, ok=False, says=str(error), remedy=error.reason.remedy)
    return Checked(what=what, ok=True, says=f"answers C-ECHO of {calling}")

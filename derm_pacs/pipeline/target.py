"""The peers of the settings as the transports see them; a secret is read when it is used."""

from collections.abc import Callable

from derm_pacs.delivery.interface import (
    Basic,
    ClientCredentials,
    Destination,
    RecordDestination,
    Target,
    WebDestination,
)
from derm_pacs.domain.errors import Transient
from derm_pacs.domain.reasons import SECRET_UNREADABLE
from derm_pacs.settings.model import Settings
from derm_pacs.settings.peers import Peer, RecordPeer, WebAuth, WebPeer
from derm_pacs.settings.secrets import SecretError


def target(settings: Settings, name: str) -> Target:
    """Return the address of a destination of the settings; raises `KeyError` where it has gone from them."""
    peer = settings.peer(settings.destination(name).peer)
    match peer:
        case Peer():
            return dicom_target(settings, peer, name)
        case WebPeer():
            return web_target(peer, name)
        case RecordPeer():
            return record_target(peer, name)


def dicom_target(settings: Settings, peer: Peer, name: str) -> Destination:
    """Return a DICOM peer's address under a destination's name."""
    return Destination(
        name=name, ae_title=peer.ae_title, host=peer.host, port=peer.port, calling_ae=settings.listener.ae_title,
    )


def web_target(peer: WebPeer, name: str) -> WebDestination:
    """Return a web peer's address under a destination's name."""
    return WebDestination(name=name, url=peer.url, ca_file=peer.ca_file, access=_access(peer))


def record_target(peer: RecordPeer, name: str) -> RecordDestination:
    """Return a record peer's address under a destination's name."""
    return RecordDestination(
        name=name, host=peer.host, port=peer.port, application=peer.application, facility=peer.facility or "",
        tls=peer.tls, ca_file=peer.ca_file,
    )


def _access(peer: WebPeer) -> Basic | ClientCredentials | None:
    match peer.auth:
        case WebAuth.NONE:
            return None
        case WebAuth.BASIC:
            return Basic(user=peer.user or "", secret=_reads(peer))
        case WebAuth.OAUTH2:
            return ClientCredentials(
                client_id=peer.user or "", secret=_reads(peer), token_url=peer.token_url or "", scope=peer.scope,
            )


def _reads(peer: WebPeer) -> Callable[[], str]:
    def secret() -> str:
        try:
            return peer.secret() or ""
        except SecretError as error:
            raise Transient(SECRET_UNREADABLE, f"{peer.name}: {error}") from error

    return secret

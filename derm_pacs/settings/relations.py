"""What the parts of the settings say of one another: names that must exist, be single, and make sense together."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pydantic_core import PydanticCustomError

from derm_pacs.domain.composed import Form
from derm_pacs.settings.peers import Peer, RecordPeer, WebPeer

if TYPE_CHECKING:
    from derm_pacs.settings.model import RouteSettings, Settings


def check(settings: "Settings") -> None:
    """Raise `PydanticCustomError` of type `relation` for the first disagreement; it names table, entry and key."""
    _names_of_peers(settings)
    _single("peers", "ae_title", [one.ae_title for one in settings.peers])
    _single("destinations", "name", [one.name for one in settings.destinations])
    _single("routes", "name", [one.name for one in settings.routes])
    _peers(settings)
    _destinations(settings)
    _routes(settings)


def _refuse(table: str, number: int, key: str, wrong: str, remedy: str) -> PydanticCustomError:
    return PydanticCustomError(
        "relation", "{wrong}; {remedy}",
        {"table": table, "number": number, "key": key, "wrong": wrong, "remedy": remedy},
    )


def _single(table: str, key: str, values: Sequence[str]) -> None:
    for number, value in enumerate(values):
        first = values.index(value)
        if first != number:
            raise _refuse(table, number, key, f"{value!r} stands already in entry {first + 1}", "give each entry its own")


def _names_of_peers(settings: "Settings") -> None:
    named: dict[str, str] = {}
    variables: dict[str, str] = {}
    tables: dict[str, Sequence[Peer | WebPeer | RecordPeer]] = {
        "peers": settings.peers, "web_peers": settings.web_peers, "record_peers": settings.record_peers,
    }
    for table, peers in tables.items():
        _single(table, "name", [one.name for one in peers])
        for number, peer in enumerate(peers):
            first = named.setdefault(peer.name, table)
            if first != table:
                raise _refuse(table, number, "name", f"{peer.name!r} stands already in [[{first}]]", "give each entry its own")
    for number, peer in enumerate(settings.web_peers):
        other = variables.setdefault(peer.secret_variable, peer.name)
        if other != peer.name:
            raise _refuse(
                "web_peers", number, "name", f"{peer.name!r} and {other!r} would have their secret in the same variable {peer.secret_variable}",
                "rename one of the two",
            )


def _known(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _peers(settings: "Settings") -> None:
    for number, peer in enumerate(settings.peers):
        if peer.ae_title == settings.listener.ae_title:
            raise _refuse(
                "peers", number, "ae_title", f"{peer.ae_title!r} is our own AE title (listener.ae_title)",
                "every application has an AE title of its own; change one of the two",
            )


def _destinations(settings: "Settings") -> None:
    peers = {one.name: one for one in settings.every_peer}
    for number, destination in enumerate(settings.destinations):
        peer = peers.get(destination.peer)
        if peer is None:
            raise _refuse(
                "destinations", number, "peer", f"no peer is named {destination.peer!r}",
                f"add a [[peers]] entry of that name or write one of: {_known(peers)}",
            )
        if isinstance(peer, Peer) and not peer.listens:
            raise _refuse(
                "destinations", number, "peer", f"the peer {peer.name!r} has no host and port",
                "give its [[peers]] entry host and port, so that results can be sent to it",
            )
        if isinstance(peer, RecordPeer) and Form.MESSAGE not in destination.results:
            raise _refuse(
                "destinations", number, "results", f"the record peer {peer.name!r} takes messages and nothing else",
                'write results = ["message"]',
            )
        if not isinstance(peer, RecordPeer) and Form.MESSAGE in destination.results:
            raise _refuse(
                "destinations", number, "results", f"{peer.name!r} is a PACS and takes no messages",
                "name a peer of [[record_peers]], or take \"message\" out",
            )


def _routes(settings: "Settings") -> None:
    destinations = {one.name for one in settings.destinations}
    for number, route in enumerate(settings.routes):
        for name in route.destinations:
            if name not in destinations:
                raise _refuse(
                    "routes", number, "destinations", f"no destination is named {name!r}",
                    f"add a [[destinations]] entry of that name or write one of: {_known(destinations)}",
                )
        _crops(number, route)
        for earlier in settings.routes[:number]:
            if _covers(earlier, route):
                raise _refuse(
                    "routes", number, "name", f"the route {route.name!r} is never reached: {earlier.name!r} takes all its images",
                    "put the narrower route first, or take one of the two out",
                )


def _crops(number: int, route: "RouteSettings") -> None:
    for reader, finder in route.reads_crops_of.items():
        for name in (reader, finder):
            if name not in route.bundles:
                raise _refuse(
                    "routes", number, "reads_crops_of", f"{name!r} is no bundle of the route {route.name!r}",
                    f"add it to bundles or write one of: {_known(route.bundles)}",
                )
        if route.bundles.index(finder) >= route.bundles.index(reader):
            raise _refuse(
                "routes", number, "reads_crops_of", f"{reader!r} reads crops of {finder!r}, which does not run before it",
                f"put {finder!r} before {reader!r} in bundles",
            )
        if finder in route.reads_crops_of:
            raise _refuse(
                "routes", number, "reads_crops_of", f"{finder!r} itself reads crops, so it finds none in the image",
                "let it read the whole image",
            )


def _covers(earlier: "RouteSettings", later: "RouteSettings") -> bool:
    classes = not earlier.sop_classes or (bool(later.sop_classes) and set(later.sop_classes) <= set(earlier.sop_classes))
    modalities = not earlier.modalities or (bool(later.modalities) and set(later.modalities) <= set(earlier.modalities))
    return classes and modalities

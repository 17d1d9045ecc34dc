"""STOW-RS as user: the objects of one delivery in a few requests (PS3.18 section 10.5).

The answer is read per object. An object that is refused keeps none of the others back: where a request is refused as
a whole, each of its objects goes again alone.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from derm_pacs.delivery import dicom_json, web
from derm_pacs.delivery.interface import WebDestination
from derm_pacs.domain.composed import Composed
from derm_pacs.domain.errors import Busy, Rejected
from derm_pacs.domain.reasons import NO_CONTEXT, OBJECT_REFUSED, PEER_BUSY

OnStored = Callable[[str, int], None]

MOST_OBJECTS = 16
MOST_BYTES = 32_000_000
"""A request holds that many objects and bytes at most; a larger object goes alone."""
_BLOCK = 65536

_REFERENCED_SEQUENCE, _FAILED_SEQUENCE = "00081199", "00081198"
_INSTANCE, _WARNING_REASON, _FAILURE_REASON = "00081155", "00081196", "00081197"

_STORED = 0x0000
_DUPLICATE = 0x0111
"""The service has an object of this SOP Instance UID: ours, since a UID of ours never stands for two byte strings."""
_AGAIN = frozenset({0x0110, 0x0213})
"""Processing failure and resource limitation: nothing is said against the object."""
_KIND = frozenset({0x0122, 0xC122})
"""SOP class, transfer syntax not supported (PS3.18 table 10.5.3-2)."""


def send(destination: WebDestination, objects: Sequence[Composed], on_stored: OnStored) -> None:
    """Send the objects in their order; `on_stored(sop_instance_uid, status)` is called for each that the service has.

    `status` is 0x0000, the warning reason, or 0x0111 for one that it had. Raises `Transient` (PEER_AWAY) or `Busy`
    (PEER_BUSY) at the first request that found the service away or out of resources; what was reported by then is
    stored. Raises `Rejected` (NO_CONTEXT, OBJECT_REFUSED) after all objects were tried, naming those that were
    refused, and otherwise as `web.opened` and `web.refusal`.
    """
    if not objects:
        return
    refused: list[_Refused] = []
    with web.opened(destination) as service:
        for group in _groups(objects):
            refused += _send_group(service, group, on_stored)
    _require_none(destination, refused)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refused:
    one: Composed
    status: str
    kind: bool
    """Whether it is the kind of object that is not taken."""


def _require_none(destination: WebDestination, refused: Sequence[_Refused]) -> None:
    said = ", ".join(f"{each.one.form} {each.one.sop_instance_uid} with {each.status}" for each in refused)
    if not all(each.kind for each in refused):
        raise Rejected(OBJECT_REFUSED, f"{web.where(destination)}: {said}")
    if refused:
        raise Rejected(NO_CONTEXT, f"{web.where(destination)}: {said}")


def _groups(objects: Sequence[Composed]) -> Iterator[list[Composed]]:
    group: list[Composed] = []
    for one in objects:
        if group and (len(group) == MOST_OBJECTS or sum(len(other.data) for other in group) + len(one.data) > MOST_BYTES):
            yield group
            group = []
        group.append(one)
    yield group


def _send_group(service: web.Web, group: Sequence[Composed], on_stored: OnStored) -> list[_Refused]:
    """Send a group, report what is stored, and return what is refused."""
    answer = _post(service, group)
    outcome = _outcome(answer, group)
    if outcome is None:
        error = web.refusal(service.destination, answer.status, ", ".join(one.form for one in group))
        unclear = answer.status in (HTTPStatus.ACCEPTED, HTTPStatus.CONFLICT)
        if not unclear and not (isinstance(error, Rejected) and error.reason is OBJECT_REFUSED):
            raise error
        if len(group) == 1:
            return [_Refused(one=group[0], status=f"HTTP status {answer.status}", kind=False)]
        return [each for one in group for each in _send_group(service, [one], on_stored)]
    refused = []
    again: list[str] = []
    for one in group:
        status = outcome[one.sop_instance_uid]
        if status in (_STORED, _DUPLICATE) or status & 0xF000 == 0xB000:
            on_stored(one.sop_instance_uid, status)
        elif status in _AGAIN or status & 0xFF00 == 0xA700:
            again.append(f"status 0x{status:04X} for {one.form}")
        else:
            refused.append(_Refused(one=one, status=f"status 0x{status:04X}", kind=status in _KIND))
    if again:
        raise Busy(PEER_BUSY, f"{web.where(service.destination)}: {', '.join(again)}")
    return refused


def _post(service: web.Web, group: Sequence[Composed]) -> web.Answer:
    boundary = secrets.token_hex(16)
    return service.ask(
        "POST", "/studies", seconds=service.destination.store_seconds, body=_Multipart(boundary=boundary, parts=[one.data for one in group]),
        headers={"Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}'},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Multipart:
    """A body of known length that is handed out in blocks, without a copy of the objects."""

    boundary: str
    parts: Sequence[bytes] = field(repr=False)

    def __len__(self) -> int:
        return sum(len(block) for block in self)

    def __iter__(self) -> Iterator[bytes | memoryview]:
        for part in self.parts:
            yield f"--{self.boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
            whole = memoryview(part)
            yield from (whole[start : start + _BLOCK] for start in range(0, len(whole), _BLOCK))
            yield b"\r\n"
        yield f"--{self.boundary}--\r\n".encode()


def _outcome(answer: web.Answer, group: Sequence[Composed]) -> Mapping[str, int] | None:
    """Return the status of each object, None where the answer does not say it.

    200 says that all are stored, 202 that some are or were coerced, 409 that none is (PS3.18 table 10.5.3-1); which and
    why stands in the body.
    """
    if answer.status not in (HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.CONFLICT):
        return None
    told = _told(answer)
    if answer.status == HTTPStatus.OK:
        return {one.sop_instance_uid: told.get(one.sop_instance_uid, _STORED) for one in group}
    if all(one.sop_instance_uid in told for one in group):
        return told
    return None


def _told(answer: web.Answer) -> Mapping[str, int]:
    told: dict[str, int] = {}
    for dataset in dicom_json.datasets(answer.body) or []:
        for item in dicom_json.items(dataset, _REFERENCED_SEQUENCE):
            told[dicom_json.text(item, _INSTANCE)] = dicom_json.number(item, _WARNING_REASON) or _STORED
        for item in dicom_json.items(dataset, _FAILED_SEQUENCE):
            told[dicom_json.text(item, _INSTANCE)] = dicom_json.number(item, _FAILURE_REASON) or 0x0110
    return told

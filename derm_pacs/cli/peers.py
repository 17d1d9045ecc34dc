"""Asking a peer of the settings what it takes and offers, as `check`, `pacs echo` and `pacs probe` do; nothing is sent."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydicom.uid import UID

from derm_pacs.cli.print.checks import Checked
from derm_pacs.delivery import mllp, web_query
from derm_pacs.delivery.commitment import COMMITMENT_PUSH_MODEL
from derm_pacs.delivery.echo import echo
from derm_pacs.delivery.interface import Destination, RecordDestination, WebDestination
from derm_pacs.delivery.negotiate import accepted
from derm_pacs.delivery.query import STUDY_ROOT_FIND
from derm_pacs.domain.composed import Form
from derm_pacs.domain.edition import (
    COMPREHENSIVE_3D_SR,
    LABEL_MAP_SEGMENTATION,
    Accepted,
    Edition,
    SegKind,
    SrClass,
    agree,
    candidates,
)
from derm_pacs.domain.errors import WalkError
from derm_pacs.domain.reasons import NO_COMMITMENT, NO_CONTEXT
from derm_pacs.pipeline.target import dicom_target, record_target, web_target
from derm_pacs.settings.model import DestinationSettings, ProofBy, Settings
from derm_pacs.settings.peers import Peer, RecordPeer, WebAuth, WebPeer

AnyPeer = Peer | WebPeer | RecordPeer

_CONNECT_SECONDS, _ANSWER_SECONDS = 5.0, 10.0
_EVERY_FORM = frozenset(Form) - {Form.MESSAGE}
_OFFERS: dict[str, tuple[str, ...]] = {str(COMMITMENT_PUSH_MODEL): ("1.2.840.10008.1.2",), str(STUDY_ROOT_FIND): ("1.2.840.10008.1.2",)}
"""What is asked for beside storage: storage commitment and C-FIND, in the default transfer syntax."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One of our SOP classes at a peer."""

    sop_class_uid: str
    name: str
    transfer_syntaxes: tuple[str, ...]
    """Names of those of ours that it takes; empty: it does not take the class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A form that a destination wants and does not get."""

    form: Form
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gets:
    """What one destination of the settings would get now."""

    destination: str
    wants: tuple[Form, ...]
    gets: tuple[Form, ...]
    """Empty: its deliveries would be refused."""
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    """What else is otherwise than the settings say, in sentences."""
    proof: str
    """How it would be shown that the destination has the objects, in words."""
    provable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What was found out about a peer."""

    peer: str
    address: str
    asked: tuple[Checked, ...]
    takes: tuple[Taken, ...]
    """Our SOP classes; empty where the peer cannot be asked for them."""
    offers_commitment: bool | None
    """None where it was not asked."""
    offers_query: bool | None
    destinations: tuple[Gets, ...]


def address(peer: AnyPeer) -> str:
    """Name a peer by where it is."""
    match peer:
        case Peer():
            return f"{peer.ae_title} at {peer.host}:{peer.port}"
        case WebPeer():
            return peer.url
        case RecordPeer():
            return f"{peer.host}:{peer.port}"


def reached(settings: Settings, peer: AnyPeer) -> Checked:
    """Say whether a peer answers: a C-ECHO, a search of DICOMweb that finds nobody, or a connection for HL7."""
    what = f"peer {peer.name} ({address(peer)})"
    try:
        match peer:
            case Peer():
                echo(_dicom(settings, peer))
                says = f"answers C-ECHO of {settings.listener.ae_title}"
            case WebPeer():
                web_query.require_query(_web(peer))
                says = f"answers QIDO-RS{'' if peer.auth is WebAuth.NONE else ' to our credentials'}"
            case RecordPeer():
                mllp.reach(_record(peer))
                says = "takes the connection; no message was sent"
    except WalkError as error:
        return Checked(what=what, ok=False, says=str(error), remedy=error.reason.remedy)
    return Checked(what=what, ok=True, says=says)


def probe(settings: Settings, peer: AnyPeer) -> Probed:
    """Find out what a peer takes and offers, and what each destination on it would get."""
    first = reached(settings, peer)
    destinations = [one for one in settings.destinations if one.peer == peer.name]
    if isinstance(peer, Peer):
        return _probe_dicom(settings, peer, first, destinations)
    return Probed(
        peer=peer.name, address=address(peer), asked=(first,), takes=(), offers_commitment=None,
        offers_query=first.ok if isinstance(peer, WebPeer) else None,
        destinations=tuple(_unasked(one, peer) for one in destinations) if first.ok else (),
    )


def _dicom(settings: Settings, peer: Peer) -> Destination:
    target = dicom_target(settings, peer, peer.name)
    return replace(target, connect_seconds=_CONNECT_SECONDS, answer_seconds=_ANSWER_SECONDS)


def _web(peer: WebPeer) -> WebDestination:
    return replace(web_target(peer, peer.name), connect_seconds=_CONNECT_SECONDS, answer_seconds=_ANSWER_SECONDS)


def _record(peer: RecordPeer) -> RecordDestination:
    return replace(record_target(peer, peer.name), connect_seconds=_CONNECT_SECONDS, answer_seconds=_ANSWER_SECONDS)


def _probe_dicom(settings: Settings, peer: Peer, first: Checked, destinations: Sequence[DestinationSettings]) -> Probed:
    ours = dict(candidates(Edition(forms=_EVERY_FORM, seg=SegKind.LABELMAP)))
    what = f"negotiation with {peer.name}"
    try:
        found = accepted(_dicom(settings, peer), ours | _OFFERS)
    except WalkError as error:
        failed = Checked(what=what, ok=False, says=str(error), remedy=error.reason.remedy)
        return Probed(
            peer=peer.name, address=address(peer), asked=(first, failed), takes=(), offers_commitment=None, offers_query=None,
            destinations=(),
        )
    takes = tuple(
        Taken(sop_class_uid=uid, name=_name(uid), transfer_syntaxes=tuple(UID(one).name for one in syntaxes if one in found.get(uid, ())))
        for uid, syntaxes in ours.items()
    )
    number = sum(bool(one.transfer_syntaxes) for one in takes)
    answered = Checked(what=what, ok=number > 0, says=f"takes {number} of our {len(takes)} SOP classes", remedy="" if number else NO_CONTEXT.remedy)
    commitment, query = str(COMMITMENT_PUSH_MODEL) in found, str(STUDY_ROOT_FIND) in found
    return Probed(
        peer=peer.name, address=address(peer), asked=(first, answered), takes=takes, offers_commitment=commitment, offers_query=query,
        destinations=tuple(_gets(one, found, commitment=commitment, query=query) for one in destinations),
    )


def _gets(destination: DestinationSettings, found: Accepted, *, commitment: bool, query: bool) -> Gets:
    wanted = destination.edition()
    said = agree(wanted, found)
    proof, provable = _proof(destination.proof, commitment=commitment, query=query)
    return Gets(
        destination=destination.name, wants=_ordered(wanted.forms), gets=_ordered(said.edition.forms) if said.edition else (),
        left_out=tuple(LeftOut(form=one, why=_why(one, wanted)) for one in said.left_out),
        notes=_notes(wanted, said.edition), proof=proof, provable=provable,
    )


def _unasked(destination: DestinationSettings, peer: WebPeer | RecordPeer) -> Gets:
    wants = _ordered(destination.edition().forms)
    if isinstance(peer, RecordPeer):
        notes: tuple[str, ...] = ()
        proof, provable = "the acknowledgement of each message", True
    else:
        notes = ("DICOMweb has no way to ask what a peer takes: what it refuses is told by the delivery.",)
        proof, provable = _proof(destination.proof, commitment=False, query=True)
    return Gets(destination=destination.name, wants=wants, gets=wants, left_out=(), notes=notes, proof=proof, provable=provable)


def _name(sop_class_uid: str) -> str:
    # pydicom 3.0 does not know the newest of them.
    return "Label Map Segmentation Storage" if sop_class_uid == LABEL_MAP_SEGMENTATION else UID(sop_class_uid).name


def _ordered(forms: frozenset[Form]) -> tuple[Form, ...]:
    return tuple(one for one in Form if one in forms)


def _why(form: Form, wanted: Edition) -> str:
    """Say what the peer would have to accept for a form to go there."""
    classes = [wanted.sop_class(form)]
    if classes[0] == COMPREHENSIVE_3D_SR:
        classes.append(replace(wanted, sr=SrClass.COMPREHENSIVE).sop_class(form))
    if classes[0] == LABEL_MAP_SEGMENTATION:
        classes.append(replace(wanted, seg=SegKind.BINARY).sop_class(form))
    return "the peer accepts no " + " and no ".join(f"{_name(one)} ({one})" for one in classes)


def _notes(wanted: Edition, edition: Edition | None) -> tuple[str, ...]:
    if edition is None:
        return ("Nothing that says the whole result is left: deliveries are refused and their cases held.",)
    notes = []
    if edition.sr is not wanted.sr:
        notes.append("The SRs go as Comprehensive SR: the peer accepts no Comprehensive 3D SR.")
    if edition.seg is not wanted.seg:
        notes.append("Masks go as binary segmentations: the peer accepts no label maps.")
    if Form.PICTURE in edition.forms - wanted.forms:
        notes.append("The picture goes in place of what is left out.")
    if edition.rle:
        notes.append(f"Compressed (RLE) where that is smaller: {', '.join(_ordered(edition.rle))}.")
    return tuple(notes)


def _proof(wanted: ProofBy, *, commitment: bool, query: bool) -> tuple[str, bool]:
    """Say how the objects' arrival is shown, and whether it is."""
    match wanted:
        case ProofBy.NONE:
            return "none, by the settings; cases end unconfirmed", False
        case ProofBy.COMMITMENT if commitment:
            return "storage commitment", True
        case ProofBy.COMMITMENT | ProofBy.QUERY if query:
            why = ", as the peer offers no storage commitment" if wanted is ProofBy.COMMITMENT else ""
            return f"a query for the objects{why}", True
        case ProofBy.COMMITMENT:
            return f"none: the peer offers neither storage commitment nor a query; {NO_COMMITMENT.remedy}", False
        case _:
            return "none: the peer offers no query; cases end unconfirmed", False


def checked_destinations(probed: Probed) -> Sequence[Checked]:
    """Return a line a destination, with a note where something falls away."""
    return [_checked(one, probed.peer) for one in probed.destinations]


def _checked(one: Gets, peer: str) -> Checked:
    what = f"destination {one.destination} on {peer}"
    left = "; ".join(f"left out {each.form}: {each.why}" for each in one.left_out)
    if not one.gets:
        return Checked(what=what, ok=False, says=f"would get nothing; {left}", remedy=NO_CONTEXT.remedy)
    says = "; ".join((f"gets {', '.join(one.gets)}", *((left,) if left else ()), f"proof: {one.proof}"))
    return Checked(
        what=what, ok=True, says=says, warns=bool(one.left_out) or not one.provable,
        remedy=f"see: derm-pacs pacs probe {peer}" if one.left_out else "",
    )

"""C-FIND as user: which of our objects a destination has (PS3.4 annex C, Study Root).

That it lists an object proves that it is there, not that it will be kept.
"""

from collections.abc import Iterable, Mapping

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from derm_pacs.delivery.association import associated, where
from derm_pacs.delivery.interface import Destination, Instance
from derm_pacs.domain.errors import Busy, Rejected, Transient
from derm_pacs.domain.reasons import NO_CONTEXT, NO_QUERY, PEER_AWAY, PEER_BUSY

STUDY_ROOT_FIND = UID("1.2.840.10008.5.1.4.1.2.2.1")
_PENDING = frozenset({0xFF00, 0xFF01})
_AGAIN = frozenset({0xA700, 0x0110, 0x0213})
"""Out of resources, processing failure, resource limitation."""
MOST_ANSWERS = 100_000
"""Answers about one series after which a peer is not listened to any longer."""


def present(destination: Destination, study_uid: str, instances: Iterable[Instance]) -> frozenset[str]:
    """Return the SOP Instance UIDs of those of our instances that the destination lists.

    Each series is asked for as a whole: a list of UIDs is more than some peers match, and our series hold our objects
    only. Raises `Rejected` (NO_QUERY) where the destination offers no C-FIND or refuses it, else as `associated`.
    """
    wanted = by_series(instances)
    try:
        with associated(
            destination, [build_context(STUDY_ROOT_FIND)], answer_seconds=destination.answer_seconds
        ) as association:
            found = [
                uid for series, uids in wanted.items()
                for uid in _listed(association, destination, _question(study_uid, series)) if uid in uids
            ]
    except Rejected as error:
        if error.reason is NO_CONTEXT:
            raise Rejected(NO_QUERY, error.detail) from error
        raise
    return frozenset(found)


def by_series(instances: Iterable[Instance]) -> Mapping[str, frozenset[str]]:
    """Return the SOP Instance UIDs by Series Instance UID."""
    series: dict[str, set[str]] = {}
    for one in instances:
        series.setdefault(one.series_instance_uid, set()).add(one.sop_instance_uid)
    return {uid: frozenset(members) for uid, members in series.items()}


def _question(study_uid: str, series_uid: str) -> Dataset:
    question = Dataset()
    question.QueryRetrieveLevel = "IMAGE"
    question.StudyInstanceUID = study_uid
    question.SeriesInstanceUID = series_uid
    question.SOPInstanceUID = ""
    return question


def _listed(association: Association, destination: Destination, question: Dataset) -> list[str]:
    found: list[str] = []
    try:
        for number, (answer, identifier) in enumerate(association.send_c_find(question, STUDY_ROOT_FIND)):
            if "Status" not in answer:
                raise Transient(PEER_AWAY, f"{where(destination)}: no answer to the C-FIND")
            status = int(answer.Status)
            if status in _AGAIN:
                raise Busy(PEER_BUSY, f"{where(destination)}: status 0x{status:04X} for the C-FIND")
            if status not in _PENDING and status != 0x0000:
                raise Rejected(NO_QUERY, f"{where(destination)}: status 0x{status:04X} for the C-FIND")
            if number >= MOST_ANSWERS:
                raise Rejected(NO_QUERY, f"{where(destination)}: more than {MOST_ANSWERS} answers for one series")
            if identifier is not None:
                found.append(str(identifier.get("SOPInstanceUID", "")))
    except RuntimeError as error:
        raise Transient(PEER_AWAY, f"{where(destination)}: the association ended before the C-FIND") from error
    return found

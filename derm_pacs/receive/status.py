"""What a peer is answered: a DIMSE status and an Error Comment, made from the list of reasons."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pydicom.dataset import Dataset

from derm_pacs.domain.reasons import REASONS, Reason

SUCCESS: Final = 0x0000

STORE_REASONS: Mapping[str, Reason] = MappingProxyType({
    code: reason for code, reason in REASONS.items() if reason.dimse is not None
})
"""Every reason that a C-STORE can be refused for, by its code."""

# N-ACTION and N-EVENT-REPORT (PS3.7 sections 10.1.1.1.8 and 10.1.4.1.10).
NO_SUCH_EVENT: Final = 0x0113
INVALID_ARGUMENT: Final = 0x0115
PROCESSING_FAILURE: Final = 0x0110
RESOURCE_LIMITATION: Final = 0x0213
UNRECOGNISED_OPERATION: Final = 0x0211


def answer(status: int, comment: str = "") -> Dataset:
    """Return the status data set; Error Comment (0000,0902) is LO, at most 64 characters, never patient data."""
    answered = Dataset()
    answered.Status = status
    if comment:
        answered.ErrorComment = comment[:64]
    return answered


def refusal(reason: Reason) -> Dataset:
    """Return the refusal of a C-STORE; raises `ValueError` for a reason that no peer sees."""
    if reason.dimse is None:
        raise ValueError(f"the reason {reason.code} has no DIMSE status")
    return answer(reason.dimse, reason.sentence)

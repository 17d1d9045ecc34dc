"""The few classes of error, by what happens next.

Foreign exceptions are translated into one of these once, at the door where they appear (`raise … from`).
"""

from derm_pacs.domain.reasons import Reason


class WalkError(Exception):
    """An error of a case's walk, with the reason that a person reads."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        """`reason` is a row of the list of reasons; `detail` names the file, tag, setting or peer (never a patient)."""
        super().__init__(f"{reason.code}: {reason.sentence}" + (f" ({detail})" if detail else ""))
        self.reason = reason
        self.detail = detail


class Transient(WalkError):
    """Network, database or disk are away: back off and try again until the deadline."""


class Busy(WalkError):
    """The peer is out of resources: back off and try again until the deadline."""


class Rejected(WalkError):
    """The input, or the peer for good, says no: no further try, the reason stands."""


class Defect(WalkError):
    """Our own or a bundle's fault: three tries, then the case is held with the traceback kept."""

"""The outcomes of one frame, as the runner's client gives them."""

from dataclasses import dataclass

from derm_pacs.domain.findings import Outcome, Refusal
from derm_pacs.domain.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameOutcome:
    """What the bundle says of one frame, or of one crop of it: one outcome an output, in the bundle's order, or one refusal."""

    frame: int
    """1-based."""
    outcomes: tuple[Outcome, ...]
    crop: int | None = None
    """Which of the frame's crops that were asked for was read, from 0; None where the whole frame was."""


def refusal(reason: Reason, detail: str = "") -> Refusal:
    """Return the refusal with its detail cut to what a message carries and freed of unprintable characters."""
    printable = "".join(character if character.isprintable() else " " for character in detail)
    return Refusal(reason=reason.code, detail=printable[:300])

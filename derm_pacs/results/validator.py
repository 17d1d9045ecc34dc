"""A second look at a composed object by dciodvfy (dicom3tools), where that program is installed.

It knows the standard's modules and was written by somebody else, so it sees what our own check does not think of. What
it says wrongly stands in `FALSE_COMPLAINTS` with the reason; values that the sender gave and we take over as they are
it may dislike as it will: our objects must say of patient and study what the source says.
"""

import logging
import os
import re
import shutil
import subprocess
from dataclasses import dataclass

from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.edition import LABEL_MAP_SEGMENTATION
from derm_pacs.results.source import COPIED

PROGRAM = "dciodvfy"
_SECONDS = 60.0
_LOG = logging.getLogger(__name__)

SENDERS_OWN = frozenset({*COPIED, "RequestAttributesSequence", "ReferencedRequestSequence"})
"""Top-level attributes whose values are the sender's."""

_PLACE = re.compile(r"</([A-Za-z0-9]+)\([0-9a-f]{4},[0-9a-f]{4}\)", re.IGNORECASE)
_VALUE = re.compile(r"\s*=\s*<.*", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseComplaint:
    """Something that the program calls an error and that is none."""

    says: str
    """A part of the line."""
    sop_class_uid: str | None
    """The class of the object in which it is false; None for every class."""
    reason: str


FALSE_COMPLAINTS = (
    FalseComplaint(
        says="ReferencedFrameNumber(0008,1160)> - Shall not be present for Referenced SOP Class that is not multi-frame",
        sop_class_uid=None,
        reason="The program of 2022 does not know the confocal classes (77.1.8, 77.1.9) and label maps (66.7) as multi-frame "
        "ones; and where a device puts several frames into a single-frame class, the frame that is meant must be named all the same.",
    ),
    FalseComplaint(
        says="ReferencedSegmentNumber(0062,000b)> - Shall not be present for Referenced SOP Class that is not segmentation",
        sop_class_uid=None,
        reason="The program of 2022 does not know Label Map Segmentation, to which a report refers, as a segmentation.",
    ),
    FalseComplaint(
        says="Information Object Not found",
        sop_class_uid=LABEL_MAP_SEGMENTATION,
        reason="The program of 2022 does not know Label Map Segmentation, which came in 2024.",
    ),
    FalseComplaint(
        says="SegmentNumber not monotonically increasing from one by one",
        sop_class_uid=LABEL_MAP_SEGMENTATION,
        reason="Segment 0 of a label map is its background (PS3.3 section C.8.20.4).",
    ),
)


def complaints(one: Composed) -> tuple[str, ...]:
    """Return the errors that the program finds in an object, without the values in which it finds them.

    Empty for a message, where the program is not installed, and where it ends without a verdict: our own check has
    passed the object by then.
    """
    program = shutil.which(PROGRAM)
    if program is None or one.form is Form.MESSAGE:
        return ()
    said = _run(program, one.data)
    return tuple(_VALUE.sub("", line) for line in said if line.startswith("Error") and not is_false(line, one.sop_class_uid))


def is_false(line: str, sop_class_uid: str) -> bool:
    """Whether a line of the program is no complaint against an object of ours of this class."""
    place = _PLACE.search(line)
    if place is not None and place.group(1) in SENDERS_OWN:
        return True
    return any(
        false.says in line and false.sop_class_uid in (None, sop_class_uid) for false in FALSE_COMPLAINTS
    )


def _run(program: str, data: bytes) -> list[str]:
    """Return the lines of the program; it reads the object from memory, so that no file of it is left anywhere."""
    descriptor = os.memfd_create("object", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(data)
        done = subprocess.run(
            [program, "-new", f"/proc/self/fd/{descriptor}"], pass_fds=(descriptor,), stdin=subprocess.DEVNULL,
            capture_output=True, encoding="utf-8", errors="replace", check=False, timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        _LOG.warning("%s gave no verdict within %.0f s", PROGRAM, _SECONDS)
        return []
    finally:
        os.close(descriptor)
    if done.returncode < 0:
        _LOG.warning("%s ended by signal %d", PROGRAM, -done.returncode)
    return (done.stdout + done.stderr).splitlines()

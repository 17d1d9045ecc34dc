"""Findings to result objects: SEGs, overlay SR, report SR; the same inputs give the same bytes."""

from collections.abc import Mapping

from derm_pacs.domain.composed import Composed, Identity
from derm_pacs.domain.errors import Defect
from derm_pacs.domain.findings import CaseFindings
from derm_pacs.domain.reasons import RESULT_INVALID
from derm_pacs.results import seg, source, sr_overlay, sr_report
from derm_pacs.results.arrange import Arrangement, arrange
from derm_pacs.results.identity import Naming, naming
from derm_pacs.results.unheard import unheard


def compose(case: CaseFindings, sources: Mapping[str, bytes], identity: Identity) -> tuple[Composed, ...]:
    """Make the result objects of a revision: SEGs, overlay SR, report SR.

    A SEG is made for each frame with a mask, an overlay SR for each image with an outlined lesion, and the report SR always,
    also when it only says why nothing was analysed. `sources` gives the Part 10 bytes of each image by SOP Instance UID. Raises `Defect` where the findings and the
    sources cannot be told as one study's, or where a code or reason is unknown.
    """
    told = {finding.image.sop_instance_uid for finding in case.findings}
    missing = told - set(sources)
    if missing:
        raise Defect(RESULT_INVALID, f"no source bytes for {', '.join(sorted(missing))}")
    images = {uid: source.read(sources[uid]) for uid in sorted(told)}
    with unheard():
        try:
            arrangement = arrange(case, images, identity.installation_uid)
            return _compose(arrangement, naming(identity, arrangement))
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise Defect(RESULT_INVALID, f"the results cannot be composed: {error}") from error


def _compose(arrangement: Arrangement, names: Naming) -> tuple[Composed, ...]:
    found = [frame for frame in arrangement.frames if frame.found]
    segs = {
        (frame.image.uid, frame.number): seg.compose(frame, names, ordinal) for ordinal, frame in enumerate(found)
    }
    overlays = sr_overlay.compose(arrangement, names)
    report = sr_report.compose(arrangement, names, segs)
    return (*segs.values(), *overlays, report)

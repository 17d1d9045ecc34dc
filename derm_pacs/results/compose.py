"""Findings to result objects, in the forms of an edition; the same inputs give the same bytes."""

from collections.abc import Iterator, Mapping

from derm_pacs.domain.composed import Composed, Form, Identity
from derm_pacs.domain.edition import Edition
from derm_pacs.domain.errors import Defect
from derm_pacs.domain.findings import CaseFindings, Preview
from derm_pacs.domain.reasons import RESULT_INVALID
from derm_pacs.results import message, pdf, presentation, secondary_capture, seg, source, sr_overlay, sr_report
from derm_pacs.results.arrange import Arrangement, arrange
from derm_pacs.results.identity import Naming, naming
from derm_pacs.results.unheard import unheard

Previews = Mapping[tuple[str, int], Preview]
"""By SOP Instance UID and frame; frames that cannot be decoded are not there."""


def compose(
    case: CaseFindings, sources: Mapping[str, bytes], identity: Identity, edition: Edition, previews: Previews
) -> tuple[Composed, ...]:
    """Make the result objects of a revision in the forms of `edition`, in the order of sending.

    A SEG and a presentation state are made for each frame with a mask, an overlay SR for each image with an outlined
    lesion, a picture for each frame that is told, report, PDF and message once, also when they only say why nothing was
    analysed. `sources` gives the Part 10 bytes of each image by SOP Instance UID. Raises `Defect` where the findings
    and the sources cannot be told as one study's, or where a code or reason is unknown.
    """
    told = {finding.image.sop_instance_uid for finding in case.findings}
    missing = told - set(sources)
    if missing:
        raise Defect(RESULT_INVALID, f"no source bytes for {', '.join(sorted(missing))}")
    images = {uid: source.read(sources[uid]) for uid in sorted(told)}
    with unheard():
        try:
            arrangement = arrange(case, images, identity.installation_uid)
            return tuple(_compose(arrangement, naming(identity, arrangement, edition), previews))
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            # the error's own words could quote a value of the patient's
            raise Defect(RESULT_INVALID, f"the results cannot be composed ({type(error).__name__})") from error


def _compose(arrangement: Arrangement, names: Naming, previews: Previews) -> Iterator[Composed]:
    """Yield the objects of each form of the edition; the order of these lines is the order of sending."""
    forms = names.edition.forms
    places: Mapping[seg.RegionKey, seg.SegPlace] = {}
    if Form.SEG in forms:
        segs, places = seg.compose(arrangement, names)
        yield from segs
    if Form.OVERLAY_SR in forms:
        yield from sr_overlay.compose(arrangement, names)
    if Form.REPORT_SR in forms:
        yield sr_report.compose(arrangement, names, places)
    if Form.PICTURE in forms:
        yield from secondary_capture.compose(arrangement, names, previews)
    if Form.PRESENTATION in forms:
        yield from presentation.compose(arrangement, names)
    if Form.PDF in forms:
        yield pdf.compose(arrangement, names, previews)
    if Form.MESSAGE in forms:
        yield message.compose(arrangement, names)

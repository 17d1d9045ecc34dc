"""Holds what came back from the PACS against the ledger: everything is there, and each form says the same."""

import math
from collections.abc import Iterator

import numpy as np
from pydicom import Dataset

from derm_pacs.demonstration.account import CaseAccount, ResultAccount
from derm_pacs.domain.case import State
from derm_pacs.domain.composed import Form
from derm_pacs.results import readback
from derm_pacs.results.picture_figures import figure

_AS_WRITTEN = 1e-6
"""A report's probabilities have six decimals, however small they are."""


def shortcomings(case: CaseAccount) -> tuple[str, ...]:
    """Say what of a case is not as it must be, in sentences; nothing where all is well."""
    wrong = [f"{one.form} {one.sop_instance_uid} is not in the PACS" for one in case.results if one.file is None]
    if not wrong:  # of what did not arrive nothing can be compared
        wrong += [*_segmentations(case), *_reports(case), *_pictures(case)]
    if case.study.expected is not None and case.state is not case.study.expected:
        wrong.append(f"the case is {case.state} and not {case.study.expected}: {case.reason or 'no reason'}")
    elif case.state is State.HELD:
        wrong.append(f"the case is held: {case.reason}")
    if case.study.later_visit and not case.since:
        wrong.append("no picture says what changed since the earlier visit")
    return tuple(wrong)


def _segmentations(case: CaseAccount) -> Iterator[str]:
    """Yield a sentence where the masks that came back mark another area than the ledger says."""
    segs = [one.document for one in case.results if one.form is Form.SEG and one.document is not None]
    if not segs:
        return
    marked = sum(int(np.count_nonzero(one.pixel_array)) for one in segs)
    told = sum(area.pixels for image in case.images for area in image.areas)
    if marked != told:
        yield f"the SEGs mark {marked} pixels, the ledger says {told}"


def _reports(case: CaseAccount) -> Iterator[str]:
    """Yield a sentence for each probability that the report that came back does not have of its image."""
    for report in _of(case, Form.REPORT_SR):
        groups = readback.groups(report.file or b"")
        for image in case.images:
            said = [
                number.value
                for group in groups
                if image.sop_instance_uid in {uid for uid, _ in group.images}
                for number in [group.number("probability")]
                if number is not None
            ]
            for call in image.calls:
                if not any(math.isclose(one, call.probability, abs_tol=_AS_WRITTEN, rel_tol=0.0) for one in said):
                    yield f"the report does not say {call.positive} {call.probability:.3f} of image {image.sop_instance_uid}"


def _pictures(case: CaseAccount) -> Iterator[str]:
    """Yield a sentence for each call that no picture of its image says."""
    shown = _of(case, Form.PICTURE)
    for image in case.images if shown else ():
        words = {line for one in shown if _source(one.document) == image.sop_instance_uid for line in one.words}
        for call in image.calls:
            line = f"{call.positive} {figure(call.probability, call.threshold)}"
            if line not in words:
                yield f"no picture says {line!r} of image {image.sop_instance_uid}"


def _of(case: CaseAccount, form: Form) -> list[ResultAccount]:
    return [one for one in case.results if one.form is form and one.file is not None]


def _source(picture: Dataset | None) -> str:
    return "" if picture is None else str(picture.SourceImageSequence[0].ReferencedSOPInstanceUID)

"""What counts as analysed, and how a probability is asked for."""

import numpy as np
import pytest

from derm_pacs.domain.findings import (
    CaseFindings,
    Classification,
    ClassProbability,
    FrameFinding,
    Outcome,
    Refusal,
    Segmentation,
)
from derm_pacs.domain.study import SpoolPlace, StoredInstance

IMAGE = StoredInstance(
    sop_class_uid="1.2", sop_instance_uid="1.3", series_instance_uid="1.4", study_instance_uid="1.5",
    transfer_syntax_uid="1.2.840.10008.1.2.1", sha256="0" * 64, pixel_sha256=None,
    place=SpoolPlace(listener="listener-0", segment=0, offset=0, length=1),
)
REFUSED = Refusal(reason="poor_quality_blur")
NOTHING_FOUND = Segmentation(output="mask", concept="lesion", threshold=0.5, mask=np.zeros((2, 2), dtype=bool))
CALLED = Classification(
    output="diagnosis", probabilities=(ClassProbability(class_id="nevus", concept="nevus", probability=1.0),)
)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([], False),
        ([()], False),
        ([(REFUSED,), (REFUSED, REFUSED)], False),
        ([(REFUSED,), (REFUSED, CALLED)], True),
        ([(NOTHING_FOUND,)], True),
    ],
)
def test_a_revision_is_analysed_when_one_bundle_says_something_of_one_frame(
    frames: list[tuple[Outcome, ...]], *, expected: bool
) -> None:
    findings = tuple(
        FrameFinding(bundle_hash="0" * 64, image=IMAGE, frame=number, outcomes=outcomes)
        for number, outcomes in enumerate(frames, start=1)
    )
    assert CaseFindings(runs=(), findings=findings).analysed is expected


def test_a_class_that_is_not_there_has_no_probability() -> None:
    assert CALLED.probability_of("nevus") == 1.0
    with pytest.raises(KeyError, match="melanoma"):
        CALLED.probability_of("melanoma")

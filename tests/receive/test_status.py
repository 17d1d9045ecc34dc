"""What a refusal says."""

import pytest

from derm_pacs.domain.reasons import DEFECT, Reason
from derm_pacs.receive.status import STORE_REASONS, answer, refusal


@pytest.mark.parametrize("reason", STORE_REASONS.values(), ids=STORE_REASONS.keys())
def test_every_reason_fits_into_an_error_comment_whole(reason: Reason) -> None:
    answered = refusal(reason)
    assert answered.Status == reason.dimse
    assert answered.ErrorComment == reason.sentence
    assert reason.sentence.isascii()


@pytest.mark.parametrize("reason", STORE_REASONS.values(), ids=STORE_REASONS.keys())
def test_no_reason_uses_a_status_that_pynetdicom_gives_by_accident(reason: Reason) -> None:
    assert reason.dimse is not None
    assert not 0xC000 <= reason.dimse <= 0xC2FF


def test_a_reason_that_no_peer_sees_has_no_status() -> None:
    with pytest.raises(ValueError, match="defect"):
        refusal(DEFECT)


def test_a_long_comment_is_cut_at_the_limit_of_its_vr() -> None:
    assert len(answer(0x0110, "x" * 200).ErrorComment) == 64
    assert "ErrorComment" not in answer(0)

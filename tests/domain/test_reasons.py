"""The list of reasons is complete, stable in form, and says for each reason who does what."""

import re
from collections import Counter

import pytest

from derm_pacs.domain import reasons
from derm_pacs.domain.errors import Busy, Defect, Rejected, Transient, WalkError
from derm_pacs.domain.reasons import REASONS, Reason

EVERY = sorted(REASONS.values(), key=lambda reason: reason.code)


def test_every_reason_of_the_module_is_in_the_list_under_its_own_code() -> None:
    named = [value for value in vars(reasons).values() if isinstance(value, Reason)]
    assert Counter(reason.code for reason in named) == Counter(REASONS.keys())
    assert all(REASONS[reason.code] is reason for reason in named)


@pytest.mark.parametrize("reason", EVERY, ids=lambda reason: reason.code)
def test_a_reason_has_a_code_a_sentence_and_a_remedy(reason: Reason) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", reason.code)
    for text in (reason.sentence, reason.remedy):
        assert text.endswith(".")
        assert text[0].isupper()


@pytest.mark.parametrize("reason", [one for one in EVERY if one.dicom_code is not None], ids=lambda reason: reason.code)
def test_a_coded_reason_fits_into_a_code_value(reason: Reason) -> None:
    assert reason.dicom_code is not None
    assert re.fullmatch(r"NA-[A-Z0-9]{1,13}", reason.dicom_code)  # Code Value is SH, 16 characters (PS3.5 table 6.2-1)


def test_no_two_reasons_share_a_code_value() -> None:
    codes = [reason.dicom_code for reason in EVERY if reason.dicom_code is not None]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("reason", [one for one in EVERY if one.dimse is not None], ids=lambda reason: reason.code)
def test_a_status_is_one_that_a_storage_provider_may_give(reason: Reason) -> None:
    assert reason.dimse is not None
    classes = (range(0xA700, 0xA800), range(0xA900, 0xAA00), range(0xC000, 0xD000), (0x0110, 0x0117, 0x0122, 0x0124))
    assert any(reason.dimse in one for one in classes)


@pytest.mark.parametrize("kind", [Transient, Busy, Rejected, Defect])
def test_an_error_says_its_reason_and_what_it_is_about(kind: type[WalkError]) -> None:
    error = kind(reasons.PEER_AWAY, "pacs")
    assert str(error) == "peer_away: The destination does not answer. (pacs)"
    assert (error.reason, error.detail) == (reasons.PEER_AWAY, "pacs")
    assert str(kind(reasons.PEER_AWAY)) == "peer_away: The destination does not answer."

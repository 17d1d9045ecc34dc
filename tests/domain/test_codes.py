"""The code table: every row can be written, is unique, and says where it comes from."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.sr._concepts_dict import concepts as _concepts

from derm_pacs.domain.codes import (
    CODES,
    DIAGNOSES,
    REGIONS,
    Code,
    code,
    has_valid_check_digit,
    meaning_of,
    probability_name,
)


@pytest.mark.parametrize("row", CODES.values(), ids=lambda row: row.name)
def test_a_row_fits_into_dicom_and_names_its_source(row: Code) -> None:
    assert 0 < len(row.value) <= 16
    assert 0 < len(row.scheme) <= 16
    assert 0 < len(row.meaning) <= 64
    assert len(row.short) <= 15
    assert set(row.source.split()) <= {"P", "M", "H", "D", "F", "U", "L", "own"} and row.source
    assert (row.scheme == "99DERMPACS") == (row.source == "own")


@pytest.mark.parametrize("row", [row for row in CODES.values() if row.scheme == "SCT"], ids=lambda row: row.name)
def test_the_check_digit_of_a_snomed_code_is_right(row: Code) -> None:
    assert has_valid_check_digit(row.value)


@pytest.mark.parametrize("wrong", ["372244007", "372422006", "3282000"])
def test_a_mistyped_snomed_code_is_noticed(wrong: str) -> None:
    assert not has_valid_check_digit(wrong)


def test_no_code_stands_twice() -> None:
    keys = [(row.value, row.scheme) for row in CODES.values()]
    assert len(keys) == len(set(keys))


def test_no_two_diagnoses_read_alike_beside_a_contour() -> None:
    shorts = [code(name).short for name in DIAGNOSES]
    assert all(shorts) and len(shorts) == len(set(shorts))


concepts: dict[str, Any] = dict(_concepts)


def test_the_meanings_of_public_codes_are_those_of_the_standards_tables() -> None:
    for row in CODES.values():
        if "P" not in row.source.split() or row.name == "source_image":
            continue  # TID 1601 says "Source" where the table says "Source (attribute)"
        meanings = {
            meaning for values in concepts.get(row.scheme, {}).values() for value, (meaning, _) in values.items() if value == row.value
        }
        assert row.meaning in meanings, row.name


def test_the_names_that_bundles_use_are_there() -> None:
    assert {"melanoma", "melanocytic_nevus", "basal_cell_carcinoma"} <= DIAGNOSES
    assert {"skin_lesion", "skin"} <= REGIONS


def test_an_unknown_name_is_refused_with_the_remedy() -> None:
    with pytest.raises(KeyError, match="add a row with a verified source"):
        code("cutaneous_horn")


@pytest.mark.parametrize("name", sorted(DIAGNOSES))
def test_a_probability_has_a_private_name_that_fits(name: str) -> None:
    row = probability_name(code(name))
    assert row.scheme == "99DERMPACS"
    assert len(row.value) <= 16
    assert row.meaning == code(name).short


def test_every_code_of_ours_has_one_meaning_and_a_foreign_one_none() -> None:
    for row in (*CODES.values(), *(probability_name(code(name)) for name in DIAGNOSES)):
        assert meaning_of(row.value, row.scheme) == row.meaning
    assert meaning_of("372244006", "99OTHER") is None


@given(st.integers(10**5, 10**17), st.data())
def test_one_wrong_digit_of_a_snomed_code_is_always_noticed_and_two_changed_places_too(stem: int, data: st.DataObject) -> None:
    """What the check digit of Verhoeff is there for."""
    (good,) = (f"{stem}{digit}" for digit in range(10) if has_valid_check_digit(f"{stem}{digit}"))
    at = data.draw(st.integers(0, len(good) - 1))
    other = data.draw(st.sampled_from([one for one in "0123456789" if one != good[at]]))
    assert not has_valid_check_digit(good[:at] + other + good[at + 1 :])
    pair = data.draw(st.integers(0, len(good) - 2))
    if good[pair] != good[pair + 1]:
        assert not has_valid_check_digit(good[:pair] + good[pair + 1] + good[pair] + good[pair + 2 :])

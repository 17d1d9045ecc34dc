"""Our UIDs are legal, repeatable, and differ where their parts differ."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derm_pacs.domain.identifiers import derived_uid, is_legal_uid

parts = st.lists(st.text(max_size=20), max_size=6)


@pytest.mark.parametrize(
    "uid", ["1.2", "0.0", "1.2.840.10008.1.2", "2.25.0", "2.25.340282366920938463463374607431768211455", "1." + "2" * 62]
)
def test_legal_uids(uid: str) -> None:
    assert is_legal_uid(uid)


@pytest.mark.parametrize(
    "uid", ["", "1", "1.", ".1", "1..2", "1.02", "01.2", "1.2 ", "1.2\n", "1.a", "1.-2", "1.\u00b2", "1.\u0661", "1." + "2" * 63, "/etc"]
)
def test_illegal_uids(uid: str) -> None:
    assert not is_legal_uid(uid)


@given(parts)
def test_a_derived_uid_is_a_legal_uuid_derived_uid(given_parts: list[str]) -> None:
    uid = derived_uid(given_parts)
    assert is_legal_uid(uid)
    root, number = uid.rsplit(".", 1)
    assert root == "2.25"
    assert 0 <= int(number) < 2**128
    assert len(number) <= 39


@given(parts, parts)
def test_other_parts_give_another_uid(one: list[str], other: list[str]) -> None:
    assert (derived_uid(one) == derived_uid(other)) == (one == other)


def test_parts_do_not_run_together() -> None:
    assert derived_uid(["ab", "c"]) != derived_uid(["a", "bc"])
    assert derived_uid(["a", ""]) != derived_uid(["a"])


def test_the_uid_is_the_hash_of_the_length_prefixed_parts() -> None:
    expected = int.from_bytes(hashlib.sha256("2:ab1:ü".encode()).digest()[:16], "big")
    assert derived_uid(["ab", "ü"]) == f"2.25.{expected}"

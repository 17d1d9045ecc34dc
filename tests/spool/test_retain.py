"""Deletion of segments."""

from collections.abc import Callable
from pathlib import Path

import pytest

from derm_pacs.spool.journal import Journal
from derm_pacs.spool.record import RecordHeader
from derm_pacs.spool.retain import delete_segment
from derm_pacs.spool.segment import numbers

MakeHeader = Callable[[str], RecordHeader]


@pytest.fixture
def directory(tmp_path: Path, header: MakeHeader) -> Path:
    with Journal(tmp_path / "j", segment_bytes=1000, reserve_bytes=0) as journal:
        for _ in range(3):
            journal.append(header("1.1"), [bytes(900)])
    return tmp_path / "j"


def test_an_old_segment_is_deleted(directory: Path) -> None:
    delete_segment(directory, 2)
    assert numbers(directory) == (1, 3)
    delete_segment(directory, 2)
    assert numbers(directory) == (1, 3)


def test_the_newest_segment_stays(directory: Path) -> None:
    with pytest.raises(ValueError, match="newest"):
        delete_segment(directory, 3)
    assert numbers(directory) == (1, 2, 3)


def test_a_number_is_never_used_twice(directory: Path, header: MakeHeader) -> None:
    delete_segment(directory, 1)
    delete_segment(directory, 2)
    with Journal(directory, segment_bytes=1000, reserve_bytes=0) as journal:
        assert journal.append(header("1.2"), [b"x"]).segment == 4

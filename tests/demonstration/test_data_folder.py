"""The demonstration's data folder: empty at each run, and where the database's user can reach it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from derm_pacs.demonstration.failure import DemonstrationError
from derm_pacs.demonstration.service import data_folder

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root's database runs under another user")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A short folder that everybody may enter, its parents too."""
    made = Path(tempfile.mkdtemp(prefix="d-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def test_what_an_earlier_run_left_is_gone(open_folder: Path) -> None:
    near = open_folder / "data"
    first = data_folder(near, "nobody")
    (first / "ledger").write_text("old")
    second = data_folder(near, "nobody")
    assert list(second.iterdir()) == []


def test_a_folder_that_everybody_can_enter_is_used_itself(open_folder: Path) -> None:
    near = open_folder / "data"
    assert data_folder(near, "nobody") == near
    assert not near.is_symlink()


@root_only
def test_below_a_closed_folder_the_data_lies_elsewhere_with_a_link_and_the_old_one_is_removed(open_folder: Path) -> None:
    open_folder.chmod(0o700)
    near = open_folder / "data"
    first = data_folder(near, "nobody")
    second = data_folder(near, "nobody")
    try:
        assert near.resolve() == second != near
        assert not first.exists()
        assert second.stat().st_mode & 0o777 == 0o755
    finally:
        second.rmdir()


def test_a_path_too_long_for_a_socket_is_not_used(open_folder: Path) -> None:
    near = open_folder / ("x" * 80) / "data"
    made = data_folder(near, "nobody")
    assert len(str(made)) < 60
    made.rmdir()


def test_a_link_to_somewhere_else_is_removed_and_what_it_leads_to_stays(open_folder: Path) -> None:
    precious = open_folder / "precious"
    precious.mkdir()
    (precious / "file").write_text("mine")
    near = open_folder / "data"
    near.symlink_to(precious)
    data_folder(near, "nobody")
    assert (precious / "file").read_text() == "mine"


@root_only
def test_a_missing_user_is_named_with_the_remedy(open_folder: Path) -> None:
    open_folder.chmod(0o700)
    with pytest.raises(DemonstrationError, match=r"user no-such-user is missing; make it: deploy/system-user\.sh"):
        data_folder(open_folder / "data", "no-such-user")

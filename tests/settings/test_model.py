"""The settings as values: folders, names, the installation's UID."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import ValidationError

from derm_pacs.domain.identifiers import is_legal_uid
from derm_pacs.settings.example import EXAMPLE
from derm_pacs.settings.model import Settings


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        EXAMPLE.facility = "other"


def test_everything_that_is_kept_lies_below_the_data_folder() -> None:
    settings = Settings(data_dir=Path("/data"))
    folders = (settings.spool_dir, settings.bundles_dir, settings.results_dir, settings.postgres_dir, settings.run_dir)
    assert {one.parent for one in folders} == {Path("/data")}
    assert len(set(folders)) == 5


def test_an_unknown_peer_or_destination_is_told_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match="no peer is named 'x'; known: pacs"):
        EXAMPLE.peer("x")
    with pytest.raises(KeyError, match="no destination is named 'x'; known: pacs"):
        EXAMPLE.destination("x")


def test_the_installation_has_one_uid_for_good(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    uid = settings.installation_uid()
    assert is_legal_uid(uid)
    assert uid.startswith("2.25.")
    assert Settings(data_dir=tmp_path / "data").installation_uid() == uid


def test_processes_that_start_together_agree_on_the_uid(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with ThreadPoolExecutor(8) as pool:
        uids = set(pool.map(lambda _: settings.installation_uid(), range(64)))
    assert len(uids) == 1
    assert [one.name for one in tmp_path.iterdir()] == ["installation-uid"]


def test_a_uid_in_the_settings_goes_before_the_kept_one(tmp_path: Path) -> None:
    assert Settings(data_dir=tmp_path, installation_uid="2.25.7").installation_uid() == "2.25.7"
    assert not list(tmp_path.iterdir())


def test_a_damaged_uid_file_is_not_replaced_in_silence(tmp_path: Path) -> None:
    (tmp_path / "installation-uid").write_text("nonsense")
    with pytest.raises(ValueError, match="restore the file"):
        Settings(data_dir=tmp_path).installation_uid()

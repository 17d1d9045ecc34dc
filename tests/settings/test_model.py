"""The settings as values: folders, names, the installation's UID."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import ValidationError

from derm_pacs.domain.composed import Form
from derm_pacs.domain.edition import Edition, SegGeometry, SegKind, SrClass
from derm_pacs.domain.identifiers import is_legal_uid
from derm_pacs.settings.example import EXAMPLE
from derm_pacs.settings.model import DestinationSettings, Settings
from derm_pacs.settings.peers import WebPeer


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


def test_a_destination_wants_what_its_profile_says() -> None:
    wanted = EXAMPLE.destination("pacs").edition()
    assert wanted == Edition(forms=frozenset({Form.REPORT_SR, Form.OVERLAY_SR, Form.SEG, Form.PICTURE}))
    odd = DestinationSettings(name="x", peer="pacs", results=(Form.PDF,), sr=SrClass.COMPREHENSIVE, seg=SegKind.LABELMAP, seg_geometry=SegGeometry.NONE)
    assert odd.edition().key == "pdf;comprehensive;labelmap;none;"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_this_machine_itself_may_be_spoken_to_without_tls(host: str) -> None:
    assert WebPeer(name="web", url=f"http://{host}:8042/dicom-web/").url == f"http://{host}:8042/dicom-web"


@pytest.mark.parametrize("host", ["localhost.example", "128.0.0.1", "0.0.0.0", "[::2]", "127.0.0.1.example"])  # noqa: S104
def test_no_other_machine_may(host: str) -> None:
    with pytest.raises(ValidationError, match="write https://"):
        WebPeer(name="web", url=f"http://{host}/dicom-web")


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

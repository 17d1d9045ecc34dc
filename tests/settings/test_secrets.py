"""Secrets: whence they come, and that they come out nowhere."""

import json
from pathlib import Path

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from derm_pacs.domain.errors import Transient
from derm_pacs.domain.reasons import SECRET_UNREADABLE
from derm_pacs.pipeline.target import web_target
from derm_pacs.settings import secrets
from derm_pacs.settings.model import DatabaseSettings, Settings
from derm_pacs.settings.peers import WebAuth, WebPeer
from derm_pacs.settings.read import SettingsError, parse, read
from derm_pacs.settings.write import to_toml

VARIABLE = secrets.DATABASE_PASSWORD
SECRET = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=12).map(lambda text: f"geheim{text}")


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text("geheim\n")
    file.chmod(0o600)
    return file


def test_the_environment_goes_before_the_file(password_file: Path) -> None:
    assert secrets.secret(VARIABLE, password_file, {}) == "geheim"
    assert secrets.secret(VARIABLE, password_file, {VARIABLE: "other"}) == "other"
    assert secrets.secret(VARIABLE, None, {}) is None


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644])
def test_a_file_that_every_user_can_open_is_refused(password_file: Path, mode: int) -> None:
    password_file.chmod(mode)
    with pytest.raises(secrets.SecretError, match=f"chmod 600 {password_file}"):
        secrets.secret(VARIABLE, password_file, {})


def test_a_missing_or_empty_file_is_told(tmp_path: Path, password_file: Path) -> None:
    with pytest.raises(secrets.SecretError, match="cannot be read"):
        secrets.secret(VARIABLE, tmp_path / "absent", {})
    password_file.write_text("\n")
    with pytest.raises(secrets.SecretError, match="is empty"):
        secrets.secret(VARIABLE, password_file, {})


def test_a_secret_that_cannot_be_read_is_told_when_the_settings_are_read(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(f'[database]\nurl = "postgresql://a@b/c"\npassword_file = "{tmp_path}/absent"\n')
    with pytest.raises(SettingsError, match=r"s.toml: key 'password_file' in \[database\]: .*absent: the secret cannot be read"):
        read(file)


@hypothesis.settings(deadline=None)  # a busy machine is no failure
@given(SECRET)
def test_the_password_reaches_the_driver_escaped_and_is_masked_for_people(secret: str) -> None:
    url = secrets.with_password("postgresql://derm@db:5432/derm?sslmode=require", f"{secret}/@:?#")
    assert secrets.masked_url(url) == f"postgresql://derm:{secrets.MASK}@db:5432/derm?sslmode=require"
    assert secret in url


@hypothesis.settings(deadline=None)  # a busy machine is no failure
@given(SECRET)
def test_no_output_of_the_settings_holds_the_secret(secret: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(secrets.DATABASE_PASSWORD, secret)
        settings = Settings(database=DatabaseSettings(url="postgresql://derm@db/derm"))
        assert secret in str(settings.database_url())
        for shown in (repr(settings), str(settings), json.dumps(settings.masked()), to_toml(settings, commented=True)):
            assert secret not in shown


def test_a_web_peers_secret_comes_from_file_or_environment_and_is_shown_nowhere(password_file: Path) -> None:
    peer = WebPeer(name="web-2", url="https://pacs.example", auth=WebAuth.BASIC, user="derm", secret_file=password_file)
    settings = Settings(web_peers=(peer,))
    assert peer.secret() == "geheim"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERM_PACS_SECRET_WEB_2", "other4711")
        assert peer.secret() == "other4711"
        for shown in (repr(settings), str(settings), json.dumps(settings.masked()), to_toml(settings, commented=True)):
            assert "other4711" not in shown
            assert "geheim" not in shown
        assert settings.masked()["web_peers"][0]["secret"] == f"{secrets.MASK} (from the environment, DERM_PACS_SECRET_WEB_2)"


def test_the_transports_read_the_secret_when_they_need_it(password_file: Path) -> None:
    peer = WebPeer(name="web", url="https://pacs.example", auth=WebAuth.BASIC, user="derm", secret_file=password_file)
    access = web_target(peer, "web").access
    assert access is not None
    assert "geheim" not in repr(access)
    assert access.secret() == "geheim"
    password_file.unlink()
    with pytest.raises(Transient) as caught:
        access.secret()
    assert caught.value.reason is SECRET_UNREADABLE


@hypothesis.settings(deadline=None)  # a busy machine is no failure
@given(SECRET, st.sampled_from([
    "postgresql://derm:{}@db/derm", "postgresql://db/derm?password={}", "postgresql://derm:{}@[db/derm",
    "postgresql://derm:{}@db:x/derm", "http://u:{}@x", "{}",
]))
def test_a_secret_at_the_wrong_place_is_refused_without_being_shown(secret: str, url: str) -> None:
    for values in (
        {"database": {"url": url.format(secret)}},
        {"database": {"password": secret}},
        {"database": {"password_file": secret}},
        {"database": {"run_as": {"password": secret}}},
        {"database": secret},
        {"database_password": secret},
        {"web_peers": [{"name": "a", "url": f"https://u:{secret}@x"}]},
        {"web_peers": [{"name": "a", "url": "https://x", "secret": secret}]},
        {"web_peers": [{"name": "a", "url": "https://x", "secret_file": secret}]},
    ):
        with pytest.raises(SettingsError) as refused:
            parse(values, "derm-pacs.toml")
        error: BaseException | None = refused.value
        while error is not None:
            assert secret not in str(error)
            error = error.__cause__ or error.__context__

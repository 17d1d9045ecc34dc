"""Secrets: whence they come, and that they come out nowhere."""

import json
from pathlib import Path

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from derm_pacs.settings import secrets
from derm_pacs.settings.model import DatabaseSettings, Settings
from derm_pacs.settings.read import SettingsError, parse, read
from derm_pacs.settings.write import to_toml

SECRET = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=12).map(lambda text: f"geheim{text}")


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text("geheim\n")
    file.chmod(0o600)
    return file


def test_the_environment_goes_before_the_file(password_file: Path) -> None:
    assert secrets.database_password(password_file, {}) == "geheim"
    assert secrets.database_password(password_file, {secrets.DATABASE_PASSWORD: "other"}) == "other"
    assert secrets.database_password(None, {}) is None


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644])
def test_a_file_that_every_user_can_open_is_refused(password_file: Path, mode: int) -> None:
    password_file.chmod(mode)
    with pytest.raises(secrets.SecretError, match=f"chmod 600 {password_file}"):
        secrets.database_password(password_file, {})


def test_a_missing_or_empty_file_is_told(tmp_path: Path, password_file: Path) -> None:
    with pytest.raises(secrets.SecretError, match="cannot be read"):
        secrets.database_password(tmp_path / "absent", {})
    password_file.write_text("\n")
    with pytest.raises(secrets.SecretError, match="is empty"):
        secrets.database_password(password_file, {})


def test_a_secret_that_cannot_be_read_is_told_when_the_settings_are_read(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(f'[database]\nurl = "postgresql://a@b/c"\npassword_file = "{tmp_path}/absent"\n')
    with pytest.raises(SettingsError, match=r"s.toml: key 'password_file' in \[database\]: .*absent: the password cannot be read"):
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
    ):
        with pytest.raises(SettingsError) as refused:
            parse(values, "derm-pacs.toml")
        error: BaseException | None = refused.value
        while error is not None:
            assert secret not in str(error)
            error = error.__cause__ or error.__context__

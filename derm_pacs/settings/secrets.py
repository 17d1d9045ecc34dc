"""Secrets come from the environment or from files that only their owner can read; no model ever holds one."""

import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

DATABASE_PASSWORD = "DERM_PACS_DATABASE_PASSWORD"  # noqa: S105 - the variable's name, not a password
"""Variable of the environment that holds the database's password."""

MASK = "********"
"""What is shown in place of a secret."""


class SecretError(Exception):
    """A secret cannot be read; the message names its file and the remedy, never the secret."""


def without_password(url: str) -> str:
    """Return a PostgreSQL URL unchanged; raises `ValueError` for another scheme or a password inside.

    A password in the settings file would be printed, copied and backed up with it.
    """
    wrong = ValueError("the URL is not one of PostgreSQL; write postgresql://USER@HOST/DATABASE")
    try:
        parts = urlsplit(url)
        legal = parts.scheme in ("postgresql", "postgres") and (parts.port is None or parts.port > 0)
    except ValueError:
        # Its text quotes the URL, which may hold a password.
        raise wrong from None
    if not legal:
        raise wrong
    if parts.password is not None or "password" in parse_qs(parts.query, keep_blank_values=True):
        raise ValueError(f"the URL holds a password; take it out and give it by password_file or {DATABASE_PASSWORD}")
    return url


def with_password(url: str, password: str | None) -> str:
    """Return the URL with the password of its user; the URL unchanged where there is none."""
    if password is None:
        return url
    parts = urlsplit(url)
    user, _, address = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{address}"))


def masked_url(url: str) -> str:
    """Return the URL with its password, if it has one, replaced by `MASK`."""
    parts = urlsplit(url)
    user, found, address = parts.netloc.rpartition("@")
    name, has_password, _ = user.partition(":")
    if not found or not has_password:
        return url
    return urlunsplit(parts._replace(netloc=f"{name}:{MASK}@{address}"))


def variable_of_peer(name: str) -> str:
    """Return the variable of the environment that holds a web peer's secret: `PACS_2` for `pacs-2`."""
    return f"DERM_PACS_SECRET_{name.upper().replace('-', '_')}"


def secret(variable: str, file: Path | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return a secret from the environment, else from the file, else None.

    Raises `SecretError` where the file is missing, empty or readable by others than its owner and group.
    """
    if environment.get(variable):
        return environment[variable]
    return None if file is None else _read(file)


def source(variable: str, file: Path | None, environment: Mapping[str, str] = os.environ) -> str:
    """Say where a secret comes from, with the mask in its place."""
    if environment.get(variable):
        return f"{MASK} (from the environment, {variable})"
    return "none" if file is None else f"{MASK} (from {file})"


def write_once(path: Path, text: str) -> None:
    """Write a file of mode 0600 that appears whole or not at all; an existing one stays as it is."""
    if path.exists():
        return
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, fails where another process was first; then that one's file holds.
        os.link(name, path)
    except FileExistsError:
        return
    finally:
        Path(name).unlink()


def _read(file: Path) -> str:
    try:
        mode = file.stat().st_mode
        text = file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SecretError(f"{file}: the secret cannot be read ({reason}); create the file, readable by the service") from error
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        raise SecretError(f"{file}: every user of the machine can read or write the secret; run: chmod 600 {file}")
    if not text:
        raise SecretError(f"{file}: the file is empty; write the secret into it")
    return text

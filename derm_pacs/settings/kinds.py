"""The kinds of values that the settings have, each with its check; an error says what to write instead."""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict

from derm_pacs.domain.classes import ANALYSABLE
from derm_pacs.domain.identifiers import is_legal_uid
from derm_pacs.settings import secrets


@dataclass(frozen=True, slots=True)
class Unit:
    """What the number of a field counts, for the reference page."""

    name: str


def _ae_title(value: str) -> str:
    # VR AE, PS3.5 table 6.2-1: default character repertoire without backslash and control characters, not only
    # spaces; spaces at the ends are not significant, so none are taken here.
    if not 1 <= len(value) <= 16:
        raise ValueError("an AE title has 1 to 16 characters; shorten it")
    if value != value.strip() or not all(" " <= one <= "~" and one != "\\" for one in value):
        raise ValueError("an AE title has printable ASCII characters, no backslash, no space at its ends; correct it")
    return value


def _uid(value: str) -> str:
    if not is_legal_uid(value):
        raise ValueError(f"{value!r} is not a legal UID (PS3.5 section 9.1); correct it")
    return value


def _analysable(value: str) -> str:
    if value not in {one.uid for one in ANALYSABLE}:
        known = ", ".join(f"{one.uid} ({one.name})" for one in ANALYSABLE)
        raise ValueError(f"{value!r} is a SOP class that is never analysed; write one of: {known}")
    return value


def _modality(value: str) -> str:
    if not re.fullmatch(r"[A-Z0-9_ ]{1,16}", value):
        raise ValueError(f"{value!r} is not a value of Modality (0008,0060); write it as the images have it, such as \"XC\"")
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{value!r} is not a time zone of the IANA list; write one such as \"Europe/Berlin\"") from error
    return value


def _absolute(value: Path) -> Path:
    if not value.is_absolute() or ".." in value.parts:
        # The value stays out of the message: it may be a password that was written in place of its file.
        raise ValueError("the path is not absolute; write it from the root on, without \"..\"")
    return value


def _web_address(value: str) -> str:
    # The value stays out of the messages: it may hold a password.
    try:
        parts = urlsplit(value)
        legal = bool(parts.hostname) and parts.scheme in ("https", "http") and (parts.port is None or parts.port > 0)
    except ValueError:
        raise ValueError("this is not a web address; write one such as \"https://pacs.example/dicom-web\"") from None
    if not legal:
        raise ValueError("this is not a web address; write one such as \"https://pacs.example/dicom-web\"")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the address holds a user or a password; take it out and write user and secret_file")
    if parts.query or parts.fragment:
        raise ValueError("the address has a part behind \"?\" or \"#\"; take it out")
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise ValueError("http:// would send patients' data readable over the network; write https://")
    return value.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def as_tuple(value: object) -> object:
    """Return a list of TOML as the tuple that a frozen model holds."""
    return tuple(value) if isinstance(value, list) else value


def single(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the values; raises `ValueError` where one stands twice."""
    for one in values:
        if values.count(one) > 1:
            raise ValueError(f"{one!r} stands here twice; name it once")
    return values


Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Flag = Annotated[bool, Strict()]
Text = Annotated[str, Strict(), Field(min_length=1, max_length=200)]
AeTitle = Annotated[str, Strict(), AfterValidator(_ae_title)]
Uid = Annotated[str, Strict(), AfterValidator(_uid)]
ImageClass = Annotated[Uid, AfterValidator(_analysable)]
Modality = Annotated[str, Strict(), AfterValidator(_modality)]
Zone = Annotated[str, Strict(), AfterValidator(_zone)]
WebAddress = Annotated[str, Strict(), AfterValidator(_web_address)]
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Label = Annotated[str, Strict(), Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
DatabaseUrl = Annotated[str, Strict(), AfterValidator(secrets.without_password)]


class Section(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

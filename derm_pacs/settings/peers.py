"""The applications that we know, by how they are spoken to: DICOM, DICOMweb, HL7 v2 over MLLP."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, Strict, model_validator

from derm_pacs.settings import secrets
from derm_pacs.settings.kinds import AbsolutePath, AeTitle, Flag, Label, Section, Text, WebAddress, Whole


class Peer(Section):
    """A DICOM application that we know."""

    name: Annotated[Label, Field(description="Short name of the peer, for destinations and commands.")]
    ae_title: Annotated[AeTitle, Field(description="The peer's AE title.")]
    host: Annotated[str, Strict(), Field(max_length=253, description="Host name or address; absent for a device that only sends.")] = ""
    port: Annotated[Whole, Field(ge=0, le=65535, description="TCP port; absent for a device that only sends.")] = 0
    may_send: Annotated[Flag, Field(description="Whether associations that this AE title opens are accepted.")] = False

    @model_validator(mode="after")
    def _address_is_whole(self) -> "Peer":
        if bool(self.host) != bool(self.port):
            raise ValueError("host and port go together; write both, or neither for a device that only sends")
        return self

    @property
    def listens(self) -> bool:
        """Whether we can open an association to the peer."""
        return bool(self.host)


class WebAuth(StrEnum):
    """How we prove to a web peer who we are."""

    NONE = "none"
    BASIC = "basic"
    """User and password with each request (RFC 7617)."""
    OAUTH2 = "oauth2"
    """A token for the client's credentials (RFC 6749 section 4.4)."""


class WebPeer(Section):
    """A PACS that is spoken to by DICOMweb."""

    name: Annotated[Label, Field(description="Short name of the peer, for destinations and commands; no other peer of any kind has it.")]
    url: Annotated[WebAddress, Field(description="Address of the DICOMweb service, to which \"/studies\" is added; https://, or http:// to this machine itself.")]
    ca_file: Annotated[AbsolutePath | None, Field(description="File of certificates (PEM) that the servers of `url` and `token_url` are checked against; absent: those that the system trusts.")] = None
    auth: Annotated[WebAuth, Field(description="How we prove who we are: none, basic (user and password), oauth2 (a token for a client's credentials).")] = WebAuth.NONE
    user: Annotated[Text | None, Field(description="User name for basic, client identifier for oauth2.")] = None
    secret_file: Annotated[AbsolutePath | None, Field(description="File that holds the password or the client's secret and that not every user of the machine can read; DERM_PACS_SECRET_ and the peer's name in capitals in the environment goes before it.")] = None
    token_url: Annotated[WebAddress | None, Field(description="Address that gives tokens, for oauth2.")] = None
    scope: Annotated[Text | None, Field(description="Scope that is asked for, for oauth2; absent: none is named.")] = None

    @model_validator(mode="after")
    def _auth_is_whole(self) -> "WebPeer":
        needed = {WebAuth.NONE: (), WebAuth.BASIC: ("user",), WebAuth.OAUTH2: ("user", "token_url")}[self.auth]
        possible = {*needed, *(("secret_file",) if needed else ()), *(("scope",) if self.auth is WebAuth.OAUTH2 else ())}
        for key in needed:
            if getattr(self, key) is None:
                raise ValueError(f"auth = \"{self.auth}\" needs {key}; write it")
        for key in ("user", "secret_file", "token_url", "scope"):
            if getattr(self, key) is not None and key not in possible:
                raise ValueError(f"{key} does nothing with auth = \"{self.auth}\"; take it out or change auth")
        return self

    @property
    def secret_variable(self) -> str:
        """Variable of the environment that holds the secret."""
        return secrets.variable_of_peer(self.name)

    def secret(self) -> str | None:
        """Return the secret, None where none is needed; raises `secrets.SecretError` where it cannot be read."""
        if self.auth is WebAuth.NONE:
            return None
        found = secrets.secret(self.secret_variable, self.secret_file)
        if found is None:
            raise secrets.SecretError(
                f"auth = \"{self.auth}\" needs a secret; write it into a file and name it by secret_file, or set {self.secret_variable}"
            )
        return found


class RecordPeer(Section):
    """A record system that takes HL7 v2 messages over MLLP."""

    name: Annotated[Label, Field(description="Short name of the peer, for destinations and commands; no other peer of any kind has it.")]
    host: Annotated[str, Strict(), Field(min_length=1, max_length=253, description="Host name or address.")]
    port: Annotated[Whole, Field(ge=1, le=65535, description="TCP port.")]
    tls: Annotated[Flag, Field(description="Whether the connection is encrypted (TLS 1.2 or later).")] = False
    ca_file: Annotated[AbsolutePath | None, Field(description="File of certificates (PEM) that the server is checked against, with tls; absent: those that the system trusts.")] = None
    application: Annotated[Text, Field(description="Receiving Application (MSH-5) of our messages.")] = "RECORD"
    facility: Annotated[Text | None, Field(description="Receiving Facility (MSH-6) of our messages; absent: empty.")] = None

    @model_validator(mode="after")
    def _certificates_are_used(self) -> "RecordPeer":
        if self.ca_file is not None and not self.tls:
            raise ValueError("ca_file does nothing with tls = false; take it out or set tls = true")
        return self

"""A destination as the transports see it; they know neither settings nor database."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A DICOM peer that takes results, and how long we wait for it."""

    name: str
    ae_title: str
    host: str
    port: int
    calling_ae: str
    """Our AE title."""
    connect_seconds: float = 10.0
    """To open the TCP connection."""
    answer_seconds: float = 30.0
    """For each answer to an association request, a release, an echo, a query or an N-ACTION."""
    store_seconds: float = 120.0
    """For the answer to one C-STORE, and for each block of data to be taken off our hands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basic:
    """User and password with each request (RFC 7617)."""

    user: str
    secret: Callable[[], str]
    """Reads the password when it is needed, so that no value holds it; raises `Transient` where it cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentials:
    """A token of an authorisation server for our own credentials (OAuth 2.0, RFC 6749 section 4.4)."""

    client_id: str
    secret: Callable[[], str]
    """Reads the client's secret when it is needed; raises `Transient` where it cannot be read."""
    token_url: str
    scope: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebDestination:
    """A DICOMweb service that takes results, and how long we wait for it."""

    name: str
    url: str
    """Address of the service without a slash at its end; "/studies" is added."""
    ca_file: Path | None = None
    """Certificates (PEM) that the servers are checked against; None: those that the system trusts."""
    access: Basic | ClientCredentials | None = None
    connect_seconds: float = 10.0
    """To open the TCP connection and TLS, and for each block of data to be taken off our hands."""
    answer_seconds: float = 30.0
    """For each answer to a query or a request for a token."""
    store_seconds: float = 120.0
    """For the answer to one request that stores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordDestination:
    """A record system that takes HL7 v2 messages over MLLP, and how long we wait for it."""

    name: str
    host: str
    port: int
    application: str
    """Receiving Application (MSH-5)."""
    facility: str
    """Receiving Facility (MSH-6); empty where it has none."""
    tls: bool = False
    ca_file: Path | None = None
    """Certificates (PEM) that the server is checked against; None: those that the system trusts."""
    connect_seconds: float = 10.0
    """To open the TCP connection and TLS."""
    answer_seconds: float = 30.0
    """For each acknowledgement, and for each block of data to be taken off our hands."""


Target = Destination | WebDestination | RecordDestination
"""A destination of whatever kind."""


class Instance(Protocol):
    """What names an instance of ours to a destination that is asked whether it has it."""

    @property
    def series_instance_uid(self) -> str:
        """Its series."""

    @property
    def sop_instance_uid(self) -> str:
        """Itself."""

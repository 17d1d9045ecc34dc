"""One session with a DICOMweb service: credentials, certificates, time limits; every failure becomes one of our errors."""

import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import requests
import urllib3
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session

from derm_pacs.delivery.interface import Basic, ClientCredentials, WebDestination
from derm_pacs.domain.errors import Busy, Rejected, Transient, WalkError
from derm_pacs.domain.reasons import (
    ACCESS_DENIED,
    CERTIFICATE_UNTRUSTED,
    NO_SERVICE,
    OBJECT_REFUSED,
    PEER_AWAY,
    PEER_BUSY,
)

DICOM_JSON = "application/dicom+json"
_MOST_BYTES = 16_000_000
"""Size of an answer beyond which it is not read."""
_BLOCK = 65536
_TOKEN_LEFT_SECONDS = 30
"""What a token must have left before a request, so that it lives when the service looks at it."""

_BUSY = frozenset({
    HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.INSUFFICIENT_STORAGE,
})
_AWAY = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT})
_DENIED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED})
_NOT_THERE = frozenset({
    HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.GONE, HTTPStatus.NOT_IMPLEMENTED,
})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a service answered."""

    status: int
    content_type: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """An open session; closed by `opened`."""

    destination: WebDestination
    session: requests.Session

    def ask(
        self, method: str, path: str, *, seconds: float, headers: Mapping[str, str], params: Mapping[str, str] | None = None, body: Any = None
    ) -> Answer:
        """Send one request and return its answer, whatever its status; a redirect is not followed.

        Raises `Transient` (PEER_AWAY, CERTIFICATE_UNTRUSTED) where there is no whole answer.
        """
        _renew_token(self.session, self.destination)
        limits = (self.destination.connect_seconds, seconds)
        url = f"{self.destination.url}{path}"
        with (
            translated(self.destination),
            self.session.request(
                method, url, headers={"Accept": DICOM_JSON, "Accept-Encoding": "identity", **headers}, params=params, data=body, timeout=limits, stream=True,
                # Patients' data and our credentials go nowhere but to the address of the settings.
                allow_redirects=False,
            ) as response,
        ):
            return Answer(
                status=response.status_code,
                content_type=response.headers.get("Content-Type", "").partition(";")[0].strip().lower(),
                body=_body(response, self.destination, seconds),
            )


@contextmanager
def opened(destination: WebDestination) -> Iterator[Web]:
    """Open a session with the destination's credentials; a token is fetched here.

    Raises `Transient` (SECRET_UNREADABLE, PEER_AWAY, CERTIFICATE_UNTRUSTED, and ACCESS_DENIED where the authorisation
    server gives no token: a password that was changed is mended within the deadline), `Busy` (PEER_BUSY) or `Rejected`.
    """
    with _session(destination) as session:
        yield Web(destination=destination, session=session)


def where(destination: WebDestination) -> str:
    """Name a destination for an error's detail."""
    return f"{destination.name}: {destination.url}"


def refusal(destination: WebDestination, status: int, what: str) -> WalkError:
    """Return the error that an HTTP status stands for, where it speaks of the whole request."""
    said = f"{where(destination)}: HTTP status {status} for {what}"
    if status in _BUSY:
        return Busy(PEER_BUSY, said)
    if status in _AWAY:
        return Transient(PEER_AWAY, said)
    if status in _DENIED:
        return Transient(ACCESS_DENIED, said)
    if status in _NOT_THERE or status < HTTPStatus.BAD_REQUEST:
        return Rejected(NO_SERVICE, said)
    return Rejected(OBJECT_REFUSED, said)


@contextmanager
def translated(destination: WebDestination) -> Iterator[None]:
    """Turn what the HTTP library raises into our errors."""
    try:
        yield
    except AuthlibBaseError as error:
        raise Transient(ACCESS_DENIED, f"{where(destination)}: the authorisation server says {error.error}") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        inner = _innermost(error)
        reason = CERTIFICATE_UNTRUSTED if isinstance(inner, ssl.SSLCertVerificationError) else PEER_AWAY
        raise Transient(reason, f"{where(destination)}: {_said(inner)}") from error


@contextmanager
def _session(destination: WebDestination) -> Iterator[requests.Session]:
    match destination.access:
        case None:
            made = requests.Session()
        case Basic(user=user, secret=secret):
            made = requests.Session()
            made.auth = (_utf8(user), _utf8(secret()))
        case ClientCredentials() as access:
            made = _token_session(destination, access)
    with made:
        _prepare(made, destination)
        _renew_token(made, destination)
        yield made


def _utf8(text: str) -> str:
    # The library writes Latin-1; so written, these are the bytes of UTF-8 (RFC 7617 section 2.1).
    return text.encode().decode("latin-1")


def _prepare(session: requests.Session, destination: WebDestination) -> None:
    # The environment would bring proxies, other certificates, and passwords of ~/.netrc.
    session.trust_env = False
    session.verify = _trusted(destination)


def _trusted(destination: WebDestination) -> str | bool:
    if destination.ca_file is None:
        paths = ssl.get_default_verify_paths()
        return paths.cafile or paths.capath or True
    try:
        ssl.create_default_context(cafile=destination.ca_file)
    except OSError as error:
        said = f"{where(destination)}: {destination.ca_file} cannot be read or holds no certificate"
        raise Transient(CERTIFICATE_UNTRUSTED, said) from error
    return str(destination.ca_file)


def _token_session(destination: WebDestination, access: ClientCredentials) -> Any:
    return OAuth2Session(
        access.client_id, access.secret(), scope=access.scope, token_endpoint=access.token_url, grant_type="client_credentials",
        leeway=0,  # `_renew_token` is earlier
        default_timeout=(destination.connect_seconds, destination.answer_seconds),
    )


def _renew_token(session: Any, destination: WebDestination) -> None:
    """Fetch a token where one is needed and there is none that lives for some time yet."""
    if not isinstance(destination.access, ClientCredentials):
        return
    if session.token is not None and not session.token.is_expired(leeway=_TOKEN_LEFT_SECONDS):
        return
    with translated(destination):
        try:
            token = session.fetch_token(allow_redirects=False)
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            raise refusal(destination, status, "a token") from error
        except requests.RequestException:
            raise
        except ValueError as error:
            raise Rejected(NO_SERVICE, f"{where(destination)}: what token_url answers is no token") from error
    if not token.get("access_token"):
        raise Transient(ACCESS_DENIED, f"{where(destination)}: the authorisation server gave no token")


def _body(response: requests.Response, destination: WebDestination, seconds: float) -> bytes:
    body = bytearray()
    last = time.monotonic() + seconds
    # `read1` returns what has come; the usual ways would wait for a whole block, however slowly it drips.
    while block := response.raw.read1(_BLOCK, decode_content=True):
        body += block
        if len(body) > _MOST_BYTES:
            raise Transient(PEER_AWAY, f"{where(destination)}: the answer has more than {_MOST_BYTES} bytes")
        if time.monotonic() > last:
            raise Transient(PEER_AWAY, f"{where(destination)}: the answer is not whole after {seconds} seconds")
    return bytes(body)


def _innermost(error: BaseException) -> BaseException:
    """Return the error at the bottom: what wraps it repeats addresses."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        below = (getattr(error, "reason", None), *error.args, error.__cause__, error.__context__)
        error = next((one for one in below if isinstance(one, BaseException) and id(one) not in seen), error)
    return error


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__

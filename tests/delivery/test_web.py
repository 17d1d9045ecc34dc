"""How a DICOMweb service learns who we are, and how we know who it is."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from derm_pacs.delivery import stow, web_query
from derm_pacs.delivery.interface import Basic, ClientCredentials
from derm_pacs.domain.composed import Composed
from derm_pacs.domain.errors import Busy, Rejected, Transient
from derm_pacs.domain.reasons import (
    ACCESS_DENIED,
    CERTIFICATE_UNTRUSTED,
    NO_SERVICE,
    PEER_AWAY,
    PEER_BUSY,
    SECRET_UNREADABLE,
)

from .web_peer import Reply, Request, TokenServer, WebService, certificates, serving, stored


@pytest.fixture
def service() -> Iterator[WebService]:
    with serving(lambda _request: stored()) as running:
        yield running


@pytest.fixture
def tokens() -> TokenServer:
    return TokenServer()


@pytest.fixture
def authority(tokens: TokenServer) -> Iterator[WebService]:
    with serving(tokens.answer) as running:
        yield running


def nothing(_uid: str, _status: int) -> None:
    """What is stored is not looked at here."""


def client(authority: WebService, **changes: Any) -> ClientCredentials:
    given: dict[str, Any] = {"client_id": "derm", "secret": lambda: "geheim", "token_url": f"{authority.url}/token"}
    return ClientCredentials(**given | changes)


def test_basic_credentials_go_with_each_request_in_utf_8(service: WebService, objects: list[Composed]) -> None:
    access = Basic(user="jörg", secret=lambda: "paßwort")
    stow.send(service.destination(access=access), objects, nothing)
    assert service.asked[0].headers["authorization"] == "Basic asO2cmc6cGHDn3dvcnQ="


def test_a_token_is_fetched_once_and_goes_with_each_request(
    service: WebService, authority: WebService, tokens: TokenServer, objects: list[Composed]
) -> None:
    many = [replace(objects[0], sop_instance_uid=f"2.25.{number}") for number in range(stow.MOST_OBJECTS + 1)]
    stow.send(service.destination(access=client(authority, scope="dicom.write")), many, nothing)
    assert [one.headers["authorization"] for one in service.asked] == ["Bearer token-1"] * 2
    assert (tokens.given, tokens.scopes) == (["token-1"], ["dicom.write"])


def test_a_token_that_soon_ends_is_renewed(
    service: WebService, authority: WebService, tokens: TokenServer, objects: list[Composed]
) -> None:
    tokens.lives_seconds = 20
    many = [replace(objects[0], sop_instance_uid=f"2.25.{number}") for number in range(stow.MOST_OBJECTS + 1)]
    stow.send(service.destination(access=client(authority)), many, nothing)
    assert tokens.given == ["token-1", "token-2", "token-3"]
    assert [one.headers["authorization"] for one in service.asked] == ["Bearer token-2", "Bearer token-3"]


def test_credentials_that_the_authority_does_not_know_send_nothing(
    service: WebService, authority: WebService, objects: list[Composed]
) -> None:
    with pytest.raises(Transient) as caught:
        stow.send(service.destination(access=client(authority, secret=lambda: "wrong4711")), objects, nothing)
    assert caught.value.reason is ACCESS_DENIED
    assert "invalid_client" in caught.value.detail
    assert "wrong4711" not in str(caught.value)
    assert service.asked == []


@pytest.mark.parametrize(
    ("reply", "error", "reason"),
    [
        ((200, "application/json", b"{}"), Transient, ACCESS_DENIED),
        ((200, "text/html", b"<p>log in"), Rejected, NO_SERVICE),
        ((200, "application/json", b"[1]"), Rejected, NO_SERVICE),
        ((302, "text/html", b""), Rejected, NO_SERVICE),
        ((404, "text/html", b""), Rejected, NO_SERVICE),
        ((401, "text/html", b""), Transient, ACCESS_DENIED),
        ((429, "text/html", b""), Busy, PEER_BUSY),
        ((503, "application/json", b"{}"), Busy, PEER_BUSY),
        ((502, "text/html", b""), Transient, PEER_AWAY),
        (None, Transient, PEER_AWAY),
    ],
)
def test_an_authority_that_gives_no_token_says_why(
    service: WebService, objects: list[Composed], reply: Reply | None, error: type[Exception], reason: Any
) -> None:
    with serving(lambda _request: reply) as odd, pytest.raises(error) as caught:
        stow.send(service.destination(access=client(odd)), objects, nothing)
    assert getattr(caught.value, "reason", None) is reason
    assert service.asked == []
    assert len(odd.asked) == 1


def test_a_secret_that_cannot_be_read_is_tried_again(service: WebService, objects: list[Composed]) -> None:
    def secret() -> str:
        raise Transient(SECRET_UNREADABLE, "web: /etc/secret")

    for access in (Basic(user="derm", secret=secret), ClientCredentials(client_id="derm", secret=secret, token_url="http://127.0.0.1:1")):
        with pytest.raises(Transient) as caught:
            stow.send(service.destination(access=access), objects, nothing)
        assert caught.value.reason is SECRET_UNREADABLE
    assert service.asked == []


def test_no_error_and_no_value_shows_a_secret(service: WebService, authority: WebService, objects: list[Composed]) -> None:
    service.answer = lambda _request: (401, "text/plain", b"")
    for access in (Basic(user="derm", secret=lambda: "geheim4711"), client(authority)):
        destination = service.destination(access=access)
        with pytest.raises(Transient) as caught:
            stow.send(destination, objects, nothing)
        error: BaseException | None = caught.value
        while error is not None:
            assert "geheim" not in str(error)
            error = error.__cause__ or error.__context__
        assert "geheim" not in repr(destination)


def test_a_certificate_of_the_named_authority_is_trusted_and_no_other(tmp_path: Path, objects: list[Composed]) -> None:
    ca_file, certificate = certificates(tmp_path)
    (tmp_path / "other").mkdir()
    other_ca, _ = certificates(tmp_path / "other")
    asked: list[Request] = []

    def answer(request: Request) -> Reply:
        asked.append(request)
        return stored()

    with serving(answer, certificate) as service:
        stow.send(service.destination(ca_file=ca_file), objects, nothing)
        assert len(asked) == 1
        for wrong in (other_ca, None):
            with pytest.raises(Transient) as caught:
                stow.send(service.destination(ca_file=wrong), objects, nothing)
            assert caught.value.reason is CERTIFICATE_UNTRUSTED
        named = service.destination(ca_file=ca_file, url=service.url.replace("127.0.0.1", "localhost"))
        with pytest.raises(Transient) as caught:
            stow.send(named, objects, nothing)
        assert caught.value.reason is CERTIFICATE_UNTRUSTED
        assert "localhost" in caught.value.detail
    assert len(asked) == 1, "nothing is sent before the certificate is trusted"


def test_the_authority_is_checked_against_the_same_certificates(tmp_path: Path, tokens: TokenServer) -> None:
    ca_file, certificate = certificates(tmp_path)
    with serving(lambda _request: (200, "application/dicom+json", b"[]"), certificate) as service, serving(tokens.answer, certificate) as authority:
        web_query.require_query(service.destination(ca_file=ca_file, access=client(authority)))
        with pytest.raises(Transient) as caught:
            web_query.require_query(service.destination(access=client(authority)))
    assert caught.value.reason is CERTIFICATE_UNTRUSTED
    assert len(tokens.given) == 1


def test_plain_http_at_a_tls_address_is_transient(service: WebService) -> None:
    with pytest.raises(Transient) as caught:
        web_query.require_query(service.destination(url=service.url.replace("http://", "https://")))
    assert caught.value.reason is PEER_AWAY

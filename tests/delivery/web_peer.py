"""A scripted DICOMweb service and a stand-in for an authorisation server on the loopback interface; certificates."""

import asyncio
import base64
import datetime as dt
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from derm_pacs.delivery.interface import WebDestination


@dataclass(frozen=True)
class Request:
    """What the service was asked."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    def parts(self) -> list[bytes]:
        """The objects of a multipart/related body, taken apart by its boundary."""
        boundary = self.headers["content-type"].partition("boundary=")[2].strip('"').encode()
        *parts, end = self.body.split(b"--" + boundary)[1:]
        assert end == b"--\r\n"
        for part in parts:
            assert part.startswith(b"\r\nContent-Type: application/dicom\r\n\r\n")
            assert part.endswith(b"\r\n")
        return [part.partition(b"\r\n\r\n")[2][:-2] for part in parts]


Reply = tuple[int, str, bytes]
"""Status, Content-Type, body."""


def told(value: object, status: int = 200) -> Reply:
    """An answer in DICOM JSON."""
    return status, "application/dicom+json; charset=utf-8", json.dumps(value).encode()


def stored(*uids: str, failed: dict[str, int] | None = None, warned: dict[str, int] | None = None, status: int = 200) -> Reply:
    """The answer of STOW-RS that names what is stored and what is not."""
    referenced = [_item(uid) for uid in uids] + [_item(uid, "00081196", reason) for uid, reason in (warned or {}).items()]
    value: dict[str, Any] = {}
    if referenced:
        value["00081199"] = {"vr": "SQ", "Value": referenced}
    if failed:
        value["00081198"] = {"vr": "SQ", "Value": [_item(uid, "00081197", reason) for uid, reason in failed.items()]}
    return told(value, status)


def _item(uid: str, tag: str = "", reason: int = 0) -> dict[str, Any]:
    item: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [uid]}}
    return item | ({tag: {"vr": "US", "Value": [reason]}} if tag else {})


@dataclass
class WebService:
    """Answers by what the test gives, and keeps what it was asked."""

    answer: Callable[[Request], Reply | None]
    """None: the connection is closed without an answer."""
    asked: list[Request] = field(default_factory=list)
    port: int = 0
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def destination(self, seconds: float = 5.0, **changes: Any) -> WebDestination:
        given: dict[str, Any] = {
            "name": "web", "url": f"{self.url}/dicom-web", "connect_seconds": seconds, "answer_seconds": seconds, "store_seconds": seconds,
        }
        return WebDestination(**given | changes)


@contextmanager
def serving(answer: Callable[[Request], Reply | None], certificate: Path | None = None) -> Iterator[WebService]:
    """Run a service whose every answer the test gives."""
    service = WebService(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, parts.path, parse_qs(parts.query), headers, body)
            service.asked.append(request)
            reply = service.answer(request)
            if reply is None:
                self.close_connection = True
                return
            status, kind, content = reply
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", f"{service.url}/elsewhere")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - the name that the base class asks for

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that leaves is part of several tests."""

    server = Server(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        service.scheme = "https"
    service.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextmanager
def tls_before(port: int, certificate: Path) -> Iterator[int]:
    """Give the port of a relay that ends TLS before a plain port of this machine, as a hospital's gateway does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while block := await reader.read(65536):
                writer.write(block)
                await writer.drain()
        writer.close()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))

    async def listen() -> asyncio.Server:
        return await asyncio.start_server(carry, "127.0.0.1", 0, ssl=context)

    async def end(server: asyncio.Server) -> None:
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for one in others:
            one.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(10)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        asyncio.run_coroutine_threadsafe(end(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@dataclass
class TokenServer:
    """Stands in for an authorisation server: gives tokens for one client's credentials (RFC 6749 section 4.4). No real one."""

    client: str = "derm"
    secret: str = "geheim"
    lives_seconds: int = 3600
    given: list[str] = field(default_factory=list)
    scopes: list[str] = field(default_factory=list)

    def answer(self, request: Request) -> Reply:
        known = base64.b64encode(f"{self.client}:{self.secret}".encode()).decode()
        form = parse_qs(request.body.decode())
        if request.method != "POST" or form.get("grant_type") != ["client_credentials"]:
            return 400, "application/json", b'{"error": "unsupported_grant_type"}'
        if request.headers.get("authorization") != f"Basic {known}":
            return 401, "application/json", b'{"error": "invalid_client"}'
        self.given.append(f"token-{len(self.given) + 1}")
        self.scopes += form.get("scope", [])
        token = {"access_token": self.given[-1], "token_type": "Bearer", "expires_in": self.lives_seconds}
        return 200, "application/json", json.dumps(token).encode()


def certificates(folder: Path) -> tuple[Path, Path]:
    """Make an authority of our own and a certificate for 127.0.0.1; returns the authority's file and certificate with key."""
    now = dt.datetime.now(dt.UTC)
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of the test")])

    def made(name: x509.Name, public: Any, *extensions: x509.ExtensionType) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder().subject_name(name).issuer_name(authority_name).public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1)).not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(authority_key, hashes.SHA256())

    authority = made(authority_name, authority_key.public_key(), x509.BasicConstraints(ca=True, path_length=0), x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    ))
    server = made(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")]), key.public_key(), x509.BasicConstraints(ca=False, path_length=None),
        x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
    )
    pem = serialization.Encoding.PEM
    ca_file, certificate = folder / "ca.pem", folder / "server.pem"
    ca_file.write_bytes(authority.public_bytes(pem))
    certificate.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()) + server.public_bytes(pem)
    )
    return ca_file, certificate

"""A hospital's viewer in small: OHIF as released, with our lines in its configuration, on the DICOMweb of a private PACS.

Everything listens on the loopback interface; viewer and PACS share one address, as behind a hospital's proxy.
"""

import base64
import http.client
import http.server
import mimetypes
import os
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from derm_pacs.demonstration.orthanc import Orthanc
from tests.conftest import REPOSITORY

OHIF = "3.13.2"
LINES = REPOSITORY / "deploy" / "ohif" / "derm-pacs.js"
LEGIBLE = LINES.with_name("legible.js")
_CONFIGURATION = """window.config = {
  routerBasename: null, extensions: [], modes: [], showStudyList: true, defaultDataSourceName: 'pacs',
  showLoadingIndicator: true, investigationalUseDialog: { option: 'never' },
  dataSources: [{
    namespace: '@ohif/extension-default.dataSourcesModule.dicomweb', sourceName: 'pacs',
    configuration: {
      friendlyName: 'PACS', name: 'pacs', wadoUriRoot: '/wado', qidoRoot: '/dicom-web', wadoRoot: '/dicom-web',
      imageRendering: 'wadors', thumbnailRendering: 'wadors', enableStudyLazyLoad: true, supportsWildcard: true,
      omitQuotationForMultipartRequest: true, bulkDataURI: { enabled: true },
    },
  }],
};
"""


def cache() -> Path:
    """Return the folder into which fetch.sh puts OHIF and the browser driver."""
    named = os.environ.get("DERM_PACS_VIEWER_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "derm-pacs-viewer"


class Viewer(AbstractContextManager["Viewer"]):
    """OHIF's files and, below the same address, the DICOMweb service of an Orthanc that runs."""

    def __init__(self, pacs: Orthanc, user: str, password: str, *, version: str = OHIF) -> None:
        known = base64.b64encode(f"{user}:{password}".encode()).decode()
        files = (cache() / f"ohif-{version}").resolve()
        if not (files / "index.html").exists():
            raise FileNotFoundError(f"{files} is missing: run tests/viewer/fetch.sh")
        configuration = (_CONFIGURATION + LINES.read_text() + LEGIBLE.read_text()).encode()

        class Handler(_Handler):
            upstream, authorization, dist, config = pacs.http_port, f"Basic {known}", files, configuration

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    upstream: int
    authorization: str
    dist: Path
    config: bytes
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing: a study is some hundred requests."""

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path.startswith(("/dicom-web", "/wado")):
            self._forward()
        elif path == "/app-config.js":
            self._answer(200, "text/javascript", self.config)
        else:
            self._file(path)

    def do_POST(self) -> None:
        self._forward()

    def _file(self, path: str) -> None:
        file = (self.dist / path.lstrip("/")).resolve()
        if not file.is_file() and "." not in file.name:
            file = self.dist / "index.html"  # a page of the viewer's own, such as /viewer
        if not file.is_file() or not file.is_relative_to(self.dist):
            self._answer(404, "text/plain", b"")
            return
        kind = "application/wasm" if file.suffix == ".wasm" else mimetypes.guess_type(file.name)[0]
        self._answer(200, kind or "application/octet-stream", file.read_bytes())

    def _forward(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        headers = {name: value for name in ("Accept", "Content-Type", "Host") if (value := self.headers.get(name))}
        link = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=120)
        try:
            body = self.rfile.read(length) if length else None
            link.request(self.command, self.path, body, headers | {"Authorization": self.authorization})
            reply = link.getresponse()
            self._answer(reply.status, reply.getheader("Content-Type") or "", reply.read())
        finally:
            link.close()

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.end_headers()
        self.wfile.write(body)

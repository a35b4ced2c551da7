"""An HTTP proxy on loopback before the S3 server. It spoils chosen answers, as networks and stores do."""

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from botocore.retries.standard import ExponentialBackoff

from rectok.storage import client as storage_client
from rectok.storage.client import forget_client
from tests.storage.server import running

FaultKind = Literal[
    "503", "cut", "stall", "drip", "crawl", "truncated", "expired", "dropped", "changed", "untagged", "moved", "region", "length"
]  # fmt: skip
ELSEWHERE = "eu-west-1"
"""The region into which the fault `region` leads."""
ERRORS = {
    "503": (503, "SlowDown", "Reduce your request rate"),
    "expired": (400, "ExpiredToken", "The provided token has expired."),
}


@dataclass
class Fault:
    """Spoils the next `times` requests of `method` whose path contains `where`.

    cut: half of the body, then the connection closes. stall: half of it, then silence. drip: one byte after the other, each
    before a read gives up; crawl: its head, too. truncated: half of it, announced as the whole (of an upload, the proxy forwards
    half). dropped: no answer. changed: `change` runs first. 503, expired: that answer. untagged: no ETag. moved: a redirect to
    the same place. region: a redirect with status `announced`, unless the request is signed for ELSEWHERE. length: the announced
    length is `announced`.
    """

    kind: FaultKind
    method: str = "GET"
    where: str = ""
    times: int = 1
    change: Callable[[], object] = lambda: None
    announced: str = ""


@dataclass
class Proxy:
    """The pending faults, and all requests (method and path)."""

    target: str
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def spoil(self, *faults: Fault) -> None:
        """Set the pending faults, and forget all requests."""
        with self.lock:
            self.faults, self.requests = list(faults), []

    def take(self, method: str, path: str) -> Fault | None:
        """The fault for this request."""
        with self.lock:
            self.requests.append(f"{method} {path}")
            for fault in self.faults:
                if fault.times and fault.method == method and fault.where in path:
                    fault.times -= 1
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Quiet."""

    def handle_any(self) -> None:
        if self.headers.get("Expect"):
            self.send_response_only(100)
            self.end_headers()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.proxy.take(self.command, self.path)
        kind = fault.kind if fault else None
        if kind == "dropped":
            self._close()
        elif kind in ERRORS:
            self._refuse(*ERRORS[kind])
        elif kind == "region" and f"/{ELSEWHERE}/s3/" not in self.headers.get("Authorization", ""):
            self._answer(int(fault.announced) if fault else 301, {"x-amz-bucket-region": ELSEWHERE}, b"")
        elif kind == "moved":
            self._answer(307, {"Location": f"http://{self.headers['Host']}{self.path}"}, b"")
        else:
            if fault:
                fault.change()
            if kind == "truncated" and self.command == "PUT":
                del self.headers["Content-Length"]
                body, kind = body[: len(body) // 2], None
            if kind == "region":
                fault = None
            self._forward(body, kind, fault.announced if fault else "")

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any

    def _refuse(self, status: int, code: str, message: str) -> None:
        head = self.command == "HEAD"
        text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        self._answer(status, {"Content-Type": "application/xml"}, b"" if head else text.encode())

    def _forward(self, body: bytes, kind: FaultKind | None, announced: str) -> None:
        server = http.client.HTTPConnection(self.proxy.target, timeout=20)
        server.request(self.command, self.path, body, dict(self.headers.items()))
        answer = server.getresponse()
        content = answer.read()
        headers = {k: v for k, v in answer.getheaders() if k.lower() not in ("connection", "transfer-encoding", "date")}
        server.close()
        if kind == "untagged":
            headers.pop("ETag", None)
        if kind in ("cut", "stall"):
            self._answer(answer.status, headers, content[: len(content) // 2], announced=len(content))
            if kind == "stall":
                threading.Event().wait(3 * storage_client.READ_TIMEOUT)
            self._close()
        elif kind == "drip":
            self._answer(answer.status, headers, b"", announced=len(content))
            self._drip(content)
        elif kind == "crawl":
            self._drip(
                b"HTTP/1.1 200 OK\r\n"
                + b"".join(f"{k}: {v}\r\n".encode() for k, v in headers.items())
                + b"\r\n"
                + content
            )
        elif kind == "truncated":
            self._answer(answer.status, headers, content[: len(content) // 2])
        else:
            length = announced or headers.get("Content-Length", str(len(content)))
            self._answer(answer.status, headers, content, announced=length)
            if announced:
                self._close()

    def _drip(self, content: bytes) -> None:
        with suppress(OSError):  # the client has gone
            for byte in content:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                threading.Event().wait(storage_client.READ_TIMEOUT / 4)

    def _answer(self, status: int, headers: dict[str, str], content: bytes, announced: int | str | None = None) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) if announced is None else announced))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(content)
            self.wfile.flush()

    def _close(self) -> None:
        self.close_connection = True
        with suppress(OSError):  # the client may have closed it
            self.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def before(endpoint: str, patch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Run a proxy before the server at `endpoint` and point this process's client at it, with short timeouts."""
    proxy = Proxy(urlsplit(endpoint).netloc)
    handler = type("Handler", (_Handler,), {"proxy": proxy})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        patch.setattr(storage_client, "ATTEMPTS", 3)
        patch.setattr(storage_client, "FIRST_WAIT", 0.01)
        patch.setattr(storage_client, "READ_TIMEOUT", 0.4)
        patch.setattr(storage_client, "SLOWEST", 2**21)
        patch.setattr(ExponentialBackoff, "delay_amount", lambda self, context: 0.01)
        forget_client()
        try:
            yield proxy
        finally:
            server.shutdown()
            forget_client()


@dataclass
class FaultyStore:
    """The server itself and the proxy before it."""

    server: Any
    proxy: Proxy


@contextmanager
def faulty_store() -> Iterator[FaultyStore]:
    """Run a server behind a proxy. The client of this process uses the proxy."""
    with (
        pytest.MonkeyPatch.context() as patch,
        running(patch) as server,
        before(server.meta.endpoint_url, patch) as proxy,
    ):
        yield FaultyStore(server, proxy)

"""A real webhook and a real mail server on loopback. They record what they receive, and refuse on request."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, Session

from tests.ports import free_port


@dataclass
class Hook:
    """The server sends `answers` one by one, then 200. Its reason repeats the path where it `echoes`. GET is answered too."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    received: list[dict[str, Any]] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    echoes: bool = False


@contextmanager
def webhook(port: int = 0) -> Iterator[Hook]:
    """An HTTP server for JSON. Port 0 means any free port."""
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = hook.answers.pop(0) if hook.answers else 200
            if status == 200:
                hook.received.append(json.loads(body))
                hook.kinds.append(self.headers["Content-Type"])
            self.send_response(status, f"no {self.path}" if hook.echoes else None)
            if 300 <= status < 400:
                self.send_header("Location", self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    hook.url = f"http://127.0.0.1:{server.server_port}/hooks/secret-token"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Mailbox:
    """The server sends `answers` one by one as replies to messages, then accepts."""

    port: int = 0
    answers: list[str] = field(default_factory=list)
    received: list[Message] = field(default_factory=list)
    users: list[str] = field(default_factory=list)

    async def handle_DATA(self, server: object, session: Session, envelope: Envelope) -> str:
        """Record the message."""
        if self.answers:
            return self.answers.pop(0)
        self.received.append(message_from_bytes(envelope.content or b""))  # type: ignore[arg-type]
        return "250 OK"

    async def handle_RCPT(
        self, server: object, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Refuse the address of nobody."""
        if address.startswith("nobody"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"


@contextmanager
def mail_server(password: str = "", port: int = 0, **tls: Any) -> Iterator[Mailbox]:
    """An SMTP server. With a `password` it accepts logins, with `tls_context` it offers STARTTLS."""
    box = Mailbox(port or free_port())

    def authenticate(server: object, session: object, envelope: object, mechanism: str, data: Any) -> AuthResult:
        box.users.append(data.login.decode())
        return AuthResult(success=data.password.decode() == password, handled=False, auth_data=box.users[-1])

    login = {"authenticator": authenticate, "auth_require_tls": False} if password else {}
    controller = Controller(box, hostname="127.0.0.1", port=box.port, **login, **tls)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()

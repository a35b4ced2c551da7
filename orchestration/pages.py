"""Serves the pages and pictures below data/ to the browser, as links and pictures of the asset pages, beside `dg dev`."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote, urlsplit

from rectok.artifacts import DATA
from rectok.errors import UserError

PAGES = "RECTOK_PAGES"
"""Environment variable: the address at which a browser reaches the folder data/. Unset, asset pages have paths in its place."""
PORT = 3001
NAMES = ("localhost", "127.0.0.1")
"""Under which it answers, so that no page from elsewhere reaches it by a name of its own."""
RAW = "raw"
"""Folder of data/ with the images of the user."""
WIDTH, NARROW = 480, "&narrow"
"""Pixels of a picture on an asset's page, and what asks for that width."""
ENDINGS = {".html", ".png", ".jpg", ".svg", ".css", ".js"}
"""Files that are served. Weights, parameters and what lies in data/raw are not."""


def page_url(path: Path, version: str = "") -> str | None:
    """The address of a file of the project, whose relative path is `path`. None if nothing serves it.

    A `version` makes browsers fetch a file anew that has changed.
    """
    base = os.environ.get(PAGES, "").rstrip("/")
    if not base or path.suffix not in ENDINGS:
        return None
    return f"{base}/{quote(path.relative_to(DATA).as_posix())}{f'?{version}' if version else ''}"


class _Handler(SimpleHTTPRequestHandler):
    def send_head(self) -> Any:
        """Answer with the file, if it is a page or picture. Folders are not listed."""
        if self.headers.get("Host", "").partition(":")[0] not in NAMES:  # DNS rebinding
            self.send_error(HTTPStatus.BAD_REQUEST)
            return None
        path = Path(self.translate_path(self.path))
        if path.suffix not in ENDINGS or not path.is_file() or path.is_relative_to(Path(self.directory, RAW)):
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        return self._narrow(path) if path.suffix == ".png" and NARROW in self.path else super().send_head()

    def _narrow(self, path: Path) -> io.BytesIO:
        """Answer with a picture that is no wider than the column of an asset's page."""
        from PIL import Image

        buffer = io.BytesIO()
        with Image.open(path) as image:
            image.thumbnail((WIDTH, 10 * WIDTH))
            image.save(buffer, "png")
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "image/png")
        self.send_header("Content-Length", str(buffer.tell()))
        self.end_headers()
        buffer.seek(0)
        return buffer

    def log_message(self, *_words: Any) -> None:
        """Print nothing."""


@contextmanager
def serving(root: Path, port: int = PORT) -> Iterator[str]:
    """Serve the project at `root` on loopback. The address, to which links in the event log lead for good.

    Raises UserError if the port is taken.
    """
    handler = partial(_Handler, directory=str(root / DATA))
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        raise UserError(
            f"port {port} of this machine is not free for pages and pictures ({str(error.strerror).lower()}); end the program "
            f"that has it, perhaps another `make dev`, or set {PAGES}=http://localhost:PORT to another port"
        ) from None
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def main(arguments: list[str]) -> int:
    """`dg dev` with `arguments` and the server, until Ctrl-C. An address in the environment is used as it is."""
    with serving(Path(os.environ.get("RECTOK_ROOT", ".")), _port()) as address:
        environment = {PAGES: address, **os.environ}
        signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C reaches `dg dev`, too
        with subprocess.Popen(("dg", "dev", *arguments), env=environment) as child:
            signal.signal(signal.SIGTERM, lambda *_: child.terminate())
            return child.wait()


def _port() -> int:
    """The port of an address on this machine in the environment, else `PORT`: a proxy of that address leads there."""
    address = urlsplit(os.environ.get(PAGES, ""))
    return (address.port or PORT) if address.hostname in NAMES else PORT


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UserError as sentence:
        sys.exit(f"rectok: {sentence}")

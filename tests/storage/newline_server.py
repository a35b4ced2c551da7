"""The part of S3 that reads objects, for keys with a newline, which moto's router does not know."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest

from rectok.storage.client import forget_client

BUCKET = "images"
ENTRY = "<Contents><Key>{}</Key><Size>{}</Size></Contents>"


@contextmanager
def serving(objects: Mapping[str, bytes], patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Serve `objects` by key in one bucket, in pages of one object, with keys that are encoded as the client asks."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            key, query = unquote(address.path).removeprefix(f"/{BUCKET}").removeprefix("/"), parse_qs(address.query)
            content = objects[key] if key else self._listing(query)
            first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
            part = content[int(first) : int(last) + 1 if last else None]
            self.send_response(206 if "Range" in self.headers else 200)
            self.send_header("Content-Length", str(len(part)))
            self.send_header("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}")
            self.send_header("ETag", '"1"')
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(part)

        do_HEAD = do_GET

        def _listing(self, query: Mapping[str, list[str]]) -> bytes:
            assert query["encoding-type"] == ["url"]  # XML 1.0 would turn some control characters into errors
            keys = sorted(key for key in objects if key.startswith(query.get("prefix", [""])[0]))
            start = int(query.get("continuation-token", ["0"])[0])
            more = f"<NextContinuationToken>{start + 1}</NextContinuationToken>" if start + 1 < len(keys) else ""
            entries = "".join(ENTRY.format(quote(key), len(objects[key])) for key in keys[start : start + 1])
            truncated = str(bool(more)).lower()
            return (
                f"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>{truncated}</IsTruncated>{entries}{more}"
                "</ListBucketResult>"
            ).encode()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        patch.setenv(name, "test")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    forget_client()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        forget_client()

"""A small S3 store in memory that answers after a delay, for measurements: `python -m tests.storage.slow_store --delay 0.05`.

It costs a tenth of the processor time of moto, so what is measured is the reader. It has one bucket of any name.
"""

import argparse
import asyncio
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

PAGE = 1000
"""Entries of one page of a listing, as Amazon has it."""


@dataclass
class Store:
    """Objects by key with their ETags, and the seconds before each answer."""

    delay: float
    objects: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    """The sorted keys, as of the last listing that began."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests, one after the other."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                if "expect" in headers:
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                await asyncio.sleep(self.delay)
                method, target, _ = first.split(" ")
                writer.write(self._answer(method, target, headers, body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
        url = urlsplit(target)
        query, key = parse_qs(url.query), unquote(url.path).lstrip("/").partition("/")[2]
        if "list-type" in query:
            return _response("200 OK", self._page(query), {"Content-Type": "application/xml"})
        if "uploads" in url.query:
            return _response("200 OK", b"<Result><UploadId>1</UploadId></Result>", {"Content-Type": "application/xml"})
        if method == "POST" and "uploadId" in query:
            numbers = range(1, body.count(b"<PartNumber>") + 1)
            body = b"".join(self.objects.pop(f"{key}#{number}")[0] for number in numbers)
            self.objects[key] = body, _tag(body)
            return _response("200 OK", b"<CompleteMultipartUploadResult/>", {"Content-Type": "application/xml"})
        if method == "PUT":
            key += f"#{query['partNumber'][0]}" if "partNumber" in query else ""
            self.objects[key] = body, (tag := _tag(body))
            return _response("200 OK", b"", {"ETag": tag})
        if method == "POST":  # a request to delete several
            for name in re.findall(r"<Key>(.*?)</Key>", body.decode()):
                self.objects.pop(unescape(name), None)
            return _response("200 OK", b"<DeleteResult/>", {"Content-Type": "application/xml"})
        if key not in self.objects:
            return _response("404 Not Found")
        content, tag = self.objects[key]
        facts = {"ETag": tag, "Last-Modified": formatdate(usegmt=True)}
        if method == "HEAD":
            return _response("200 OK", b"", {**facts, "Content-Length": str(len(content))})
        if asked := re.fullmatch(r"bytes=(\d+)-(\d+)", headers.get("range", "")):
            start, end = int(asked[1]), min(int(asked[2]) + 1, len(content))
            facts["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
            return _response("206 Partial Content", content[start:end], facts)
        return _response("200 OK", content, facts)

    def _page(self, query: Mapping[str, list[str]]) -> bytes:
        prefix, token = (query.get(name, [""])[0] for name in ("prefix", "continuation-token"))
        if not token:
            self.names = sorted(self.objects)
        names = [name for name in self.names if name.startswith(prefix)]
        begin = int(token or "0")
        entries = "".join(
            f"<Contents><Key>{escape(name)}</Key><Size>{len(self.objects[name][0])}</Size></Contents>"
            for name in names[begin : begin + PAGE]
        )
        more = begin + PAGE < len(names)
        following = f"<NextContinuationToken>{begin + PAGE}</NextContinuationToken>" if more else ""
        page = (
            f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{following}{entries}</ListBucketResult>"
        )
        return page.encode()


def _response(status: str, content: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    lines = {"Content-Length": str(len(content)), **(headers or {})}
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status}\r\n{text}\r\n".encode() + content


def _tag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


async def main() -> None:
    """Serve until interrupted, and print the endpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay", type=float, default=0.05, help="seconds before each answer")
    parser.add_argument("--port", type=int, default=9050)
    parser.add_argument("--objects", type=int, default=0, help="so many objects of 2 500 bytes lie in it below many/")
    options = parser.parse_args()
    store = Store(options.delay)
    store.objects = {
        f"many/{number:05d}": (content, _tag(content)) for number in range(options.objects) for content in [bytes(2500)]
    }
    server = await asyncio.start_server(store.serve, "127.0.0.1", options.port, limit=2**20)
    print(f"AWS_ENDPOINT_URL=http://127.0.0.1:{options.port}", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

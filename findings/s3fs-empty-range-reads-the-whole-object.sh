#!/usr/bin/env bash
# An empty range of an object makes s3fs read the whole object.
#
# Guess: cat_file(path, start=n, end=n) returns no bytes, as it does in every other file system of fsspec and as
#   slices do in Python.
# Behaviour: s3fs returns the whole object. A reader of tar members or of parts of a shard gets the shard for each
#   member without content. cat_ranges does the same.
# Version: s3fs 2026.9.0, fsspec 2026.9.0, against moto 5.2.5
# Documented: not documented.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
packages=(s3fs==2026.9.0 fsspec==2026.9.0 moto[server]==5.2.5)
if command -v uv > /dev/null; then
  uv venv -q .venv && uv pip install -q --python .venv/bin/python "${packages[@]}"
else
  python3 -m venv .venv && .venv/bin/pip install -q "${packages[@]}"
fi
export PATH=$PWD/.venv/bin:$PATH
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1
python - << 'END'
import logging
import sys

import fsspec
import s3fs
from moto.server import ThreadedMotoServer

logging.disable(logging.CRITICAL)
print("s3fs", s3fs.__version__, "fsspec", fsspec.__version__)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
server.start()
host, port = server.get_host_and_port()
s3 = s3fs.S3FileSystem(client_kwargs={"endpoint_url": f"http://{host}:{port}"})
s3.mkdir("bucket")
memory = fsspec.filesystem("memory")
seen = {}
for name, files, path in (("s3", s3, "bucket/shard"), ("memory", memory, "/shard")):
    files.pipe(path, b"0123456789")
    ranges = files.cat_ranges([path] * 2, [2, 5], [5, 5])
    seen[name] = [files.cat_file(path, start=2, end=5), files.cat_file(path, start=5, end=5), ranges]
server.stop()
print("guess: bytes 2 to 5 are 234, bytes 5 to 5 are empty, one by one and in cat_ranges")
print(f"seen:  {seen}")
empty, whole = [b"234", b"", [b"234", b""]], [b"234", b"0123456789", [b"234", b"0123456789"]]
if seen != {"s3": whole, "memory": empty}:
    sys.exit("the surprise is gone")
END

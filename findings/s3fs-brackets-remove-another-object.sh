#!/usr/bin/env bash
# s3fs.rm of an object with brackets in its name leaves it there and removes another one.
#
# Guess: rm(path) removes the object of that name, as exists(path) and open(path) mean the object of that name.
# Behaviour: rm takes `[`, `?` and `*` as patterns even where an object has exactly that name. An image folder may well
#   hold "dog [1].png" and "dog 1.png". rm_file takes the name as it is.
# Version: s3fs 2026.9.0, fsspec 2026.9.0, against moto 5.2.5
# Documented: not in the text of rm, which says "Files or directories to delete"; issue 838 of fsspec/filesystem_spec asks
#   for names with brackets in put, and its answer points to the methods for one file.
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
s3 = s3fs.S3FileSystem(client_kwargs={"endpoint_url": f"http://{host}:{port}"}, use_listings_cache=False)
s3.mkdir("bucket")


def left(remove):
    """The names that are left once "dog [1].png" was removed beside "dog 1.png"."""
    for name in ("dog [1].png", "dog 1.png"):
        s3.pipe_file(f"bucket/{name}", name.encode())
    assert s3.exists("bucket/dog [1].png") and s3.cat_file("bucket/dog [1].png") == b"dog [1].png"
    remove("bucket/dog [1].png")
    return sorted(path.removeprefix("bucket/") for path in s3.ls("bucket"))


seen = {"rm": left(s3.rm), "rm_file": left(s3.rm_file)}
server.stop()
print("guess: 'dog 1.png' is left")
print(f"seen:  {seen['rm']} left by rm, {seen['rm_file']} left by rm_file")
if seen != {"rm": ["dog [1].png"], "rm_file": ["dog 1.png"]}:
    sys.exit("the surprise is gone")
END

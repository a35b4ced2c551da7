#!/usr/bin/env bash
# WebDataset ends a sample's key at the first dot of the file name, not at its extension.
#
# Guess: img.v2.jpg and img.v2.cls make one sample with the fields jpg and cls, and img.v1.jpg another.
# Behaviour: all files are one sample with the key img; its fields are v1.jpg, v1.cls, v2.jpg and v2.cls, so nothing
#   is called jpg.
# Version: webdataset 1.0.2
# Documented: in the format description of WebDataset.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
if command -v uv > /dev/null; then
  uv pip install --quiet --python "$folder/venv/bin/python" webdataset==1.0.2
else
  "$folder/venv/bin/python" -m pip install --quiet webdataset==1.0.2
fi
cd "$folder"
export PATH="$folder/venv/bin:$PATH"
python - <<'PYTHON'
import io
import tarfile
from importlib.metadata import version

import webdataset

with tarfile.open("shard.tar", "w") as tar:
    for name in ("img.v1.jpg", "img.v1.cls", "img.v2.jpg", "img.v2.cls"):
        member = tarfile.TarInfo(name)
        member.size = 1
        tar.addfile(member, io.BytesIO(b"0"))
samples = list(webdataset.WebDataset("shard.tar", shardshuffle=False))
fields = [sorted(name for name in sample if not name.startswith("__")) for sample in samples]
print("webdataset", version("webdataset"))
print("guess: two samples with the fields cls and jpg")
print("seen: ", len(samples), "sample with the fields", *fields)
raise SystemExit(int(fields != [["v1.cls", "v1.jpg", "v2.cls", "v2.jpg"]]))
PYTHON

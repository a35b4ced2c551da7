#!/usr/bin/env bash
# Pillow turns a TIFF by its orientation while it loads it, and no other format.
#
# Guess: Pillow gives the pixels of a picture as they are stored, whatever the orientation in its EXIF data says, and
#   ImageOps.exif_transpose turns them. So one picture in four containers gives one array.
# Behaviour: JPEG, PNG and WebP come as stored, with their orientation. A TIFF comes turned, its size is the turned one
#   even before its pixels are loaded, and its EXIF data no longer has the orientation. A protocol that ignores the
#   orientation, as guided-diffusion's does, sees other pixels of the same picture after a conversion to TIFF.
# Version: pillow 13.0.0
# Documented: ImageOps.exif_transpose is. We found no word on TIFF in the documentation.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
packages=(pillow==13.0.0)
if command -v uv > /dev/null; then
  uv venv -q .venv && uv pip install -q --python .venv/bin/python "${packages[@]}"
else
  python3 -m venv .venv && .venv/bin/pip install -q "${packages[@]}"
fi
.venv/bin/python - << 'END'
import sys

import PIL
from PIL import Image

ORIENTATION, QUARTER_TURN = 0x0112, 6
exif = Image.Exif()
exif[ORIENTATION] = QUARTER_TURN
seen = {}
for name, options in {"jpeg": {}, "png": {}, "webp": {"lossless": True}, "tiff": {}}.items():
    Image.new("RGB", (6, 2)).save(f"picture.{name}", exif=exif, **options)
    with Image.open(f"picture.{name}") as picture:
        before = picture.size
        picture.load()
        seen[name] = before, picture.size, picture.getexif().get(ORIENTATION)
print("pillow", PIL.__version__)
stored, turned = ((6, 2), (6, 2), QUARTER_TURN), ((2, 6), (2, 6), None)
print(f"guess: {stored} for all four (size when opened, size when loaded, orientation)")
print("seen: ", seen)
if seen != {"jpeg": stored, "png": stored, "webp": stored, "tiff": turned}:
    sys.exit("the surprise is gone")
END

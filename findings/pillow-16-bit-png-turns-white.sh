#!/usr/bin/env bash
# Pillow turns a 16-bit grey PNG white when it is converted to RGB.
#
# Guess: Image.open(file).convert('RGB'), which most loaders of image folders call, brings a 16-bit grey PNG to 8 bits
#   by its scale: 65535 becomes 255.
# Behaviour: The values are clipped instead of scaled. All pixels above 255 of 65535 become white, so nearly every
#   photograph is a white image, without a warning. convert('L') does the same.
# Version: pillow 13.0.0
# Documented: not in the pages on modes and on convert.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
packages=(pillow==13.0.0 numpy==2.4.6)
if command -v uv > /dev/null; then
  uv venv -q .venv && uv pip install -q --python .venv/bin/python "${packages[@]}"
else
  python3 -m venv .venv && .venv/bin/pip install -q "${packages[@]}"
fi
export PATH=$PWD/.venv/bin:$PATH
python - << 'END'
import sys

import numpy as np
import PIL
from PIL import Image

print("pillow", PIL.__version__)
ramp = np.linspace(0, 65535, 256).round().astype(np.uint16)[None].repeat(256, 0)
Image.fromarray(ramp).save("ramp.png")
image = Image.open("ramp.png")
white = {mode: float((np.asarray(image.convert(mode)) == 255).mean()) for mode in ("RGB", "L")}
kept = bool((np.asarray(image) == ramp).all())
print("guess: a ramp from black to white, 1 of 256 columns is white")
print(f"seen:  part that is white {white}; the file itself is right: {kept} (mode {image.mode})")
if min(white.values()) < 0.99 or not kept:
    sys.exit("the surprise is gone")
END

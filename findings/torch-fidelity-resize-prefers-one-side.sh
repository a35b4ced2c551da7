#!/usr/bin/env bash
# torch-fidelity's resize shifts a mirrored image against the image.
#
# Guess: FID does not change much if all images are mirrored, and never because of the resize: a mirrored image is
#   resized to the mirrored result.
# Behaviour: torch-fidelity's Inception resizes as TensorFlow 1 did, with pixel centres at the left edge. A mirrored
#   32-pixel image comes out shifted by most of an original pixel. Features of an image and of its mirror image differ
#   for this alone, so augment or draw both sets alike.
# Version: torch-fidelity 0.4.0, torch 2.15.0
# Documented: the function says that it follows TensorFlow 1; that mirrored images get other features is not
#   documented.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
packages=(torch-fidelity==0.4.0 torch==2.15.0 torchvision==0.29.2)
if command -v uv > /dev/null; then
  uv venv -q .venv && uv pip install -q --python .venv/bin/python "${packages[@]}"
else
  python3 -m venv .venv && .venv/bin/pip install -q "${packages[@]}"
fi
export PATH=$PWD/.venv/bin:$PATH
python - << 'END'
import sys
from importlib.metadata import version

import torch
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x as resize

print("torch-fidelity", version("torch-fidelity"), "torch", torch.__version__)
ramp = torch.arange(32.0).mul(8).expand(1, 3, 32, 32)


def difference(function):
    """The largest difference between resizing and mirroring, in either order, of values from 0 to 248."""
    return (function(ramp.flip(-1)).flip(-1) - function(ramp)).abs().max().item()


size = (299, 299)
theirs = difference(lambda x: resize(x, size=size, align_corners=False))
torchs = difference(lambda x: torch.nn.functional.interpolate(x, size=size, mode="bilinear", align_corners=False))
print("guess: 0 grey levels of difference, in a ramp of 8 levels per pixel")
print(f"seen:  {theirs:.2f} with the resize of torch-fidelity, {torchs:.4f} with torch's")
if theirs < 5 or torchs > 0.01:
    sys.exit("the surprise is gone")
END

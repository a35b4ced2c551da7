#!/usr/bin/env bash
# torch.randn with one seed on a CPU gives other numbers when a few more are drawn.
#
# Guess: with the same seed, a longer draw begins with the shorter one, as torch.rand and numpy have it.
# Behaviour: below 16 numbers a draw shares nothing with a longer one, and from 16 on the last 16 differ unless the
#   size is a multiple of 16. Samples that must not depend on the batch need a generator each.
# Version: torch 2.15.0
# Documented: not documented; the reproducibility notes promise nothing about sizes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
if command -v uv > /dev/null; then
  uv pip install --quiet --python "$folder/venv/bin/python" torch==2.15.0 numpy==2.4.6
else
  "$folder/venv/bin/python" -m pip install --quiet torch==2.15.0 numpy==2.4.6
fi
cd "$folder"
export PATH="$folder/venv/bin:$PATH"
python - <<'PYTHON'
import torch

def draw(function, count):
    return function(count, generator=torch.Generator().manual_seed(0))

def common(function, count):
    return int((draw(function, count) == draw(function, 64)[:count]).long().cumprod(0).sum())

print("torch", torch.__version__)
counts = {count: common(torch.randn, count) for count in (8, 16, 20, 32)}
print("guess: a draw of n numbers is the beginning of a draw of 64")
print("seen:  torch.rand:", common(torch.rand, 20), "of 20 agree; torch.randn, agreeing numbers by size:", counts)
raise SystemExit(int(common(torch.rand, 20) != 20 or counts[8] == 8 or counts[20] == 20 or counts[32] != 32))
PYTHON

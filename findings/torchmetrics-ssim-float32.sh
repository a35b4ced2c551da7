#!/usr/bin/env bash
# torchmetrics' SSIM of float32 images with values up to 255 is wrong in the fourth digit.
#
# Guess: float32 is enough for a metric of 8-bit images: the value agrees with float64 to some 1e-6.
# Behaviour: E[x²] − E[x]² cancels in flat bright areas, and the value is off by 1.5e-4 here. Images as float64 avoid
#   it.
# Version: torchmetrics 1.9.0, torch 2.15.0
# Documented: not documented.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
if command -v uv > /dev/null; then
  uv pip install --quiet --python "$folder/venv/bin/python" torchmetrics==1.9.0 torch==2.15.0 numpy==2.4.6
else
  "$folder/venv/bin/python" -m pip install --quiet torchmetrics==1.9.0 torch==2.15.0 numpy==2.4.6
fi
cd "$folder"
export PATH="$folder/venv/bin:$PATH"
python - <<'PYTHON'
import torch
import torchmetrics
from torchmetrics.functional.image import structural_similarity_index_measure as ssim

random = torch.Generator().manual_seed(0)
flat = torch.full((1, 3, 64, 64), 250.0) + torch.randint(0, 3, (1, 3, 64, 64), generator=random)
other = flat + torch.randint(0, 2, flat.shape, generator=random)
single, double = (float(ssim(flat.to(t), other.to(t), data_range=255.0)) for t in (torch.float32, torch.float64))
print("torchmetrics", torchmetrics.__version__)
print("guess: float32 agrees with float64 to 1e-5")
print(f"seen:  float32 {single:.6f}, float64 {double:.6f}, difference {abs(single - double):.1e}")
raise SystemExit(int(abs(single - double) < 1e-4))
PYTHON

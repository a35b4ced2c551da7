#!/usr/bin/env bash
# forward_features of a timm ViT with average pooling ends before the final norm.
#
# Guess: forward_features gives the last hidden state after the final norm, as it does for a ViT with a class token.
# Behaviour: with global_pool avg the norm is called fc_norm, lies behind the pooling, and forward_features does not
#   apply it: tokens are not normalised, and no name says so.
# Version: timm 1.0.31
# Documented: only in the code (fc_norm of VisionTransformer).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
if command -v uv > /dev/null; then
  uv pip install --quiet --python "$folder/venv/bin/python" timm==1.0.31 torch==2.15.0 torchvision==0.29.2 numpy==2.4.6
else
  "$folder/venv/bin/python" -m pip install --quiet timm==1.0.31 torch==2.15.0 torchvision==0.29.2 numpy==2.4.6
fi
cd "$folder"
export PATH="$folder/venv/bin:$PATH"
python - <<'PYTHON'
import timm
import torch

torch.manual_seed(0)
images = torch.randn(1, 3, 32, 32)
deviations = {}
for pool in ("token", "avg"):
    network = timm.create_model("vit_tiny_patch16_224", img_size=32, global_pool=pool).eval()
    with torch.no_grad():
        deviations[pool] = float(network.forward_features(5 * images).std(-1).mean())
print("timm", timm.__version__)
print("guess: every token has a standard deviation of 1 after the final norm, with either pooling")
print("seen: ", {pool: round(value, 3) for pool, value in deviations.items()})
raise SystemExit(int(abs(deviations["token"] - 1) > 0.01 or abs(deviations["avg"] - 1) < 0.05))
PYTHON

#!/usr/bin/env bash
# Iterating over a DataLoader changes the random numbers that come after it, also where nothing is shuffled and no worker runs.
#
# Guess: a loop over a validation set in fixed order, in the same process, draws no random numbers. A training that
#   validates every hundred steps then sees the same noise as one that does not.
# Behaviour: each `iter(loader)` draws a seed for workers from the global generator, with num_workers=0 too. The noise
#   of all later steps is another. A loader that has a generator of its own leaves the global one alone.
# Version: torch 2.15.0
# Documented: for loading with several processes only, in torch.utils.data under "Randomness in multi-process data loading".
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
from torch.utils.data import DataLoader

validation = list(range(8))


def noise(*loaders):
    """The first number after one pass over each loader."""
    torch.manual_seed(0)
    for loader in loaders:
        for _ in loader:
            pass
    return torch.randn(()).item()


plain = DataLoader(validation, batch_size=4, shuffle=False, num_workers=0)
own = DataLoader(validation, batch_size=4, shuffle=False, num_workers=0, generator=torch.Generator())
print("torch", torch.__version__)
print("guess: the same number after a pass in fixed order, without workers, as without a pass")
print(f"seen:  {noise():.4f} without, {noise(plain):.4f} after one pass, {noise(own):.4f} where the loader has its generator")
raise SystemExit(0 if noise(plain) != noise() == noise(own) else "the surprise is gone")
PYTHON

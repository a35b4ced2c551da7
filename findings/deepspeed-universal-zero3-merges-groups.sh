#!/usr/bin/env bash
# At ZeRO 3 a universal checkpoint of DeepSpeed loads with the first parameter group's settings in every group.
#
# Guess: ds_to_universal keeps the groups of the optimizer, as it does at ZeRO 1. A group without weight decay, for
#   norms and biases, has none after the load either.
# Behaviour: at ZeRO 3 all groups come back with the learning rate and the decay of the first one, with no message. At
#   ZeRO 1 each group has its own.
# Version: deepspeed 0.19.8, torch 2.15.0. On a CPU, with gloo; DeepSpeed builds a small extension, which needs a C++
#   compiler.
# Documented: not documented.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
packages=(deepspeed==0.19.8 torch==2.15.0 numpy==2.4.6)
if command -v uv > /dev/null; then
  uv venv -q .venv && uv pip install -q --python .venv/bin/python "${packages[@]}"
else
  python3 -m venv .venv && .venv/bin/pip install -q "${packages[@]}"
fi
export PATH=$PWD/.venv/bin:$PATH
export PYTHONWARNINGS=ignore DS_ACCELERATOR=cpu TORCH_EXTENSIONS_DIR=$PWD/extensions LOCAL_RANK=0
python - << 'END'
import logging
import subprocess
import sys
from pathlib import Path

import deepspeed
import torch

logging.disable(logging.CRITICAL)
print("deepspeed", deepspeed.__version__, "torch", torch.__version__)
rendezvous = {"init_method": f"file://{Path('rendezvous').resolve()}", "rank": 0, "world_size": 1}
deepspeed.init_distributed("gloo", auto_mpi_discovery=False, verbose=False, **rendezvous)


def build(stage, universal):
    """An engine whose weights decay and learn slowly, and whose biases do neither."""
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 4)
    groups = [
        {"params": [model.weight], "lr": 0.1, "weight_decay": 0.5},
        {"params": [model.bias], "lr": 0.2, "weight_decay": 0.0},
    ]
    config = {
        "train_micro_batch_size_per_gpu": 8,
        "zero_optimization": {"stage": stage},
        "zero_allow_untested_optimizer": True,
        "checkpoint": {"load_universal": universal},
    }
    return deepspeed.initialize(model=model, optimizer=torch.optim.AdamW(groups), config=config)[0]


def settings(engine):
    return [(group["lr"], group["weight_decay"]) for group in engine.optimizer.param_groups]


seen = {}
for stage in (1, 3):
    trained = build(stage, universal=False)
    trained.backward(trained(torch.randn(8, 4)).square().mean())
    trained.step()
    trained.save_checkpoint(f"zero{stage}", tag="last")
    folders = ["--input_folder", f"zero{stage}/last", "--output_folder", f"zero{stage}/universal"]
    convert = [sys.executable, "-m", "deepspeed.checkpoint.ds_to_universal", *folders, "--inject_missing_state"]
    subprocess.run(convert, check=True, capture_output=True)
    loaded = build(stage, universal=True)
    loaded.load_checkpoint(f"zero{stage}", tag="universal")
    seen[stage] = settings(loaded)
own = [(0.1, 0.5), (0.2, 0.0)]
print(f"guess: learning rate and decay of both groups are {own} after the load, at ZeRO 1 and at ZeRO 3")
print(f"seen:  {seen[1]} at ZeRO 1, {seen[3]} at ZeRO 3")
if seen != {1: own, 3: [own[0], own[0]]}:
    sys.exit("the surprise is gone")
END

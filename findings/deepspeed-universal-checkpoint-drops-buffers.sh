#!/usr/bin/env bash
# A universal checkpoint of DeepSpeed loads without the model's buffers.
#
# Guess: ds_to_universal converts a checkpoint, and loading the result gives the trained model, as loading the
#   checkpoint itself does.
# Behaviour: Weights and the state of the optimizer come back, and buffers do not. The running statistics of a
#   BatchNorm are those of a new model, with no message, though the file that is loaded holds them.
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
import sys
from pathlib import Path

import deepspeed
import torch

logging.disable(logging.CRITICAL)
print("deepspeed", deepspeed.__version__, "torch", torch.__version__)
group = {"init_method": f"file://{Path('group').resolve()}", "rank": 0, "world_size": 1}
deepspeed.init_distributed("gloo", auto_mpi_discovery=False, verbose=False, **group)

import subprocess


def build(universal):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    config = {
        "train_micro_batch_size_per_gpu": 8,
        "zero_optimization": {"stage": 1},
        "zero_allow_untested_optimizer": True,
        "checkpoint": {"load_universal": universal},
    }
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    return deepspeed.initialize(model=model, optimizer=optimizer, config=config)[0]


def state(engine):
    linear, norm = engine.module
    return linear.weight[0, 0].item(), norm.running_mean[0].item()


trained = build(universal=False)
for _ in range(20):
    trained.backward((trained(torch.randn(8, 4) + 5) ** 2).mean())
    trained.step()
trained.save_checkpoint("checkpoint", tag="last")
plain = build(universal=False)
plain.load_checkpoint("checkpoint", tag="last")
folders = ["--input_folder", "checkpoint/last", "--output_folder", "checkpoint/universal"]
convert = [sys.executable, "-m", "deepspeed.checkpoint.ds_to_universal", *folders, "--inject_missing_state"]
subprocess.run(convert, check=True, capture_output=True)
universal = build(universal=True)
universal.load_checkpoint("checkpoint", tag="universal")
print("guess: one weight and one running mean are the same three times")
print(f"seen:  trained {state(trained)}, loaded {state(plain)}, loaded after ds_to_universal {state(universal)}")
if state(plain) != state(trained) or state(universal) != (state(trained)[0], 0.0):
    sys.exit("the surprise is gone")
END

#!/usr/bin/env bash
# ZeRO 1 and 2 move weights to addresses that are no multiple of 16.
#
# Guess: Every weight of a model starts at an address that is a multiple of 64, as torch allocates it. ZeRO 1 shards
#   the state of the optimizer and leaves the weights where they are.
# Behaviour: ZeRO copies all weights of a parameter group end to end into one buffer without padding. One bias of 6
#   numbers moves every weight behind it 8 bytes off. Code that torch.compile made for the first block, and that reads
#   16 bytes at once, then meets a misaligned address in a later block (a CUDA error on a GPU). A parameter group of
#   its own for such a bias avoids it.
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


def offsets(stage):
    """For each weight, its address modulo 16."""
    model = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.Linear(6, 8), torch.nn.Linear(8, 8))
    config = {"train_batch_size": 1, "zero_optimization": {"stage": stage}, "zero_allow_untested_optimizer": True}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    deepspeed.initialize(model=model, optimizer=optimizer, config=config)
    return [parameter.data_ptr() % 16 for parameter in model.parameters()]


plain, first, second = offsets(0), offsets(1), offsets(2)
print("guess: all addresses are multiples of 16")
print(f"seen:  address modulo 16: stage 0 {plain}, ZeRO 1 {first}, ZeRO 2 {second}")
if any(plain) or not any(first) or not any(second):
    sys.exit("the surprise is gone")
END

#!/usr/bin/env bash
# DeepSpeed's bf16 mode adds up micro-batches in bf16, at every ZeRO stage.
#
# Guess: DeepSpeed's bf16 mode keeps master weights in float32, so the gradients of many micro-batches add up in
#   float32 as well.
# Behaviour: They add up in bf16, at ZeRO stage 0, 1, 2 and 3. A bf16 number has 8 bits of precision, so a gradient of
#   256 does not change when 1 is added. Here 255 of 256 micro-batches are lost. `data_types: {grad_accum_dtype:
#   fp32}` avoids it at ZeRO 1 and is refused at stage 0.
# Version: deepspeed 0.19.8, torch 2.15.0. On a CPU, with gloo; DeepSpeed builds a small extension, which needs a C++
#   compiler.
# Documented: the manual lists `grad_accum_dtype`; that sums are bf16 without it is not said where bf16 is described.
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


def weight(stage, **more):
    """The weight after one step of SGD from 0, on a gradient of 256 and 255 gradients of 1. Exactly: -511 / 256."""
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    config = {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 256,
        "gradient_clipping": 0.0,
        "zero_optimization": {"stage": stage},
        "zero_allow_untested_optimizer": True,
        **more,
    }
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config)
    dtype = torch.bfloat16 if "bf16" in more else torch.float32
    for step in range(256):
        engine.backward(engine(torch.full((1, 1), 1.0 if step else 256.0, dtype=dtype)).sum())
        engine.step()
    return float(engine.module.weight)


BF16 = {"bf16": {"enabled": True}}
full = weight(0)
seen = {stage: weight(stage, **BF16) for stage in (0, 1, 2, 3)}
chosen = weight(1, **BF16, data_types={"grad_accum_dtype": "fp32"})
try:
    refused = weight(0, **BF16, data_types={"grad_accum_dtype": "fp32"})
except NotImplementedError as error:
    refused = f"NotImplementedError: {error}"
print("guess: about -1.996 everywhere")
print(f"seen:  float32 {full}; bf16 by stage {seen}; ZeRO 1 with grad_accum_dtype fp32 {chosen}; stage 0 with it: {refused}")
if set(seen.values()) != {-1.0} or chosen > -1.9 or not isinstance(refused, str):
    sys.exit("the surprise is gone")
END

#!/usr/bin/env bash
# DeepSpeed waits for the device twice in every step, even where it prints nothing.
#
# Guess: an engine with neither wall_clock_breakdown nor a near steps_per_print measures nothing, so the host runs ahead of
#   the device and its work is hidden behind the kernels.
# Behaviour: from the third step on the throughput timer synchronises the device when a forward pass begins and when
#   step() ends, because it is on by default and synchronised by default. The host starts every step on an idle device.
#   `timers: {throughput: {enabled: false}}` ends that.
# Version: deepspeed 0.19.8, torch 2.15.0. Counted on a CPU, where synchronising costs nothing; the calls are the same.
# Documented: the configuration manual describes wall_clock_breakdown as slowing a training and steps_per_print as the
#   interval of reports; that a silent engine synchronises stands only in the source (deepspeed/utils/timer.py, config.py).
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
from deepspeed.accelerator import get_accelerator

logging.disable(logging.CRITICAL)
print("deepspeed", deepspeed.__version__, "torch", torch.__version__)
group = {"init_method": f"file://{Path('group').resolve()}", "rank": 0, "world_size": 1}
deepspeed.init_distributed("gloo", auto_mpi_discovery=False, verbose=False, **group)
STEPS = 10


def waits(**more):
    """How often the device was synchronised in STEPS steps of one micro-batch."""
    model = torch.nn.Linear(4, 1)
    config = {"train_micro_batch_size_per_gpu": 1, "steps_per_print": 10**9, "zero_allow_untested_optimizer": True, **more}
    engine, *_ = deepspeed.initialize(model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1), config=config)
    calls = []
    accelerator = get_accelerator()
    before, accelerator.synchronize = accelerator.synchronize, lambda *_: calls.append(1)
    for _ in range(STEPS):
        engine.backward(engine(torch.ones(1, 4)).sum())
        engine.step()
    accelerator.synchronize = before
    return len(calls)


default, off = waits(), waits(timers={"throughput": {"enabled": False}})
print(f"guess: no waits in {STEPS} silent steps")
print(f"seen:  {default} waits by default, {off} with the throughput timer off")
if (default, off) != (2 * (STEPS - 2), 0):
    sys.exit("the surprise is gone")
END

#!/usr/bin/env bash
# DeepSpeed clips gradients to a norm of 1 although its configuration does not ask for it.
#
# Guess: without gradient_clipping nothing is clipped, as in torch.
# Behaviour: the engine clips to a norm of 1.0. gradient_clipping: 0 is needed to train without.
# Version: deepspeed 0.19.8, torch 2.15.0
# Documented: the configuration page gives 1.0 as default in its table.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
if command -v uv > /dev/null; then
  uv pip install --quiet --python "$folder/venv/bin/python" deepspeed==0.19.8 torch==2.15.0 numpy==2.4.6 setuptools
else
  "$folder/venv/bin/python" -m pip install --quiet deepspeed==0.19.8 torch==2.15.0 numpy==2.4.6 setuptools
fi
cd "$folder"
export PATH="$folder/venv/bin:$PATH"
export DS_ACCELERATOR=cpu MASTER_ADDR=127.0.0.1 MASTER_PORT=29517 RANK=0 LOCAL_RANK=0 WORLD_SIZE=1 DS_BUILD_OPS=0
python - <<'PYTHON'
import deepspeed
import torch

def moved(settings):
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(network.weight)
    config = {"train_micro_batch_size_per_gpu": 1, "optimizer": {"type": "SGD", "params": {"lr": 1.0}}, **settings}
    engine, *_ = deepspeed.initialize(model=network, config=config, model_parameters=network.parameters())
    engine.backward(10 * engine(torch.ones(1, 1)).sum())
    engine.step()
    return float(abs(network.weight).item())

silent, off = moved({}), moved({"gradient_clipping": 0.0})
print("deepspeed", deepspeed.__version__)
print("guess: a step of SGD with lr 1 along a gradient of 10 moves the weight by 10")
print(f"seen:  it moves by {silent:.3f}; with gradient_clipping 0 by {off:.3f}")
raise SystemExit(int(abs(silent - 1) > 1e-3 or abs(off - 10) > 1e-3))
PYTHON

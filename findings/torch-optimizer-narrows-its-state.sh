#!/usr/bin/env bash
# A torch optimizer that loads its state rounds float32 moments and master weights to the precision of bfloat16 weights.
#
# Guess: load_state_dict brings back what state_dict gave, so that a training with bfloat16 weights and float32 masters
#   goes on from its checkpoint with the same bits.
# Behaviour: every floating tensor of the state, apart from the one named "step", is cast to the dtype of its parameter.
#   The masters come back as bfloat16, without a warning, though the checkpoint holds them in float32.
# Version: torch 2.15.0
# Documented: not in the page on Optimizer.load_state_dict; a comment beside _process_value_according_to_param_policy in
#   torch/optim/optimizer.py says that state takes the parameter's dtype.
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


class MasterSGD(torch.optim.Optimizer):
    """Steps float32 masters, which the state holds, and rounds them to the bfloat16 weights."""

    def __init__(self, params):
        super().__init__(params, {"lr": 1e-3})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state[weight]
                master = state.setdefault("master", weight.float())
                master -= group["lr"] * weight.grad.float()
                weight.copy_(master)


weight = torch.nn.Parameter(torch.full((3,), 0.7, dtype=torch.bfloat16))
weight.grad = torch.ones_like(weight)
optimizer = MasterSGD([weight])
optimizer.step()
stored = optimizer.state_dict()
resumed = MasterSGD([weight])
resumed.load_state_dict(stored)
before, after = stored["state"][0]["master"], resumed.state[weight]["master"]
print("torch", torch.__version__)
print(f"guess: the state that is loaded has the dtype and the values of the stored one, {before.dtype}, {before[0].item()}")
print(f"seen:  {after.dtype}, {after[0].item()}")
rounded = after.dtype is torch.bfloat16 and not torch.equal(after.float(), before)
raise SystemExit(0 if before.dtype is torch.float32 and rounded else "the surprise is gone")
PYTHON

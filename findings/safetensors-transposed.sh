#!/usr/bin/env bash
# safetensors stores a transposed numpy array with other values, without an error.
#
# Guess: save() stores the values that the array shows, or refuses an array that is not contiguous, as the torch half
#   of the package does.
# Behaviour: it stores the bytes of the underlying buffer under the transposed shape, so the loaded array differs.
#   np.ascontiguousarray avoids it.
# Version: safetensors 0.8.0, numpy 2.4.6
# Documented: not for numpy; the torch half raises ValueError for such tensors.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
if command -v uv > /dev/null; then
  uv pip install --quiet --python "$folder/venv/bin/python" safetensors==0.8.0 numpy==2.4.6
else
  "$folder/venv/bin/python" -m pip install --quiet safetensors==0.8.0 numpy==2.4.6
fi
cd "$folder"
export PATH="$folder/venv/bin:$PATH"
python - <<'PYTHON'
import numpy as np
import safetensors
from safetensors.numpy import load, save

array = np.arange(6, dtype=np.float32).reshape(2, 3).T
loaded = load(save({"x": array}))["x"]
print("safetensors", safetensors.__version__)
print("guess: the array that was saved,", array.tolist())
print("seen: ", loaded.tolist())
raise SystemExit(int(loaded.shape != array.shape or np.array_equal(loaded, array)))
PYTHON

#!/usr/bin/env bash
# A Dagster asset that returns its result without its checks fails with words about a tuple.
#
# Guess: the message names the check that has no result, as it does when the same result is yielded.
# Behaviour: a returned MaterializeResult gives an error about the number of outputs of a tuple that nobody wrote; a
#   yielded one names the check.
# Version: dagster 1.13.27
# Documented: not documented.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
if command -v uv > /dev/null; then
  uv pip install --quiet --python "$folder/venv/bin/python" dagster==1.13.27
else
  "$folder/venv/bin/python" -m pip install --quiet dagster==1.13.27
fi
cd "$folder"
export PATH="$folder/venv/bin:$PATH"
python - <<'PYTHON'
import dagster as dg
from dagster import AssetCheckSpec, MaterializeResult, asset, materialize

CHECKS = [AssetCheckSpec(name, asset="x") for name in ("finite", "falls")]

@asset(name="x", check_specs=CHECKS)
def returned():
    return MaterializeResult()

@asset(name="x", check_specs=CHECKS)
def yielded():
    yield MaterializeResult()

def words(definition):
    try:
        materialize([definition])
    except Exception as error:
        return str(error)
    return "no error"

import logging
logging.disable(logging.CRITICAL)
first, second = words(returned), words(yielded)
print("dagster", dg.__version__)
print("guess: both name the checks")
print("seen:  returned:", first, "| yielded:", second)
raise SystemExit(int("finite" in first or "finite" not in second))
PYTHON

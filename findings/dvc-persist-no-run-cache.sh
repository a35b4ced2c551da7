#!/usr/bin/env bash
# A DVC stage with a persisted output never takes its result from the run cache.
#
# Guess: persist only keeps the old output in place while the stage runs; a result that was computed before is
#   restored like any other.
# Behaviour: the stage with persist: true runs again, the one without takes its result from the cache.
# Version: dvc 3.67.1
# Documented: not documented.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
if command -v uv > /dev/null; then
  uv pip install --quiet --python "$folder/venv/bin/python" dvc==3.67.1
else
  "$folder/venv/bin/python" -m pip install --quiet dvc==3.67.1
fi
cd "$folder"
export PATH="$folder/venv/bin:$PATH"
git init --quiet . && dvc init --quiet
echo 'x: 1' > params.yaml
cat > dvc.yaml <<'YAML'
stages:
  plain: {cmd: "echo plain >> runs && cp params.yaml plain", params: [x], outs: [plain]}
  kept:
    cmd: echo kept >> runs && cp params.yaml kept
    params: [x]
    outs: [{kept: {persist: true}}]
YAML
for x in 1 2 1; do echo "x: $x" > params.yaml; dvc repro --quiet; done
echo "dvc $(dvc --version)"
echo "guess: each stage runs twice, and its third result comes from the run cache"
echo "seen:  plain ran $(grep -c plain runs) times, kept $(grep -c kept runs) times"
[[ $(grep -c plain runs) == 2 && $(grep -c kept runs) == 3 ]]

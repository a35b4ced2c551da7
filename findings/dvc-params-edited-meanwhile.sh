#!/usr/bin/env bash
# DVC records the parameters as they are when a stage ends, not as they were when it began.
#
# Guess: dvc.lock says which parameters the output was made with.
# Behaviour: a params.yaml that is edited while the stage runs goes into dvc.lock with its new values, and into the
#   run cache: the old output is served for the new parameters from then on.
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
echo 'epochs: 1' > params.yaml
cat > dvc.yaml <<'YAML'
stages:
  train: {cmd: "cp params.yaml out.yaml && echo 'epochs: 2' > params.yaml", params: [epochs], outs: [out.yaml]}
YAML
dvc repro --quiet
echo "dvc $(dvc --version)"
echo "guess: dvc.lock records epochs: 1"
echo "seen:  dvc.lock records $(grep epochs dvc.lock | xargs), the output says $(cat out.yaml), and dvc status says: $(dvc status)"
grep -q 'epochs: 2' dvc.lock && grep -q 'epochs: 1' out.yaml

#!/usr/bin/env bash
# For DVC the parameters true and 1 are the same.
#
# Guess: a stage runs again when a parameter changes from 1 to true, since programs tell the two apart.
# Behaviour: DVC compares as Python does, where True == 1 and 24.0 == 24, and skips the stage.
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
echo 'flip: 1' > params.yaml
cat > dvc.yaml <<'YAML'
stages:
  train: {cmd: "cp params.yaml out.yaml", params: [flip], outs: [out.yaml]}
YAML
dvc repro --quiet
echo 'flip: true' > params.yaml
status=$(dvc status)
echo "dvc $(dvc --version)"
echo "guess: train has changed"
echo "seen:  $status; its output still says $(cat out.yaml)"
[[ $status == *"up to date"* && $(cat out.yaml) == "flip: 1" ]]

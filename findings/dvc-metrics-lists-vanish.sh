#!/usr/bin/env bash
# Lists in a DVC metrics file are shown nowhere.
#
# Guess: dvc metrics show prints every number of a metrics file, those in lists too, or warns.
# Behaviour: keys whose value is a list are dropped without a word. Numbers that are to be compared must have a key of
#   their own.
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
cat > dvc.yaml <<'YAML'
metrics: [metrics.json]
YAML
echo '{"fid": 2.5, "accuracy": [0.5, 0.75]}' > metrics.json
shown=$(dvc metrics show --json)
echo "dvc $(dvc --version)"
echo "guess: fid and both accuracies"
echo "seen:  $shown"
[[ $shown == *fid* && $shown != *accuracy* ]]

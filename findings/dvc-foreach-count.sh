#!/usr/bin/env bash
# A DVC stage cannot run a number of times that a parameter gives.
#
# Guess: foreach over the number 3 runs three stages, or DVC has another way to say how often.
# Behaviour: foreach takes lists and mappings alone and refuses a number; the list has to be written out in
#   params.yaml.
# Version: dvc 3.67.1
# Documented: in part: the reference of dvc.yaml says that foreach takes a list or a dictionary.
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
echo 'shards: 3' > params.yaml
cat > dvc.yaml <<'YAML'
stages:
  shard:
    foreach: ${shards}
    do: {cmd: "echo ${item}"}
YAML
words=$(dvc stage list 2>&1 || true)
echo "dvc $(dvc --version)"
echo "guess: shard@0, shard@1 and shard@2"
echo "seen:  $(echo "$words" | tr '\n' ' ')"
[[ $words != *shard@0* ]]

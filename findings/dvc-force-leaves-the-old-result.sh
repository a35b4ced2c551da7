#!/usr/bin/env bash
# `dvc repro --force` does not decide which result the run cache gives to others.
#
# Guess: A result that was recorded by mistake (`dvc commit --force` of an output that was edited) is replaced once
#   `dvc repro --force` has run the stage again. A second project with the same cache then gets the new result.
# Behaviour: The run cache keeps one entry for each result and gives out the one that was written last. The forced run
#   makes a result that has an entry already, which is left as it is. The mistake stays the newest entry, and the second
#   project gets it, though the first shows the right result.
# Version: dvc 3.67.1
# Documented: nowhere that we found.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
if command -v uv > /dev/null; then
  uv pip install --quiet --python "$folder/venv/bin/python" dvc==3.67.1
else
  "$folder/venv/bin/python" -m pip install --quiet dvc==3.67.1
fi
export PATH="$folder/venv/bin:$PATH"
mkdir "$folder/first" "$folder/second"
cd "$folder/first"
dvc init --quiet --no-scm
echo 1 > raw
printf 'stages:\n  make: {cmd: echo right > made, deps: [raw], outs: [made]}\n' > dvc.yaml
dvc repro --quiet
rm made && echo wrong > made
dvc commit --quiet --force make
dvc repro --quiet --force
cp dvc.yaml raw ../second
cd ../second
dvc init --quiet --no-scm
dvc cache dir "$folder/first/.dvc/cache"
dvc repro --quiet
echo "dvc $(dvc --version)"
echo "guess: right in both projects"
echo "seen:  $(cat ../first/made) in the first, $(cat made) in the second"
[[ $(cat ../first/made) == right && $(cat made) == wrong ]]

#!/usr/bin/env bash
# DVC's foreach spells numbers anew and merges those that are spelled alike.
#
# Guess: `foreach` over [0.0001, 0.00001] makes the stages sweep@0.0001 and sweep@0.00001. A value listed twice is an
#   error.
# Behaviour: A stage is named by Python's text of the number, so the second one is sweep@1e-05, and its own spelling
#   is unknown. A boolean is True in the stage's name and true in its paths. A value listed twice makes one stage,
#   without a word, and so do 1 and '1'.
# Version: dvc 3.67.1
# Documented: the manual shows lists of words and dictionaries; how numbers are spelled, and that repeats merge, is
#   not documented.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
packages=(dvc==3.67.1)
if command -v uv > /dev/null; then
  uv venv -q .venv && uv pip install -q --python .venv/bin/python "${packages[@]}"
else
  python3 -m venv .venv && .venv/bin/pip install -q "${packages[@]}"
fi
export PATH=$PWD/.venv/bin:$PATH
export DVC_NO_ANALYTICS=1 DVC_GLOBAL_CONFIG_DIR=$PWD/config DVC_SYSTEM_CONFIG_DIR=$PWD/config DVC_SITE_CACHE_DIR=$PWD/site
dvc init -q --no-scm
dvc config core.check_update false
echo "DVC $(dvc --version)"

cat > dvc.yaml << 'END'
stages:
  sweep:
    foreach: ${values}
    do:
      cmd: echo ${item} > out-${item}.txt
      outs: ["out-${item}.txt"]
END
stages() {
  echo "values: $1" > params.yaml
  dvc stage list | xargs
}
small=$(stages '[0.0001, 0.00001]')
dvc repro -q sweep@0.00001 2> /dev/null && spelled=runs || spelled='does not exist'
bool=$(stages '[true]')
twice=$(stages "[1, 1, '1', 2]")
echo "guess: sweep@0.0001 and sweep@0.00001; two spellings of true alike; an error for repeats"
echo "seen:  $small (sweep@0.00001 $spelled)"
echo "       [true] makes: $bool"
echo "       [1, 1, '1', 2] makes: $twice"
[[ $small == *sweep@1e-05* && $spelled == 'does not exist' && $bool == 'sweep@True Outputs out-true.txt' &&
  $twice == 'sweep@1 Outputs out-1.txt sweep@2 Outputs out-2.txt' ]] || {
  echo "the surprise is gone"
  exit 1
}

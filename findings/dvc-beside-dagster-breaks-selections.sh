#!/usr/bin/env bash
# Dagster cannot parse a selection string where DVC is installed.
#
# Guess: DVC and Dagster have nothing to do with each other, and pip installs both without a conflict, so both work.
# Behaviour: DVC needs hydra-core, and that (through omegaconf) pins antlr4-python3-runtime 4.9. Dagster's parser of
#   asset selections is generated for a newer one and accepts 4.9 on paper. Every selection string then fails with
#   'TypeError: ord() expected string of length 1'. Dagster alone parses it.
# Version: dagster 1.13.27, dvc 3.67.1, antlr4-python3-runtime 4.9.3
# Documented: not documented. hydra-core 1.4.0rc3 with omegaconf 2.4.1rc1 and antlr4-python3-runtime 4.13.2 serve
#   both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
packages=(dagster==1.13.27)
if command -v uv > /dev/null; then
  uv venv -q .venv && uv pip install -q --python .venv/bin/python "${packages[@]}"
else
  python3 -m venv .venv && .venv/bin/pip install -q "${packages[@]}"
fi
export PATH=$PWD/.venv/bin:$PATH
cat > parse.py << 'END'
from importlib.metadata import version

from dagster import AssetSelection

try:
    selection = AssetSelection.from_string('+key:"model"')
    print("parsed with antlr4", version("antlr4-python3-runtime"))
except Exception as error:
    print(f"{type(error).__name__} with antlr4", version("antlr4-python3-runtime"))
END
echo "dagster $(python -c 'import dagster; print(dagster.__version__)')"
alone=$(python parse.py)
if command -v uv > /dev/null; then uv pip install -q --python .venv/bin/python dagster==1.13.27 dvc==3.67.1
else pip install -q dagster==1.13.27 dvc==3.67.1; fi
echo "DVC $(dvc --version)"
together=$(python parse.py)
echo "guess: parsed, with and without DVC installed"
echo "seen:  alone: $alone; beside DVC: $together"
[[ $alone == parsed* && $together == "TypeError with antlr4 4.9"* ]] || {
  echo "the surprise is gone"
  exit 1
}

#!/usr/bin/env bash
# An error of a data set reaches the training as another error where the DataLoader has workers.
#
# Guess: an exception that a data set raises arrives as it is, whether num_workers is 0 or more.
# Behaviour: with workers its text is a traceback of several lines, its attributes are gone, and one whose class takes
#   other arguments than a text is a RuntimeError, so that `except` for its class no longer catches it.
# Version: torch 2.15.0
# Documented: not in the notes on torch.utils.data; torch/_utils.py says so beside ExceptionWrapper.reraise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
if command -v uv > /dev/null; then
  uv pip install --quiet --python "$folder/venv/bin/python" torch==2.15.0 numpy==2.4.6
else
  "$folder/venv/bin/python" -m pip install --quiet torch==2.15.0 numpy==2.4.6
fi
cd "$folder"
export PATH="$folder/venv/bin:$PATH"
python - <<'PYTHON'
import torch
from torch.utils.data import DataLoader, Dataset


class Damaged(Exception):
    """An error with one text."""


class DamagedRow(Exception):
    """An error that knows its shard and row."""

    def __init__(self, shard, row):
        super().__init__(f"row {row} of {shard} is damaged")
        self.shard, self.row = shard, row


class Images(Dataset):
    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 1

    def __getitem__(self, _):
        raise self.error


def arrives(error, workers):
    try:
        next(iter(DataLoader(Images(error), num_workers=workers)))
    except Exception as seen:
        return type(seen).__name__, len(str(seen).splitlines()), hasattr(seen, "row")


print("torch", torch.__version__)
print("guess: the same error with and without workers")
seen = {}
for error in (Damaged("row 3 is damaged"), DamagedRow("00000.tar", 3)):
    for workers in (0, 1):
        name, lines, row = seen[type(error).__name__, workers] = arrives(error, workers)
        print(f"seen:  {type(error).__name__} with {workers} workers arrives as {name}, {'1 line' if lines == 1 else 'several lines'}"
              + (", with its row" if row else ""))
plain, rewritten = seen["Damaged", 0] == ("Damaged", 1, False), seen["Damaged", 1]
own, lost = seen["DamagedRow", 0] == ("DamagedRow", 1, True), seen["DamagedRow", 1]
expected = plain and own and rewritten[0] == "Damaged" and rewritten[1] > 1 and lost[0] == "RuntimeError" and not lost[2]
raise SystemExit(int(not expected))
PYTHON

#!/usr/bin/env bash
# Hugging Face datasets reads the labels of all parquet files with the first file's class names.
#
# Guess: Two parquet files hold the same two classes, with the names in another order. Reading both maps the labels,
#   or fails, as concatenate_datasets does.
# Behaviour: The names of the classes come from the first file, and the numbers of the second file are read with them.
#   Each of its cats is a dog now. Both Dataset.from_parquet and load_dataset do so, streaming or not.
# Version: datasets 5.2.0, pyarrow 26.0.1
# Documented: not documented.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
packages=(datasets==5.2.0 pyarrow==26.0.1)
if command -v uv > /dev/null; then
  uv venv -q .venv && uv pip install -q --python .venv/bin/python "${packages[@]}"
else
  python3 -m venv .venv && .venv/bin/pip install -q "${packages[@]}"
fi
export PATH=$PWD/.venv/bin:$PATH
export HF_HOME=$PWD/hub HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1
python - << 'END'
import sys

import datasets
import pyarrow
from datasets import ClassLabel, Dataset, Features, Value, concatenate_datasets, load_dataset

print("datasets", datasets.__version__, "pyarrow", pyarrow.__version__)


def write(file, names, rows):
    features = Features({"image": Value("string"), "label": ClassLabel(names=names)})
    Dataset.from_list([{"image": image, "label": label} for image, label in rows], features=features).to_parquet(file)


def read(data):
    return {row["image"]: data.features["label"].int2str(row["label"]) for row in data}


write("a.parquet", ["cat", "dog"], [("tabby", "cat"), ("poodle", "dog")])
write("b.parquet", ["dog", "cat"], [("beagle", "dog"), ("siamese", "cat")])
files = ["a.parquet", "b.parquet"]
ways = {
    "from_parquet": Dataset.from_parquet(files),
    "load_dataset": load_dataset("parquet", data_files=files, split="train"),
    "streaming": load_dataset("parquet", data_files=files, split="train", streaming=True),
}
seen = {way: read(data) for way, data in ways.items()}
alone = read(Dataset.from_parquet("b.parquet"))
try:
    concatenate_datasets([Dataset.from_parquet(file) for file in files])
    joined = "joined"
except ValueError:
    joined = "ValueError"
print("guess: the siamese is a cat and the beagle a dog, or an error")
for way, labels in seen.items():
    print(f"seen:  {way} {labels}")
print(f"       the second file alone {alone}; concatenate_datasets: {joined}")
wrong = {"tabby": "cat", "poodle": "dog", "beagle": "cat", "siamese": "dog"}
if any(labels != wrong for labels in seen.values()) or alone != {"beagle": "dog", "siamese": "cat"} or joined != "ValueError":
    sys.exit("the surprise is gone")
END

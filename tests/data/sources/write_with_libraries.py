"""Writes the same 12 images with the libraries that people use: `python write_with_libraries.py FOLDER`.

It runs in an environment of its own, which has those libraries and not this project.
"""

import io
import json
import sys
from pathlib import Path

import datasets
import duckdb
import lance
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import webdataset as wds
from PIL import Image

NAMES = ["cat", "dog"]
LABELS = [number % 2 for number in range(12)]


def picture(number: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


PICTURES = [picture(number) for number in range(12)]
TEXTS = [NAMES[label] for label in LABELS]


def huggingface(root: Path) -> None:
    def data(image: str, **columns: object) -> datasets.Dataset:
        images = [{"bytes": content, "path": f"{number}.png"} for number, content in enumerate(PICTURES)]
        features = {image: datasets.Image()} | {
            name: datasets.Value("string") if values is TEXTS else datasets.ClassLabel(names=NAMES)
            for name, values in columns.items()
        }
        return datasets.Dataset.from_dict({image: images, **columns}, features=datasets.Features(features))

    for folder in ("to_parquet", "splits", "strings", "cifar"):
        (root / folder).mkdir(parents=True)
    whole = data("image", label=LABELS)
    whole.to_parquet(root / "to_parquet/data.parquet")
    for split, part in whole.train_test_split(test_size=4, seed=0).items():
        part.to_parquet(root / f"splits/{split}-00000-of-00001.parquet")
    data("image", label=TEXTS).to_parquet(root / "strings/data.parquet")
    data("img", fine_label=LABELS).to_parquet(root / "cifar/data.parquet")
    datasets.DatasetDict({"train": whole}).save_to_disk(root / "save_to_disk")
    for split, numbers in (("train", range(8)), ("test", range(8, 12))):
        folder = root / "imagefolder" / split
        folder.mkdir(parents=True)
        for number in numbers:
            (folder / f"{number}.png").write_bytes(PICTURES[number])
        rows = "".join(f"{number}.png,{TEXTS[number]}\n" for number in numbers)
        (folder / "metadata.csv").write_text(f"file_name,label\n{rows}")
    loaded = datasets.load_dataset("imagefolder", data_dir=str(root / "imagefolder"), cache_dir=str(root / ".cache"))
    assert {split: len(part) for split, part in loaded.items()} == {"train": 8, "test": 4}


def tables(root: Path) -> None:
    for folder in ("polars", "duckdb"):
        (root / folder).mkdir()
    frame = pl.DataFrame({"image": PICTURES, "label": TEXTS})
    frame.write_parquet(root / "polars/data.parquet")
    arrow = pa.table({"image": pa.array(PICTURES, pa.binary()), "label": TEXTS})  # noqa: F841 - DuckDB reads the variable by its name
    duckdb.sql(f"COPY (SELECT * FROM arrow) TO '{root}/duckdb/data.parquet' (FORMAT parquet)")
    lance.write_dataset(frame.to_arrow(), str(root / "pets.lance"))
    reader = lance.dataset(str(root / "pets.lance")).scanner().to_reader()
    pyarrow.dataset.write_dataset(reader, root / "lance", format="parquet")


def archives(root: Path) -> None:
    (root / "webdataset").mkdir()
    with wds.ShardWriter(str(root / "webdataset/train-%04d.tar"), maxcount=6, verbose=False) as shards:
        for number, (content, label) in enumerate(zip(PICTURES, LABELS, strict=True)):
            shards.write({"__key__": f"{number:04d}", "png": content, "cls": label})
    (root / "img2dataset").mkdir()
    with wds.TarWriter(str(root / "img2dataset/00000.tar")) as tar:
        for number, content in enumerate(PICTURES):
            record = {"caption": "a pet", "key": f"{number:09d}", "status": "success", "width": 16, "height": 16}
            tar.write({"__key__": record["key"], "png": content, "txt": "a pet", "json": json.dumps(record).encode()})
    pq.write_table(pa.table({"caption": ["a pet"] * 12}), root / "img2dataset/00000.parquet")
    (root / "img2dataset/00000_stats.json").write_text('{"count": 12, "successes": 12}')


def main(folder: str) -> None:
    root = Path(folder)
    huggingface(root)
    tables(root)
    archives(root)


if __name__ == "__main__":
    main(sys.argv[1])

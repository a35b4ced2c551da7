"""A small project of real shards, whose images a small network learns in seconds."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rectok import artifacts
from rectok.data.image_decoding import encode_png
from rectok.data.packing import Packed, write_shard
from rectok.params import Params
from rectok.params.loading import validated
from tests.project import preset

SIDE = 16
CLASSES = ["red", "green", "blue"]
SPLITS = ("train",) * 8 + ("val", "test")


def picture(label: int, seed: int) -> NDArray[np.uint8]:
    """uint8 [H, W, 3]: noise, brightest in the channel of its label."""
    noise = np.random.default_rng([label, seed]).integers(0, 120, (SIDE, SIDE, 3))
    noise[..., label] += 60
    return noise.astype(np.uint8)


def build_shards(shards: tuple[str, ...] = ("00000",), images: int = 60) -> None:
    """`images` images a shard, of three classes, eight tenths for training."""
    for number, shard in enumerate(shards):
        rows = range(number * images, (number + 1) * images)
        write_shard(
            shard, [Packed(f"{i:016x}", i % 3, SPLITS[i // 3 % 10], encode_png(picture(i % 3, i))) for i in rows]
        )
    artifacts.write_json(artifacts.classes_file(), CLASSES)


def params(**changed: Any) -> Params:
    """The digits preset at 16 pixels with tiny networks; `changed` maps dotted names, with `__` for the dot, to values."""
    tree = preset("digits")
    tree["index"]["shards"] = ["00000"]
    tree["image"]["size"] = SIDE
    tree["machine"]["device"] = "cpu"
    tree["tokenizer"]["sizes"]["patch"] = 8
    tree["features"]["batch"] = 25
    tree["teacher"]["network"] |= {"image_size": SIDE, "options": {"channels": [8, 8, 16, 16], "output_stride": 8}}
    tree["metric_network"]["network"] |= {"image_size": SIDE, "options": {"growth_rate": 4, "block_config": [1, 1]}}
    for stage in ("teacher", "metric_network"):
        tree[stage]["training"] |= {"epochs": 12, "batch": 16, "lr": 1e-2, "crop_padding": 1}
    for name, value in changed.items():
        *sections, key = name.split("__")
        place = tree
        for section in sections:
            place = place[section]
        place[key] = value
    return validated(tree, "params.yaml")

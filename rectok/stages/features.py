"""Teacher features of one shard: tokens of every image on the tokenizer's grid, mirrored too where training mirrors."""

from collections.abc import Iterator
from math import ceil

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor

from rectok import artifacts
from rectok.data.loader import image_batches
from rectok.data.shard_reader import ShardReader
from rectok.data.tensors import write_features
from rectok.nn.overlap import on_cpu
from rectok.params import Params
from rectok.pipeline.hashes import hash_of


def run(params: Params, shard: str) -> None:
    """Write data/features/<shard>.safetensors; with storage `online` it holds the keys alone."""
    reader = ShardReader(shard)
    provenance = {
        "teacher": hash_of(artifacts.weights_file("teacher")),
        "shard": hash_of(artifacts.shard_tar(shard)),
    }
    batches = _batches(params, reader)  # nothing is computed until it is read
    write_features(artifacts.features_file(shard), reader.keys, batches, params.features.storage, provenance)


def _batches(params: Params, reader: ShardReader) -> Iterator[NDArray[np.float32]]:
    """Features float32 [b, o, N, D], batch by batch."""
    return (features.numpy() for features in on_cpu(_computed(params, reader)))


def _computed(params: Params, reader: ShardReader) -> Iterator[Tensor]:
    from rectok.nn.counting import products
    from rectok.nn.precision import bfloat16_products
    from rectok.teacher.features import oriented_tokens  # seconds, which `online` need not wait for
    from rectok.teacher.loading import load_network
    from rectok.train.world import compiles, device_of

    network = load_network(artifacts.stage_dir("teacher")).on(device_of(params.machine))
    grid, flip, batch = params.image.size // params.tokenizer.sizes.patch, params.image.flip, params.features.batch
    if device_of(params.machine) == "cuda":
        bfloat16_products(network)
    if compiles(params.machine, products(network, grid**2) * len(reader) * (2 if flip else 1)):
        network.compile_blocks()
    batches = track(
        image_batches(reader, batch, params.machine.workers),
        description=f"features {reader.shard}",
        total=ceil(len(reader) / batch),
        console=Console(stderr=True),
    )
    for images in batches:
        yield oriented_tokens(network, images, grid, flip)

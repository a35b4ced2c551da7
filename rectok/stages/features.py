"""Teacher features of one shard: tokens of every image on the tokenizer's grid, mirrored too where training mirrors."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from rectok import artifacts
from rectok.data.loader import image_batches
from rectok.data.shard_reader import ShardReader
from rectok.data.tensors import write_features
from rectok.files import version_of
from rectok.params import Params
from rectok.pipeline.hashes import hash_of
from rectok.train.training_config import MachineConfig

if TYPE_CHECKING:
    from rectok.teacher.network import VisionNetwork
    from rectok.train.world import World


def run(params: Params, shard: str) -> None:
    """Write data/features/<shard>.safetensors; with storage `online` it holds the keys alone."""
    reader = ShardReader(shard)
    if params.features.storage == "online":
        _write(params, reader, ())
        return
    from rectok.train.launch import launched, worthwhile  # seconds, which `online` need not wait for
    from rectok.train.world import member

    units = ceil(len(reader) / params.features.batch)
    if worthwhile(params.machine, len(reader)) and launched(params.machine, "features", shard, units=units):
        return
    world = member(params.machine)
    batches = _batches(params, reader, world)  # nothing is computed until it is read
    if world.first:
        shown = track(batches, description=f"features {shard}", total=units, console=Console(stderr=True))
        _write(params, reader, shown)
    else:
        assert not list(batches)


def _write(params: Params, reader: ShardReader, batches: Iterable[NDArray[np.float32]]) -> None:
    provenance = {
        "teacher": hash_of(artifacts.weights_file("teacher")),
        "shard": hash_of(artifacts.shard_tar(reader.shard)),
    }
    file = artifacts.features_file(reader.shard)
    write_features(file, reader.keys, batches, params.features.storage, provenance)


def _batches(params: Params, reader: ShardReader, world: "World") -> Iterator[NDArray[np.float32]]:
    """Features float32 [b, o, N, D], batch by batch, in the first process."""
    from rectok.nn.counting import products
    from rectok.nn.spread import batch_sizes
    from rectok.teacher.features import oriented_tokens
    from rectok.train.world import compiles

    machine, flip, grid = params.machine, params.image.flip, params.image.size // params.tokenizer.sizes.patch
    files = hash_of(artifacts.weights_file("teacher")), version_of(artifacts.config_file("teacher"))
    sizes = batch_sizes(len(reader), params.features.batch)
    images = image_batches(reader, params.features.batch, machine.workers, world.spread.own(len(sizes)))
    network = _teacher(files, machine, compiled=False)
    if compiles(machine, products(network, grid**2) * len(reader) * (2 if flip else 1)):
        network = _teacher(files, machine, compiled=True)
    computed = ((oriented_tokens(network, batch, grid, flip),) for batch in images)
    for (features,) in world.spread.results(computed, sizes):
        yield features.numpy()


@lru_cache(maxsize=2)
def _teacher(_files: tuple[str, tuple[int, ...]], machine: MachineConfig, compiled: bool) -> "VisionNetwork":
    """The teacher whose weights have this hash and whose config is this version, for this shard and the next ones."""
    from rectok.nn.weights import Undrawn
    from rectok.teacher.loading import load_network
    from rectok.teacher.network import VisionNetwork
    from rectok.train.world import device_of, settled

    with Undrawn():
        network = load_network(artifacts.stage_dir("teacher"))
    return settled(network.on(device_of(machine)), machine, compiled, VisionNetwork.compile_blocks)

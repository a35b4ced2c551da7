"""Encode one shard: posterior moments of every image, mirrored too where training mirrors."""

from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor

from rectok import artifacts
from rectok.data.loader import image_batches
from rectok.data.shard_reader import ShardReader
from rectok.data.tensors import write_latents
from rectok.files import version_of
from rectok.nn.counting import products
from rectok.nn.overlap import Parts
from rectok.nn.precision import bfloat16_on_gpu
from rectok.nn.spread import batch_sizes
from rectok.nn.weights import Undrawn
from rectok.params import Params
from rectok.pipeline.hashes import hash_of
from rectok.tokenizer.kinds import load_tokenizer
from rectok.tokenizer.model import Tokenizer, from_bytes
from rectok.train.launch import launched, worthwhile
from rectok.train.training_config import MachineConfig
from rectok.train.world import compiles, member, settled


def run(params: Params, shard: str) -> None:
    """Write data/latents/<shard>.safetensors."""
    reader, dtype = ShardReader(shard), getattr(torch, params.latents.storage)
    sizes = batch_sizes(len(reader), params.latents.batch)
    machine, orientations = params.machine, 2 if params.image.flip else 1
    if worthwhile(machine, len(reader)) and launched(machine, "latents", shard, units=len(sizes)):
        return
    world, weights = member(machine), hash_of(artifacts.weights_file("tokenizer"))
    files = weights, version_of(artifacts.config_file("tokenizer"))
    images = image_batches(reader, params.latents.batch, machine.workers, world.spread.own(len(sizes)))
    tokenizer = _tokenizer(files, machine, compiled=False)
    config = tokenizer.config
    if compiles(machine, products(tokenizer.encoder, config.tokens) * len(reader) * orientations):
        tokenizer = _tokenizer(files, machine, compiled=True)
    moments = torch.empty(
        len(reader) if world.first else 0, orientations, config.tokens, 2 * config.sizes.channels, dtype=dtype
    )
    rows = iter(moments.split(params.latents.batch))
    for (encoded,) in world.spread.results(_encoded(tokenizer, images, orientations, dtype, world.device), sizes):
        next(rows).copy_(encoded)
    if world.first:
        _write(reader, moments, weights)


@lru_cache(maxsize=2)
def _tokenizer(_files: tuple[str, tuple[int, ...]], machine: MachineConfig, compiled: bool) -> Tokenizer:
    """The tokenizer whose weights have this hash and whose config is this version, for this shard and the next ones."""
    with Undrawn():
        tokenizer = load_tokenizer(artifacts.stage_dir("tokenizer"))
    return settled(tokenizer, machine, compiled)


def _write(reader: ShardReader, moments: Tensor, weights: str) -> None:
    write_latents(
        artifacts.latents_file(reader.shard),
        keys=reader.keys,
        labels=reader.labels,
        splits=reader.splits,
        moments=moments.numpy(),
        provenance={"tokenizer": weights},
    )


@torch.no_grad()
def _encoded(
    tokenizer: Tokenizer, batches: Iterator[Tensor], orientations: int, dtype: torch.dtype, device: torch.device
) -> Iterator[Parts]:
    """Moments [b, o, N, 2C] of uint8 images, on the device."""
    for batch in batches:
        images = from_bytes(batch.to(device, non_blocking=True))
        with bfloat16_on_gpu(device):
            moments = [tokenizer.encode(images.flip(-1) if flipped else images) for flipped in range(orientations)]
        yield (torch.stack(moments, 1).to(dtype),)

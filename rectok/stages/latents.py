"""Encode one shard: posterior moments of every image, mirrored too where training mirrors."""

from collections.abc import Iterator

import torch
from torch import Tensor

from rectok import artifacts
from rectok.data.loader import image_batches
from rectok.data.shard_reader import ShardReader
from rectok.data.tensors import write_latents
from rectok.nn.counting import products
from rectok.nn.overlap import Parts
from rectok.nn.precision import bfloat16_on_gpu
from rectok.nn.spread import batch_sizes
from rectok.params import Params
from rectok.pipeline.hashes import hash_of
from rectok.tokenizer.model import Tokenizer, from_bytes, load_tokenizer
from rectok.train.launch import launched
from rectok.train.world import member, settled


def run(params: Params, shard: str) -> None:
    """Write data/latents/<shard>.safetensors."""
    reader, dtype = ShardReader(shard), getattr(torch, params.latents.storage)
    sizes = batch_sizes(len(reader), params.latents.batch)
    if launched(params.machine, "latents", shard, units=len(sizes)):
        return
    world, orientations = member(params.machine), 2 if params.image.flip else 1
    images = image_batches(reader, params.latents.batch, params.machine.workers, world.spread.own(len(sizes)))
    tokenizer = load_tokenizer(artifacts.stage_dir("tokenizer"))
    config = tokenizer.config
    flops = products(tokenizer.encoder, config.tokens) * len(reader) * orientations
    settled(tokenizer, params.machine, flops)
    moments = torch.empty(
        len(reader) if world.first else 0, orientations, config.tokens, 2 * config.sizes.channels, dtype=dtype
    )
    rows = iter(moments.split(params.latents.batch))
    for (encoded,) in world.spread.results(_encoded(tokenizer, images, orientations, dtype, world.device), sizes):
        next(rows).copy_(encoded)
    if world.first:
        _write(reader, moments)


def _write(reader: ShardReader, moments: Tensor) -> None:
    write_latents(
        artifacts.latents_file(reader.shard),
        keys=reader.keys,
        labels=reader.labels,
        splits=reader.splits,
        moments=moments.numpy(),
        provenance={"tokenizer": hash_of(artifacts.weights_file("tokenizer"))},
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

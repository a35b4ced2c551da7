"""Encode one shard: posterior moments of every image, mirrored too where training mirrors."""

from collections.abc import Iterator

import torch
from torch import Tensor

from rectok import artifacts
from rectok.data.loader import image_batches
from rectok.data.shard_reader import ShardReader
from rectok.data.tensors import write_latents
from rectok.nn.blocks import compile_blocks
from rectok.nn.counting import products
from rectok.nn.overlap import on_cpu
from rectok.nn.precision import bfloat16_on_gpu, bfloat16_products
from rectok.params import Params
from rectok.pipeline.hashes import hash_of
from rectok.tokenizer.model import Tokenizer, from_bytes, load_tokenizer
from rectok.train.world import compiles, device_of


def run(params: Params, shard: str) -> None:
    """Write data/latents/<shard>.safetensors."""
    device = torch.device(device_of(params.machine))
    tokenizer = load_tokenizer(artifacts.stage_dir("tokenizer")).to(device)
    reader = ShardReader(shard)
    config = tokenizer.config
    orientations = 2 if params.image.flip else 1
    if device.type == "cuda":
        bfloat16_products(tokenizer)
    if compiles(params.machine, products(tokenizer.encoder, config.tokens) * len(reader) * orientations):
        compile_blocks(tokenizer.encoder)
    dtype = getattr(torch, params.latents.storage)
    moments = torch.empty(len(reader), orientations, config.tokens, 2 * config.sizes.channels, dtype=dtype)
    rows = iter(moments.split(params.latents.batch))
    batches = image_batches(reader, params.latents.batch, params.machine.workers)
    for encoded in on_cpu(_encoded(tokenizer, batches, orientations, dtype)):
        next(rows).copy_(encoded)
    write_latents(
        artifacts.latents_file(shard),
        keys=reader.keys,
        labels=reader.labels,
        splits=reader.splits,
        moments=moments.numpy(),
        provenance={"tokenizer": hash_of(artifacts.weights_file("tokenizer"))},
    )


@torch.no_grad()
def _encoded(
    tokenizer: Tokenizer, batches: Iterator[Tensor], orientations: int, dtype: torch.dtype
) -> Iterator[Tensor]:
    """Moments [b, o, N, 2C] of uint8 images, on the tokenizer's device."""
    device = tokenizer.encoder.trunk.position.device
    for batch in batches:
        images = from_bytes(batch.to(device))
        with bfloat16_on_gpu(device):
            moments = [tokenizer.encode(images.flip(-1) if flipped else images) for flipped in range(orientations)]
        yield torch.stack(moments, 1).to(dtype)

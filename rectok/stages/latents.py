"""Encode one shard: posterior moments of every image, mirrored too where training mirrors."""

import torch

from rectok import artifacts
from rectok.data.shard_reader import ShardReader
from rectok.data.tensors import write_latents
from rectok.nn.blocks import compile_blocks
from rectok.nn.counting import products
from rectok.nn.precision import bfloat16_on_gpu, bfloat16_products
from rectok.params import Params
from rectok.pipeline.hashes import hash_of
from rectok.tokenizer.model import from_bytes, load_tokenizer
from rectok.train.world import compiles, device_of


@torch.no_grad()
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
    for start in range(0, len(reader), params.latents.batch):
        stop = min(start + params.latents.batch, len(reader))
        images = from_bytes(reader.images(range(start, stop))).to(device)
        for flipped in range(orientations):
            with bfloat16_on_gpu(device):
                encoded = tokenizer.encode(images.flip(-1) if flipped else images)
            moments[start:stop, flipped] = encoded.cpu()
    write_latents(
        artifacts.latents_file(shard),
        keys=reader.keys,
        labels=reader.labels,
        splits=reader.splits,
        moments=moments.numpy(),
        provenance={"tokenizer": hash_of(artifacts.weights_file("tokenizer"))},
    )

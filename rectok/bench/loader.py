"""The loader on shards, features and latents that really lie on disk, in a temporary folder."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from rectok import artifacts
from rectok.bench.work import Prepared, Setting, Variant
from rectok.data.dataset import ImageDataset, LatentDataset
from rectok.data.image_decoding import encode_png
from rectok.data.loader import BatchDataset, Order, TrainingLoader
from rectok.data.packing import Packed, write_shard
from rectok.data.tensors import write_features, write_latents
from rectok.storage.objects import below, is_remote, remove_below
from rectok.tokenizer.tokenizer_config import TokenizerConfig

SHARD = "00000"
IMAGES = 128
"""Images on disk; they are read over and over, so the system's file cache serves them."""
STEPS = 1_000_000
PREFETCHED = 4
"""Micro-batches that every worker keeps ready."""


def loader(setting: Setting, batch: int | None) -> Iterator[Variant]:
    """Images, also from a bucket where `storage.shards` is one, images with cached features, and latents."""
    size = batch or setting.params.tokenizer.training.micro_batch
    stored = setting.params.features.storage
    yield Variant("images", size, partial(_loader, setting, size, _images))
    if is_remote(place := setting.params.storage.shards):
        below_it = below(place, f"bench-{uuid4().hex}")
        write = partial(_images, location=below_it)
        yield Variant(
            "images in a bucket", size, partial(_loader, setting, size, write, partial(remove_below, below_it))
        )
    if stored != "online":
        yield Variant(f"images + {stored} features", size, partial(_loader, setting, size, partial(_featured, stored)))
    yield Variant("latents", size, partial(_loader, setting, size, partial(_latents, setting.params.latents.storage)))


def _loader(
    setting: Setting,
    batch: int,
    write: Callable[[TokenizerConfig, bool], BatchDataset],
    clean: Callable[[], object] = lambda: None,
) -> Prepared:
    folder = tempfile.TemporaryDirectory()
    workers, flip = setting.params.machine.workers, setting.params.image.flip
    with contextlib.chdir(folder.name):  # where workers start, and open their files
        source = write(setting.costs.latent, flip)
        order = Order(len(source), setting.params.seed, flip)
        batches = TrainingLoader(source, order, batch, batch, 0, 1, workers).iterate(0, STEPS)
        next(batches)
    drawn = max(1, workers)  # one of every worker

    def draw(count: int) -> None:
        for _ in range(count):
            next(batches)

    def close() -> None:
        batches.close()
        folder.cleanup()
        clean()

    warm = partial(draw, 2 * PREFETCHED * workers)
    return Prepared(drawn * batch, None, "none", False, warm, lambda timer: timer(partial(draw, drawn)), close)


def _images(latent: TokenizerConfig, flip: bool, location: str = "") -> ImageDataset:
    pngs = (encode_png(_picture(i, latent.image_size)) for i in range(IMAGES))
    write_shard(SHARD, (Packed(f"{i:016x}", 0, "train", png) for i, png in enumerate(pngs)), location)
    return ImageDataset([SHARD], "train")


def _featured(storage: str, latent: TokenizerConfig, flip: bool) -> ImageDataset:
    keys = _images(latent, flip).keys
    one = _normal(1, 2 if flip else 1, latent.tokens, latent.teacher_width)
    write_features(artifacts.features_file(SHARD), keys, (one for _ in keys), storage, {})
    return ImageDataset([SHARD], "train", features=True)


def _latents(storage: str, latent: TokenizerConfig, flip: bool) -> LatentDataset:
    keys = [f"{i:016x}" for i in range(IMAGES)]
    moments = _normal(IMAGES, 2 if flip else 1, latent.tokens, 2 * latent.sizes.channels).astype(storage)
    labels = np.zeros(IMAGES, np.int64)
    write_latents(artifacts.latents_file(SHARD), keys, labels, ["train"] * IMAGES, moments, {})
    return LatentDataset([SHARD], "train")


def _normal(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def _picture(number: int, side: int) -> NDArray[np.uint8]:
    """uint8 [side, side, 3]: waves under a little noise, which PNG packs about as well as photographs."""
    random = np.random.default_rng(number)
    rows, columns = np.mgrid[:side, :side][..., None] / side
    turns, start = random.uniform(1, 8, (2, 3)), random.uniform(0, 2 * np.pi, 3)
    waves = np.sin(2 * np.pi * (rows * turns[0] + columns * turns[1]) + start)
    picture: NDArray[np.uint8] = (128 + 90 * waves + random.normal(0, 6, (side, side, 3))).clip(0, 255).astype(np.uint8)
    return picture

"""Forward passes as the stages make them: encoding, decoding, teacher, perceptual loss, sampling."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from rectok.bench.work import Prepared, Setting, Timer, Variant
from rectok.nn.fp8 import fp8_products
from rectok.nn.precision import bfloat16_on_gpu, precision_on
from rectok.sampling.generator import Generator, LatentStatistics
from rectok.sampling.sampler_config import SamplerConfig
from rectok.teacher.features import oriented_tokens
from rectok.teacher.network import VisionNetwork
from rectok.tokenizer.kinds import build_tokenizer
from rectok.tokenizer.model import Tokenizer, from_bytes
from rectok.train.world import compiles, settled
from rectok.workloads.batches import image_batch
from rectok.workloads.generators import generator
from rectok.workloads.objectives import perceptual_like, teacher_like

M = TypeVar("M", bound=nn.Module)


def encode(setting: Setting, batch: int | None) -> Iterator[Variant]:
    """Images to moments and latents to images."""
    size = batch or setting.params.latents.batch
    yield Variant("encode", size, partial(_encode, setting, size))
    yield Variant("decode", size, partial(_decode, setting, size))


def features(setting: Setting, batch: int | None) -> Iterator[Variant]:
    """The teacher alone, and with its tokens brought to the host as the stage has them."""
    size = batch or setting.params.features.batch
    yield Variant("forward", size, partial(_teacher, setting, size, False))
    yield Variant("to the host", size, partial(_teacher, setting, size, True))


def perceptual(setting: Setting, batch: int | None) -> Iterator[Variant]:
    """The perceptual loss alone, forward and backward."""
    if setting.params.tokenizer.losses.perceptual.weight:
        size = batch or setting.params.tokenizer.training.micro_batch
        yield Variant("forward+backward", size, partial(_perceptual, setting, size))


def sample(setting: Setting, batch: int | None) -> Iterator[Variant]:
    """Whole samplings, without guidance and with it at every step, from the times of two short ones."""
    config = setting.params.generation
    size = batch or config.batch
    for kind in (None, config.guidance.kind):
        sampler, (short, long) = config.sampler, _points(config.sampler)
        shared = f", encoder every {sampler.encoder_every}" if sampler.encoder_every > 1 else ""
        fp8 = ", fp8" if sampler.fp8 else ""
        name = f"{kind or 'plain'}, {sampler.method}, {sampler.points} points from {short} and {long}{shared}{fp8}"
        yield Variant(name, size, partial(_sample, setting, kind, size))


@torch.no_grad()
def _encode(setting: Setting, batch: int) -> Prepared:
    tokenizer = _tokenizer(setting)
    images = image_batch(tokenizer.config, batch, "online", setting.world.device).image
    return _pass(setting, lambda: tokenizer.encode(from_bytes(images)), batch, setting.costs.encode())


@torch.no_grad()
def _decode(setting: Setting, batch: int) -> Prepared:
    tokenizer = _tokenizer(setting)
    z = torch.randn(batch, tokenizer.config.tokens, tokenizer.config.sizes.channels, device=setting.world.device)
    return _pass(setting, lambda: tokenizer.decode(z), batch, setting.costs.decode())


def _teacher(setting: Setting, batch: int, to_host: bool) -> Prepared:
    device, latent = setting.world.device, setting.costs.latent
    network = teacher_like(setting.params).on(device)
    settled(network, setting.params.machine, _compiled(setting), VisionNetwork.compile_blocks)
    images = image_batch(latent, batch, "online", device).image

    def forward() -> Tensor:
        if to_host:
            return oriented_tokens(network, images, latent.grid, flip=False)
        return network.tokens(images.float() / 255, latent.grid)

    return _pass(setting, forward, batch, setting.costs.features())


def _perceptual(setting: Setting, batch: int) -> Prepared:
    section, device = setting.params.tokenizer, setting.world.device
    teacher = teacher_like(setting.params).on(device)
    loss = perceptual_like(section.losses.perceptual, teacher)
    assert loss is not None
    side, precision = setting.costs.latent.image_size, section.training.precision
    loss.on(device, precision)
    if _compiled(setting):
        loss.compile_parts()
    fake, real = (torch.rand(batch, 3, side, side, device=device) for _ in range(2))
    fake.requires_grad_(True)

    def both() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            total = loss(fake, real)
        fake.grad = None
        total.backward()

    flops = setting.costs.perceptual(section.losses.perceptual)
    return Prepared(batch, flops, precision, _compiled(setting), both, lambda timer: timer(both))


def _sample(setting: Setting, kind: str | None, batch: int) -> Prepared:
    section, costs = setting.params.generation, setting.costs
    guidance = section.guidance.model_copy(update={"low": 0.0, "high": 1.0}) if kind else None
    source, labels, seeds = _generator(setting, kind == "autoguidance"), torch.zeros(batch).long(), torch.arange(batch)
    bounds = _points(section.sampler)

    def limited(points: int) -> SamplerConfig:
        return section.sampler.model_copy(update={"points": points})

    def images(points: int) -> Tensor:
        return source.sample(labels, seeds, limited(points), guidance)

    def seconds(timer: Timer) -> float:
        """Noise and decoding take their time once, every evaluation of the velocity takes the same."""
        short, long = (timer(partial(images, points)) for points in bounds)
        known, more = (limited(points).evaluations for points in bounds)
        each = max(0.0, long - short) / (more - known)
        return short + (section.sampler.evaluations - known) * each

    flops = costs.decode() + costs.velocities(setting.params.dit, section.sampler)
    if kind and kind != "internal":
        other = setting.params.autoguidance if kind == "autoguidance" else setting.params.dit
        flops += costs.velocities(other, section.sampler)
    precision = precision_on(setting.world.device)
    return Prepared(batch, flops, precision, _compiled(setting), partial(images, bounds[1]), seconds)


def _points(sampler: SamplerConfig) -> tuple[int, int]:
    """Time points of two samplings from whose times the whole sampling's follows: they differ by whole rounds of the encoder."""
    every = sampler.encoder_every
    short = (sampler.points - 2) % every + 2
    if short <= every:
        short += every
    return short, short + 2 * every


def _compiled(setting: Setting) -> bool:
    return compiles(setting.params.machine, math.inf)  # as in a long stage


def _pass(setting: Setting, run: Callable[[], object], images: int, flops: float) -> Prepared:
    """A pass without a gradient, in the precision of the stages."""
    device = setting.world.device

    def quiet() -> None:
        with torch.no_grad(), bfloat16_on_gpu(device):
            run()

    return Prepared(images, flops, precision_on(device), _compiled(setting), quiet, lambda timer: timer(quiet))


def _tokenizer(setting: Setting) -> Tokenizer:
    return _as_stages_have_it(setting, build_tokenizer(setting.costs.latent))


def _as_stages_have_it(setting: Setting, network: M, fp8: bool = False) -> M:
    """`network` frozen, on the device, in the precision of the stages, and compiled as a long one compiles it."""
    network.to(setting.world.device).eval().requires_grad_(False)
    if fp8:
        fp8_products(network)
    return settled(network, setting.params.machine, _compiled(setting))


def _generator(setting: Setting, guided: bool) -> Generator:
    device, latent, params = setting.world.device, setting.costs.latent, setting.params
    sections = [params.dit, params.autoguidance] if guided else [params.dit]
    fp8 = params.generation.sampler.fp8
    models = [_as_stages_have_it(setting, generator(s, latent, setting.classes), fp8) for s in sections]
    channels = latent.sizes.channels
    statistics = LatentStatistics(torch.zeros(channels), torch.ones(channels)).to(device)
    return Generator(models[0], models[1] if guided else None, _tokenizer(setting), statistics, device, fp8)

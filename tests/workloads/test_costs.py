"""Counts on shapes agree with the released implementation's figure, and with real tensors where these are small."""

from collections.abc import Callable
from math import prod
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from rectok.losses.adversary import adversary_loss
from rectok.params.editing import changed
from rectok.sampling.sampler_config import SamplerConfig
from rectok.tokenizer.model import ViTTokenizer
from rectok.train.adversary import Adversary
from rectok.train.step_random import StepRandom
from rectok.workloads.batches import image_batch, latent_batch
from rectok.workloads.costs import CPU, Costs, MiddleRandom
from rectok.workloads.generators import generator_objective
from rectok.workloads.objectives import adversary_of, perceptual_like, teacher_like, tokenizer_objective
from rectok.workloads.tokenizers import tokenizer_config
from tests.project import tiny
from tests.workloads.full_size import full_size

ADVERSARY = {"weight": 0.1, "start": 0.0, "filters": 4, "layers": 1, "lr_per_256": 1e-4}
BATCH = 3
PARAMS = tiny(tokenizer__losses__adversary=ADVERSARY, features__storage="online")


def draws() -> StepRandom:
    drawn = StepRandom.of((0,), BATCH, 0, 1, CPU)
    return MiddleRandom(drawn.generator, drawn.seed, drawn.samples, drawn.rows)


def counted(loss: Callable[[], Tensor]) -> int:
    here: Any = {torch.ops.mkldnn._linear_pointwise: lambda x, weight, *_, **__: 2 * prod(x) * weight[0]}
    with FlopCounterMode(display=False, custom_mapping=here) as counter:
        loss().backward()
    return int(counter.get_total_flops())


def learnt(adversary: Adversary, side: int) -> Tensor:
    return adversary_loss(*adversary.network(torch.rand(2 * BATCH, 3, side, side)).chunk(2))


@pytest.mark.slow  # in full size
def test_the_generator_of_the_paper_costs_969_gigaflop_an_image() -> None:
    params = full_size()
    costs = Costs(params, 1000)
    assert costs.generator_step(params.dit, 2).flops / 2 == pytest.approx(969e9, rel=0.01)
    assert costs.velocity(params.dit) == pytest.approx(969e9 / 3, rel=0.01)


def test_a_tokenizer_step_is_counted_as_it_runs() -> None:
    teacher = teacher_like(PARAMS)
    adversary = adversary_of(PARAMS.tokenizer.losses.adversary)
    assert adversary is not None
    perceptual = perceptual_like(PARAMS.tokenizer.losses.perceptual, teacher)
    model = ViTTokenizer(tokenizer_config(PARAMS, teacher.width))
    objective = tokenizer_objective(PARAMS, model, teacher, perceptual, adversary)
    batch = image_batch(objective.tokenizer.config, BATCH, "online", CPU)
    real = counted(lambda: objective(batch, draws(), 1.0)[0])
    real += counted(lambda: learnt(adversary, PARAMS.image.size))
    assert Costs(PARAMS, 10).tokenizer_step(BATCH, online=True, adversary=True).flops == pytest.approx(real, rel=0.01)


def test_activations_are_those_that_autograd_keeps() -> None:
    costs = Costs(PARAMS, 10)
    objective = generator_objective(PARAMS.dit, costs.latent, 10, lambda z: z)
    weights = {x.untyped_storage().data_ptr() for x in (*objective.parameters(), *objective.buffers())}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        objective(latent_batch(costs.latent, BATCH, PARAMS.latents.storage, CPU), draws(), 0.0)
    real = sum(x.untyped_storage().nbytes() for place, x in kept.items() if place not in weights)
    assert costs.generator_step(PARAMS.dit, BATCH).saved == pytest.approx(real, rel=0.01)


def test_bfloat16_keeps_fewer_bytes() -> None:
    half = changed(PARAMS, {"dit.training.precision": "bfloat16"})
    wide, narrow = (Costs(p, 10).generator_step(p.dit, 64) for p in (PARAMS, half))
    assert narrow.saved < wide.saved
    assert narrow.flops == wide.flops


def test_the_online_teacher_and_the_adversary_add_their_work() -> None:
    costs = Costs(PARAMS, 10)
    plain, online, both = (costs.tokenizer_step(BATCH, *on) for on in ((False, False), (True, False), (True, True)))
    assert online.flops - plain.flops == BATCH * costs.features()
    assert both.flops > online.flops


@pytest.mark.parametrize(
    ("method", "points", "asked"), [("euler", 50, 49), ("euler", 2, 1), ("heun", 2, 1), ("heun", 4, 5)]
)
def test_evaluations_of_a_sampler(method: str, points: int, asked: int) -> None:
    assert (
        SamplerConfig.model_validate({"method": method, "points": points, "encoder_every": 1, "fp8": False}).evaluations
        == asked
    )


def test_a_shared_encoder_saves_its_own_work() -> None:
    costs, section = Costs(tiny(), 10), tiny().dit
    sampler = {every: SamplerConfig(method="euler", points=6, encoder_every=every, fp8=False) for every in (1, 2)}
    assert costs.velocities(section, sampler[1]) == 5 * costs.velocity(section)
    assert costs.velocities(section, sampler[2]) == 3 * costs.velocity(section) + 2 * costs.head(section)
    assert 0 < costs.head(section) < costs.velocity(section)

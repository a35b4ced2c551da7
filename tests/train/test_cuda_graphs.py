"""Steps that replay CUDA graphs learn the same weights, bit for bit, as steps that start each kernel."""

from collections.abc import Callable
from itertools import repeat

import pytest
import torch
from torch import Tensor

from rectok.data.dataset import ImageBatch
from rectok.data.loader import Batch
from rectok.params import Params
from rectok.params.editing import changed
from rectok.tokenizer.model import ViTTokenizer
from rectok.train.learner import Learner
from rectok.train.meter import Meter
from rectok.train.objectives import Objective, TokenizerObjective
from rectok.train.step_random import StepRandom
from rectok.train.training_config import TrainingConfig
from rectok.train.world import GRAPHED_BELOW, graphs, join
from rectok.workloads.batches import image_batch, latent_batch
from rectok.workloads.generators import generator_objective
from rectok.workloads.objectives import adversary_of, perceptual_like, teacher_like, tokenizer_objective
from rectok.workloads.tokenizers import tokenizer_config
from tests.project import tiny

CPU = torch.device("cpu")
STEPS, BATCH = 24, 16
ADVERSARY = {"weight": 0.1, "start": 0.5, "filters": 4, "layers": 1, "lr_per_256": 1e-4}
BASE = changed(tiny(tokenizer__losses__adversary=ADVERSARY, features__storage="int8"), {"machine.device": "auto"})
Made = tuple[Objective, TrainingConfig, Batch]


def tokenizer_of(params: Params, device: torch.device) -> Made:
    teacher, section = teacher_like(params).on(device), params.tokenizer
    perceptual = perceptual_like(section.losses.perceptual, teacher)
    moved = None if perceptual is None else perceptual.on(device, section.training.precision)
    model = ViTTokenizer(tokenizer_config(params, teacher.width))
    objective = tokenizer_objective(params, model, teacher, moved, adversary_of(section.losses.adversary))
    return objective, section.training, image_batch(model.config, BATCH, "int8", device)


def dit_of(params: Params, device: torch.device) -> Made:
    latent = tokenizer_config(params, 16)
    batch = latent_batch(latent, BATCH, "float16", device)
    return generator_objective(params.dit, latent, 10, lambda z: z), params.dit.training, batch


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.filterwarnings("default")  # DeepSpeed's own
@pytest.mark.parametrize("make", [tokenizer_of, dit_of])
def test_graphs_change_no_bit(make: Callable[[Params, torch.device], Made]) -> None:
    (plain, losses), (graphed, same) = (learnt(make, graphed) for graphed in (False, True))
    assert losses == same
    assert all(torch.equal(a, b) for a, b in zip(plain, graphed, strict=True))


def learnt(make: Callable[[Params, torch.device], Made], graphed: bool) -> tuple[list[Tensor], dict[str, float]]:
    """The average and the weights after STEPS steps, with a rest in between, and the means of the losses."""
    torch.manual_seed(0)
    params = changed(
        BASE,
        {f"{stage}.training.{name}": BATCH for stage in ("tokenizer", "dit") for name in ("batch", "micro_batch")},
    )
    world = join(params.machine)
    objective, config, batch = make(params, world.device)
    learner = Learner(objective, config.model_copy(update={"precision": "bfloat16"}), STEPS, 0, world, graphed=graphed)
    learner.engine.train()
    meter = Meter("t", world)
    for number in range(STEPS):
        learner.step(number, repeat(batch), meter)
        if number == STEPS // 2:
            learner.rest()
    learner.rest()
    if graphed:
        assert learner.graphs is not None and any(learner.graphs.known.values())
    return [*learner.ema.average, *(p.detach().clone() for p in objective.parameters())], meter.read()


def test_kinds_of_steps_differ_in_visible_tokens_and_in_the_adversary() -> None:
    objective, _, batch = tokenizer_of(BASE, CPU)
    assert isinstance(objective, TokenizerObjective) and isinstance(batch, ImageBatch)
    seen: dict[int, int] = {}
    for step in range(40):
        kind = objective.kind(draws(step), 0.4)
        assert kind == (False, encoded_tokens(objective, batch, draws(step)))
        assert objective.kind(draws(step), 0.6) == (True, kind[1])
        seen[kind[1]] = step
    assert objective.tokenizer.config.tokens in seen and len(seen) > 2


def draws(step: int) -> StepRandom:
    return StepRandom.of((0, step, 0), BATCH, 0, 1, CPU)


def encoded_tokens(objective: TokenizerObjective, batch: ImageBatch, draws: StepRandom) -> int:
    """Tokens that the encoder sees in a step."""
    counts: list[int] = []
    hook = objective.tokenizer.encoder.register_forward_hook(lambda *call: counts.append(call[2].shape[1]))
    with torch.no_grad():
        objective(batch, draws, 0.0)
    hook.remove()
    return counts[0]


def test_small_steps_are_graphs_unless_told_otherwise() -> None:
    machine = BASE.machine
    assert graphs(machine, 0.9 * GRAPHED_BELOW) and not graphs(machine, 1.1 * GRAPHED_BELOW)
    assert not graphs(changed(BASE, {"machine.cuda_graphs": False}).machine, 1.0)
    assert graphs(changed(BASE, {"machine.cuda_graphs": True}).machine, 1e18)


def test_a_batch_takes_the_values_of_another() -> None:
    latent = tokenizer_config(BASE, 16)
    batch, other = (latent_batch(latent, 4, "float16", CPU) for _ in range(2))
    kept = batch.clone()
    kept.copy_(other)
    assert torch.equal(kept.moments, other.moments) and not torch.equal(kept.moments, batch.moments)

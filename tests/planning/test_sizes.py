"""Weights as the real networks have them, and memory as a real engine holds it."""

from typing import Any

import pytest
import torch

from rectok.losses.adversary import PatchGAN
from rectok.nn.counting import parameters
from rectok.params.editing import changed
from rectok.planning.plan import memory_of
from rectok.planning.sizes import disk, memory, part_sizes
from rectok.tokenizer.model import ViTTokenizer
from rectok.train.learner import Learner
from rectok.train.meter import Meter
from rectok.train.world import join
from rectok.workloads.batches import latent_batch
from rectok.workloads.costs import Costs
from rectok.workloads.generators import generator, generator_objective
from rectok.workloads.objectives import teacher_like
from rectok.workloads.tokenizers import tokenizer_config
from tests.project import tiny
from tests.workloads.full_size import full_size

PARAMS = tiny()
MACHINE = changed(PARAMS, {"machine.device": "cpu", "machine.processes": 1, "machine.compile": False}).machine


def test_parts_are_counted_as_they_are_built() -> None:
    found = part_sizes(Costs(PARAMS, 10))
    teacher = teacher_like(PARAMS)
    tokenizer = ViTTokenizer(tokenizer_config(PARAMS, teacher.width))
    assert found["teacher"] == parameters(teacher)
    assert sum(found[f"tokenizer.{part}"] or 0 for part in ("encoder", "decoder", "semantic")) == parameters(tokenizer)
    dit = generator(PARAMS.dit, tokenizer.config, 10)
    assert (found["dit.encoder"] or 0) + (found["dit.head"] or 0) == parameters(dit)
    adversary = PARAMS.decoder.losses.adversary
    assert found["adversary"] == parameters(PatchGAN(adversary.filters, adversary.layers))


def test_the_mlp_of_an_alignment_is_trained_and_in_checkpoints_but_not_kept() -> None:
    aligned = changed(PARAMS, {"dit.alignment.block": 1, "features.storage": "int8"})
    costs = Costs(aligned, 10)
    found, objective = part_sizes(costs), generator_objective(aligned.dit, costs.latent, 10, lambda z: z)
    mlp = found["alignment"]
    assert mlp == parameters(objective) - parameters(objective.dit) > 0
    assert "alignment" not in part_sizes(Costs(PARAMS, 10))
    plain, more = disk(aligned, costs.latent, 10, 1000), disk(aligned, costs.latent, 10, 1000, mlp)
    assert more["weights"] == plain["weights"] == 8000
    assert more["largest checkpoints"] - plain["largest checkpoints"] == 40 * mlp  # two, of 20 bytes a weight each
    more_memory = memory_of(aligned, "dit", 1).weights - memory_of(PARAMS, "dit", 1).weights
    assert more_memory == 4 * mlp


def test_the_paper_has_172_and_835_million_weights() -> None:
    found = part_sizes(Costs(full_size(), 1000))
    assert sum(found[f"tokenizer.{part}"] or 0 for part in ("encoder", "decoder")) == pytest.approx(172e6, rel=0.01)
    assert (found["dit.encoder"] or 0) + (found["dit.head"] or 0) == pytest.approx(835e6, rel=0.001)
    assert (found["perceptual"] or 0) > 60e6


def size(values: Any) -> int:
    return sum(x.numel() * x.element_size() for x in values if isinstance(x, torch.Tensor) and x.ndim)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # DeepSpeed's own
@pytest.mark.parametrize("stage", [0, 1, 2])
def test_the_formula_is_what_an_engine_holds(stage: int) -> None:
    section = changed(PARAMS, {"dit.training.zero_stage": stage}).dit
    latent = tokenizer_config(PARAMS, 16)
    objective = generator_objective(section, latent, 10, lambda z: z)
    learner = Learner(objective, section.training, 10, 0, join(MACHINE))
    learner.step(
        0,
        iter([latent_batch(latent, section.training.micro_batch, "float32", torch.device("cpu"))]),
        Meter("t", learner.world),
    )
    wanted = memory("dit", section.training, parameters(objective), 0, stage, 1, 0.0)
    optimizer = learner.engine.optimizer
    inner = getattr(optimizer, "optimizer", optimizer)
    held = size(value for state in inner.state.values() for value in state.values())
    held += size(getattr(optimizer, "single_partition_of_fp32_groups", []))
    assert size(objective.parameters()) == wanted.weights
    assert size(learner.ema.average) == wanted.ema
    assert held == pytest.approx(wanted.optimizer, rel=0.02)  # DeepSpeed pads its partitions


def test_zero_stages_split_what_they_say() -> None:
    config, weights = PARAMS.dit.training, 1000
    found = [memory("dit", config, weights, 0, stage, 4, 0.0) for stage in range(4)]
    assert [m.optimizer for m in found] == [8000, 3000, 3000, 3000]
    assert [m.gradients for m in found] == [4000, 4000, 1000, 1000]
    assert [m.weights for m in found] == [4000, 4000, 4000, 1000]
    assert [m.ema for m in found] == [4000, 4000, 4000, 1000]
    host = config.model_copy(update={"offload": "cpu"})
    assert memory("dit", host, weights, 0, 2, 4, 0.0).optimizer == 0

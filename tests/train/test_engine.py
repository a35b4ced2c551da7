"""What DeepSpeed's engine must not do."""

from itertools import repeat

import pytest
import torch

from rectok.train.learner import Learner
from rectok.train.meter import Meter
from rectok.train.world import join
from rectok.workloads.batches import latent_batch
from rectok.workloads.generators import generator_objective
from rectok.workloads.tokenizers import tokenizer_config
from tests.project import tiny


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # DeepSpeed's own
def test_no_step_waits_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    params = tiny()
    latent, world = tokenizer_config(params, 16), join(params.machine)
    learner = Learner(generator_objective(params.dit, latent, 10, lambda z: z), params.dit.training, 10, 0, world)
    from deepspeed.accelerator import get_accelerator

    waits: list[int] = []
    monkeypatch.setattr(get_accelerator(), "synchronize", lambda *_: waits.append(1))
    batches = repeat(latent_batch(latent, params.dit.training.micro_batch, "float16", torch.device("cpu")))
    for number in range(5):
        learner.step(number, batches, Meter("t", world))
    assert not waits

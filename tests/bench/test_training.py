"""Which steps warm up before a timing."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch

from rectok.bench.training import _Steps
from rectok.params import parse, preset_text
from rectok.tokenizer.masking import visible_tokens
from rectok.train.learner import Learner
from rectok.train.world import World

ALONE = World(0, 1, torch.device("cpu"))
VISIBLE = partial(visible_tokens, 256, config=parse(preset_text("cifar10"), "cifar10").tokenizer.masking)


class Noting(SimpleNamespace):
    """A learner that only notes which steps it was asked for."""

    draws, skipped, graphs = Learner.draws, 0, None
    generator = torch.Generator()

    def step(self, number: int, *_: object) -> None:
        self.numbers.append(number)


@pytest.mark.parametrize("seed", range(20))
def test_blocks_are_compiled_before_the_timing_for_every_kind_of_visible_tokens(seed: int) -> None:
    learner = Noting(seed=seed, world=ALONE, numbers=[])
    _Steps(learner, None, VISIBLE).warm()  # type: ignore[arg-type]
    counts = {VISIBLE(learner.draws(number, 0, 4).one_uniform()) for number in learner.numbers}
    assert 256 in counts and {count % 8 == 0 for count in counts - {256}} == {True, False}


def test_where_nothing_is_masked_two_steps_warm_up() -> None:
    learner = Noting(seed=0, world=ALONE, numbers=[])
    _Steps(learner, None, None).warm()  # type: ignore[arg-type]
    assert len(learner.numbers) == 2

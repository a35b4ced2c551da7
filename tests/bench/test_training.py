"""Which steps warm up before a timing."""

from types import SimpleNamespace

import torch

from rectok.bench.training import _Steps
from rectok.params import parse, preset_text
from rectok.tokenizer.masking import random_mask
from rectok.train.draws import Draws
from rectok.train.world import World

ALONE = World(0, 1, torch.device("cpu"))
TOKENS = 256


def test_blocks_are_compiled_before_the_timing_for_every_kind_of_visible_tokens() -> None:
    """torch.compile makes other code for all tokens, for a number that divides by 8, and for one that does not."""
    masking = parse(preset_text("cifar10"), "cifar10").tokenizer.masking
    numbers: list[int] = []
    learner = SimpleNamespace(seed=0, world=ALONE, step=lambda number, _batches, _meter: numbers.append(number))
    _Steps(learner, None).warm()  # type: ignore[arg-type]

    def visible(number: int) -> int:
        share = Draws.of((0, number, 0), 1, 0, 1, ALONE.device).one_uniform()
        mask = random_mask(torch.rand(1, TOKENS), share, masking)
        return TOKENS if mask is None else mask.visible.shape[1]

    masked = {visible(number) % 8 == 0 for number in numbers if visible(number) < TOKENS}
    assert masked == {True, False}
    assert any(visible(number) == TOKENS for number in numbers)

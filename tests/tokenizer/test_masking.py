"""Masking: subsets are random, equal in size, and undone exactly."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from rectok.tokenizer.masking import Mask, random_mask
from rectok.tokenizer.tokenizer_config import MaskingConfig

PUBLISHED = MaskingConfig(low=-0.1, high=0.4)


@given(st.integers(1, 40), st.floats(0, 0.999))
def test_every_sample_keeps_the_same_share(tokens: int, draw: float) -> None:
    mask = random_mask(torch.rand(3, tokens), draw, PUBLISHED)
    kept = math.ceil(tokens * (1 - max(0.0, -0.1 + 0.5 * draw)))
    if kept == tokens:
        assert mask is None
    else:
        assert mask is not None
        assert mask.visible.shape == (3, kept)
        assert (mask.hidden.sum(1) == tokens - kept).all()


def test_a_fifth_of_the_draws_masks_nothing() -> None:
    draws = torch.linspace(0, 0.999, 1000).tolist()
    unmasked = sum(random_mask(torch.rand(1, 1000), draw, PUBLISHED) is None for draw in draws)
    assert abs(unmasked / 1000 - 0.2) < 0.01


def test_scatter_undoes_gather_and_fills_the_rest() -> None:
    mask = random_mask(torch.rand(4, 16), 0.9, PUBLISHED)
    assert isinstance(mask, Mask)
    tokens, filler = torch.randn(4, 16, 5), torch.full((1, 1, 5), 7.0)
    restored = mask.scatter(mask.gather(tokens), filler)
    hidden = mask.hidden[..., None]
    assert torch.equal(restored, torch.where(hidden, filler, tokens))

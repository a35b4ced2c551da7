import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rectok.train.step_random import StepRandom

CPU = torch.device("cpu")


@settings(max_examples=30, deadline=None)
@given(local=st.integers(1, 5), world=st.integers(1, 4), seed=st.integers(0, 2**32), step=st.integers(0, 10**6))
def test_the_draws_of_all_ranks_are_those_of_one(local: int, world: int, seed: int, step: int) -> None:
    key = (seed, step, 0)
    alone = StepRandom.of(key, local * world, 0, 1, CPU)
    ranks = [StepRandom.of(key, local, rank, world, CPU) for rank in range(world)]
    for draw in (lambda d: d.normal(3, 2), lambda d: d.uniform(), lambda d: d.normal()):
        assert torch.equal(torch.cat([draw(rank) for rank in ranks]), draw(alone))
    assert {rank.one_uniform() for rank in ranks} == {alone.one_uniform()}


def test_every_step_and_micro_batch_draws_anew() -> None:
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    found = {tuple(StepRandom.of(key, 4, 0, 1, CPU).normal().tolist()) for key in keys}
    assert len(found) == len(keys)


def test_draws_have_their_distributions() -> None:
    draws = StepRandom.of((0, 0, 0), 20_000, 0, 1, CPU)
    normal, uniform = draws.normal(), draws.uniform()
    assert abs(normal.mean()) < 0.03 and abs(normal.std() - 1) < 0.03
    assert 0 <= uniform.min() < 0.01 and 0.99 < uniform.max() < 1


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    draws = StepRandom.of((3, 2, 1), 4, 0, 2, CPU)
    draws.normal(2)
    draws.one_uniform()
    assert torch.equal(before, torch.get_rng_state())

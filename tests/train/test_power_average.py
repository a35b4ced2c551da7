"""Averages over a power of the step, and others from their snapshots, beside sums over all steps (arXiv 2312.02696)."""

import numpy as np
import pytest
import torch
from torch import nn

from rectok.train.ema import EMA
from rectok.train.power_average import Profile, combination, error, snapshot_steps

STEPS = 400
LENGTHS = (0.05, 0.1)
WALK = np.random.default_rng(0).normal(size=(STEPS, 4)).cumsum(0)
"""The weights of every step."""


def brute(values: np.ndarray, length: float) -> np.ndarray:
    """The average of weights [T, D], of which step t has the integral of the profile from t − 1 to t."""
    ends = np.linspace(0, 1, len(values) + 1) ** (Profile(1, length).exponent + 1)
    return np.diff(ends) @ values


def trained(steps: int = STEPS) -> EMA:
    module = nn.Linear(4, 1, bias=False)
    ema = EMA(module, 0.9, LENGTHS)
    for step in range(steps):
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(WALK[step])[None])
        ema.update(step)
    return ema


def test_the_exponent_gives_the_profile_its_standard_deviation() -> None:
    t = (np.arange(200_000) + 0.5) / 200_000
    for length in (0.01, 0.05, 0.1, 0.25):
        exponent = Profile(1, length).exponent
        density = (exponent + 1) * t**exponent / len(t)
        mean = density @ t
        assert np.sqrt(density @ (t - mean) ** 2) == pytest.approx(length, rel=1e-4)


def test_products_of_profiles_are_their_integrals() -> None:
    t = (np.arange(400_000) + 0.5) / 400_000 * 100
    one, other = Profile(60, 0.07), Profile(100, 0.2)
    first, last = ((p.exponent + 1) * (t / p.step) ** p.exponent / p.step * (t <= p.step) for p in (one, other))
    assert one.dot(other) == other.dot(one) == pytest.approx((first * last).sum() * 100 / len(t), rel=1e-4)
    assert one.dot(one) == pytest.approx((first * first).sum() * 100 / len(t), rel=1e-4)


def test_the_running_averages_are_the_sums_over_all_steps() -> None:
    ema = trained()
    for length in LENGTHS:
        assert np.allclose(ema.powers[length][0].numpy(), brute(WALK, length), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("length", [0.04, 0.07, 0.15, 0.25])
def test_any_length_follows_from_snapshots_of_two(length: float) -> None:
    profiles = [Profile(step, each) for each in LENGTHS for step in snapshot_steps(STEPS, 16)]
    kept = np.stack([brute(WALK[: profile.step], profile.length) for profile in profiles])
    target = Profile(STEPS, length)
    rebuilt, exact = combination(profiles, target) @ kept, brute(WALK, length)
    distance = np.linalg.norm(rebuilt - exact) / np.linalg.norm(WALK.std(0))
    assert distance < 0.02 and error(profiles, target) < 0.1
    assert combination(profiles, target).sum() == pytest.approx(1, abs=0.03)
    # One average alone is farther away.
    alone = [profile for profile in profiles if profile == Profile(STEPS, 0.05)]
    assert error(alone, target) > error(profiles, target)


def test_a_length_that_was_kept_is_itself() -> None:
    profiles = [Profile(step, each) for each in LENGTHS for step in (50, 100)]
    assert np.allclose(combination(profiles, Profile(100, 0.1)), [0, 0, 0, 1], atol=1e-6)


def test_snapshots_are_even_and_end_with_the_training() -> None:
    assert snapshot_steps(100, 4) == [25, 50, 75, 100]
    assert snapshot_steps(3, 8) == [1, 2, 3]


def test_a_checkpoint_holds_the_averages_of_all_lengths() -> None:
    ema, other = trained(), EMA(nn.Linear(4, 1, bias=False), 0.9, LENGTHS)
    other.load_state_dict({name: [a.clone() for a in averages] for name, averages in ema.state_dict().items()})
    for length in LENGTHS:
        assert torch.equal(other.powers[length][0], ema.powers[length][0])
    with ema.swapped(ema.powers[0.05]):
        assert torch.equal(ema.parameters[0].data, ema.powers[0.05][0])
    assert torch.equal(ema.parameters[0].data, torch.from_numpy(WALK[-1]).float()[None])

"""The flows: end points, inverses, and an ODE with a known solution."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rectok import flow

SHIFTS = st.floats(0.1, 10)


def test_time_shift_of_the_paper() -> None:
    assert math.isclose(flow.time_shift(256, 128), math.sqrt(8))


@given(SHIFTS)
def test_shift_keeps_the_ends_and_its_inverse_is_the_inverse_shift(s: float) -> None:
    u = torch.linspace(0, 1, 11, dtype=torch.float64)
    shifted = flow.shift(u, s)
    assert shifted[0] == 0
    assert torch.isclose(shifted[-1], torch.ones((), dtype=torch.float64))
    assert torch.allclose(flow.shift(shifted, 1 / s), u, atol=1e-9)


@given(SHIFTS)
def test_schedules_stay_inside_the_unit_interval(s: float) -> None:
    uniform, normal = torch.rand(64), torch.randn(64)
    for schedule in ("shift", "uniform", "lognorm"):
        t = flow.noise_level(uniform, normal, schedule, s)
        assert (t >= 0).all()
        assert (t <= 1).all()


def test_unknown_schedule_is_an_error() -> None:
    with pytest.raises(ValueError, match="linear"):
        flow.noise_level(torch.rand(1), torch.randn(1), "linear", 1.0)


def test_interpolation_ends_are_latent_and_scaled_noise() -> None:
    z, noise = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    x = flow.interpolate(z, noise, torch.tensor([0.0, 1.0]), 2.0)
    assert torch.equal(x[0], z[0])
    assert torch.allclose(x[1], 2 * noise[1])


def test_generator_pair_moves_along_its_velocity() -> None:
    data, noise, time = torch.randn(4, 2, 3), torch.randn(4, 2, 3), torch.rand(4)
    x, velocity = flow.generator_pair(data, noise, time)
    left = (1 - time).reshape(-1, 1, 1)
    assert torch.allclose(x + left * velocity, data, atol=1e-6)


@given(SHIFTS, st.integers(2, 60))
def test_time_points_rise_from_noise_to_data(s: float, n: int) -> None:
    times = flow.time_points(n, s)
    assert len(times) == n
    assert times[0].abs() < 1e-6
    assert torch.isclose(times[-1], torch.ones(()))
    assert (times.diff() > 0).all()


def test_generator_spends_more_time_near_noise_when_shifted() -> None:
    assert flow.generator_time(torch.tensor([0.5]), 3.0) < 0.5
    assert flow.generator_time(torch.tensor([0.3]), 0.5) == pytest.approx(0.3)


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("heun", 2)])
def test_solvers_converge_at_their_order(method: str, order: int) -> None:
    """dx/dτ = x from 1 has the solution e."""

    def error(points: int) -> float:
        x = torch.ones(1, dtype=torch.float64)
        end = flow.integrate(lambda x, _: x, x, torch.linspace(0, 1, points, dtype=torch.float64), method)
        return abs(end.item() - math.e)

    # Heun's last step is Euler's, as in EDM, whose local error is of second order and so keeps the global order.
    assert math.log2(error(101) / error(201)) == pytest.approx(order, abs=0.1)


def test_guidance_of_scale_one_is_the_model_itself() -> None:
    reference, velocity = torch.randn(3), torch.randn(3)
    assert torch.allclose(flow.guided(reference, velocity, 1.0), velocity)
    assert torch.equal(flow.guided(reference, velocity, 0.0), reference)

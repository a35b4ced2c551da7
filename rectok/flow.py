"""The two flows of the method: the tokenizer's forward flow and the generator's rectified flow, with their ODE solvers.

Tokenizer (RecTok, arXiv 2512.13421): t = 0 is the clean latent, t = 1 is noise. Generator (RAE, arXiv 2510.11690):
time runs the other way, 0 is noise and 1 is data. Both shift time by s = √(N·C / 4096), so that a latent of many
dimensions sees more noise (SD3, arXiv 2403.03206, section 5.3.2).
"""

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

BASE_DIMENSIONS = 4096
NEAREST = 0.05
Velocity = Callable[[Tensor, float], Tensor]
"""(x, time) → dx/dtime, with x of any shape."""


def time_shift(tokens: int, channels: int) -> float:
    """s = √(tokens·channels / 4096)."""
    return math.sqrt(tokens * channels / BASE_DIMENSIONS)


def shift(u: Tensor, s: float) -> Tensor:
    """Map u ∈ [0, 1] to s·u / (1 + (s − 1)·u) ∈ [0, 1]; s > 1 moves mass towards 1."""
    return s * u / (1 + (s - 1) * u)


def noise_level(uniform: Tensor, normal: Tensor, schedule: str, s: float) -> Tensor:
    """The tokenizer's t for draws `uniform` ~ U(0, 1) and `normal` ~ N(0, 1) of the same shape (one of them is used)."""
    if schedule == "shift":
        return shift(uniform, s)
    if schedule == "uniform":
        return uniform
    if schedule == "lognorm":
        return torch.sigmoid(normal)
    raise ValueError(f"unknown schedule {schedule!r}")


def interpolate(z: Tensor, noise: Tensor, t: Tensor, scale: float = 1.0) -> Tensor:
    """x_t = (1 − t)·z + t·scale·noise, for z, noise [B, …] and t [B]."""
    t = t.reshape(-1, *[1] * (z.dim() - 1)).to(z.dtype)
    return (1 - t) * z + t * scale * noise


def generator_time(uniform: Tensor, s: float) -> Tensor:
    """τ for draws u ~ U(0, 1): 1 − shift(u, s) where s > 1, else u itself."""
    return 1 - shift(uniform, s) if s > 1 else uniform


def generator_pair(data: Tensor, noise: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
    """x_τ = τ·data + (1 − τ)·noise and its velocity data − noise, for data, noise [B, …] and τ [B]."""
    return interpolate(data, noise, 1 - time), data - noise


def velocity_to(data: Tensor, x: Tensor, time: Tensor) -> Tensor:
    """The velocity (data − x_τ)/(1 − τ) that leads from x_τ to `data`, both [B, …], for τ [B].

    1 − τ is at least NEAREST, since the quotient grows without bound towards data (arXiv 2511.13720, 2605.18324).
    """
    left = (1 - time).clamp(min=NEAREST).reshape(-1, *[1] * (x.dim() - 1))
    return (data - x) / left.to(x.dtype)


def time_points(points: int, s: float) -> Tensor:
    """The `points` times from noise (0) to data (1) that a solver visits, float32 [points]."""
    u = torch.linspace(0, 1, points)
    return 1 - shift(u, s).flip(0) if s > 1 else shift(u, s)


def integrate(velocity: Velocity, x: Tensor, times: Tensor, method: str) -> Tensor:
    """Solve dx/dτ = velocity(x, τ) from times[0] to times[-1] by `euler` or `heun` (EDM, arXiv 2206.00364, algorithm 1)."""
    steps = times.tolist()
    for now, then in pairwise(steps):
        slope = velocity(x, now)
        if method == "heun" and then != steps[-1]:
            slope = (slope + velocity(x + (then - now) * slope, then)) / 2
        x = x + (then - now) * slope
    return x


def guided(reference: Tensor, velocity: Tensor, scale: float) -> Tensor:
    """reference + scale·(velocity − reference): CFG or AutoGuidance, depending on whose the reference is."""
    return reference + scale * (velocity - reference)

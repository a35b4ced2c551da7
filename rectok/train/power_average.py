"""Post-hoc EMA (EDM2, arXiv 2312.02696, section 3.1 and appendix C): averages whose profile is a power of the step.

The profile of the exponent γ at step T gives the weights of step t the share p(t) = (γ + 1)·t^γ / T^(γ+1). Its standard deviation
is a fixed share of the training so far, the length σ_rel. Snapshots of two such averages span nearly those of every other length.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Profile:
    """The average of length `length` (σ_rel) over the steps up to `step`."""

    step: int
    length: float

    @property
    def exponent(self) -> float:
        """γ, of which σ_rel² = (γ + 1)/((γ + 2)²·(γ + 3)): the largest root of γ³ + 7γ² + (16 − σ⁻²)γ + 12 − σ⁻²."""
        inverse = self.length**-2
        return float(np.roots([1, 7, 16 - inverse, 12 - inverse]).real.max())

    def dot(self, other: "Profile") -> float:
        """∫ p·q over all steps, of two profiles."""
        first, last = sorted((self, other), key=lambda profile: profile.step)
        a, b = first.exponent, last.exponent
        return float((a + 1) * (b + 1) / (a + b + 1) * (first.step / last.step) ** b / last.step)


def decay(exponent: float, step: int) -> float:
    """The share of the old average at step number `step`, from 1 on: (1 − 1/t)^(γ+1)."""
    return float((1 - 1 / step) ** (exponent + 1))


def combination(snapshots: Sequence[Profile], target: Profile) -> NDArray[np.float64]:
    """The factors of the `snapshots` whose sum comes closest to the `target`, in the mean square over all steps."""
    products = np.array([[one.dot(other) for other in snapshots] for one in snapshots])
    factors: NDArray[np.float64] = np.linalg.lstsq(products, np.array([one.dot(target) for one in snapshots]))[0]
    return factors


def error(snapshots: Sequence[Profile], target: Profile) -> float:
    """How far the closest combination is from the `target`: the norm of the difference over that of the target."""
    factors = combination(snapshots, target)
    square = 1 - factors @ np.array([one.dot(target) for one in snapshots]) / target.dot(target)
    return float(np.sqrt(max(0.0, square)))


def snapshot_steps(steps: int, count: int) -> list[int]:
    """The steps of `count` snapshots, evenly spaced; the last step is among them."""
    return sorted({max(1, round(steps * number / count)) for number in range(1, count + 1)})

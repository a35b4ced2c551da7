"""Whether a night is worse than the accepted baseline: by more than a tolerance, and by more than noise. No torch here.

The baseline of a figure is its mean over the first `nights` measurements of the accepted generator under the same protocol:
what was found when it was accepted, then the nights after, without those that had regressed. These are fixed once they
are there, so that a slow decline is never taken into the baseline bit by bit.

The noise of one measurement is the sample standard deviation of the baseline's measurements once all of them are there: the
same weights with fresh seeds, so nothing but chance moves them. Before that it is estimated from parts of each night's own
samples: figures of k disjoint parts with standard deviation s give s/√k for the whole (as for a mean; a Fréchet distance
of fewer samples is biased upwards, equally in all parts, which leaves their spread alone), as the root of the mean
square over the measurements at hand and the night. A night counts as worse where it is worse than the baseline
by more than the tolerance and by more than sigmas·noise·√(1 + 1/m) with a baseline of m measurements.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev

from rectok.nightly.history import FIGURES, NightlyRun
from rectok.reporting.display import written

LOWER_IS_BETTER = ("gfid", "gfid_guided")


@dataclass(frozen=True)
class Limits:
    """`gfid` is a relative rise, `accuracy` an absolute fall; `nights` make the baseline; `sigmas` multiply the noise."""

    gfid: float
    accuracy: float
    runs: int
    sigmas: float


@dataclass(frozen=True)
class Finding:
    """A figure of a night beside its baseline: the mean of `measurements`, and the value beyond which it is a regression.

    `noise` is the standard deviation of one measurement and `source` says where it comes from.
    """

    figure: str
    value: float
    baseline: float
    limit: float
    noise: float
    source: str
    measurements: int
    regressed: bool

    @property
    def sentence(self) -> str:
        """What got worse, and by how much it might have."""
        value, baseline = written(self.figure, self.value), written(self.figure, self.baseline)
        side = "above" if self.figure in LOWER_IS_BETTER else "below"
        return (
            f"{self.figure} is {value}, {side} {written(self.figure, self.limit)}, the limit that follows from the "
            f"baseline {baseline}, its tolerance and the noise"
        )


def baseline(
    history: Sequence[NightlyRun], night: NightlyRun, accepted: str, measured: NightlyRun | None, limits: Limits
) -> list[NightlyRun]:
    """The measurements that `night` is compared with, oldest first: none where nothing is comparable.

    `accepted` is the generator in force, empty where nothing was accepted yet: then the first one evaluated stands for it.
    `measured` is what was found when it was accepted.
    """
    earlier = [past for past in history if past.date < night.date and not past.regressed]
    nights = [past for past in ([measured] if measured else []) + earlier if past.protocol == night.protocol]
    wanted = accepted or (nights[0].generator if nights else "")
    return [past for past in nights if past.generator == wanted][: limits.runs]


def findings(night: NightlyRun, measurements: Sequence[NightlyRun], limits: Limits) -> list[Finding]:
    """Every figure of `night` beside the baseline of these `measurements`; empty where there are none."""
    if not measurements:
        return []
    return [found for name in FIGURES if (found := _finding(name, night, measurements, limits)) is not None]


def _finding(name: str, night: NightlyRun, measurements: Sequence[NightlyRun], limits: Limits) -> Finding | None:
    value = night.figure(name)
    past = [figure for each in measurements if (figure := each.figure(name)) is not None]
    if value is None or not past:
        return None
    mean = fmean(past)
    noise, source = _noise(name, night, measurements, past, limits)
    by_chance = limits.sigmas * noise * sqrt(1 + 1 / len(past))
    if name in LOWER_IS_BETTER:
        limit = mean + max(mean * limits.gfid, by_chance)
        return Finding(name, value, mean, limit, noise, source, len(past), value > limit)
    limit = mean - max(limits.accuracy, by_chance)
    return Finding(name, value, mean, limit, noise, source, len(past), value < limit)


def _noise(
    name: str, night: NightlyRun, measurements: Sequence[NightlyRun], past: Sequence[float], limits: Limits
) -> tuple[float, str]:
    if len(past) >= limits.runs:
        return stdev(past), f"spread of {len(past)} nights"
    parts = [noise for each in (*measurements, night) if (noise := each.noise(name)) is not None]
    if not parts:
        return 0.0, "not estimated"
    return sqrt(fmean(noise**2 for noise in parts)), "spread of parts of a night"

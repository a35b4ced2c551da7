"""Is a nightly run worse than the baseline? No torch here.

The baseline of a metric is its mean over the first `runs` measurements of the promoted generator under the same protocol: the
one made at its promotion, then the nightly runs after it that had not regressed. They do not change any more, so a slow decline
never enters the baseline.

When all of them are there, the noise of one measurement is their sample standard deviation: they have the same weights and
fresh seeds, so nothing but chance moves them. Before that, it is the root mean square, over the measurements and the run, of
estimates from parts of each one's own samples. With the standard deviation s over k disjoint parts, the whole has s/√k, as for
a mean. (A Fréchet distance of fewer samples is biased upwards, equally in all parts, which leaves their spread alone.)

A run is worse where it is worse than the baseline by more than the tolerance and by more than sigmas·noise·√(1 + 1/m), with m
measurements in the baseline.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import get_args

from rectok.evaluation.metrics import METRICS, ToleranceName, nightly_metrics
from rectok.nightly.history import NightlyRun
from rectok.params.schema import NightlyParams


@dataclass(frozen=True)
class Limits:
    """`tolerances` by the names of their parameters; `runs` make the baseline; `sigmas` multiply the noise."""

    tolerances: Mapping[str, float]
    runs: int
    sigmas: float


@dataclass(frozen=True)
class Comparison:
    """A metric of a run beside its baseline: the mean of `measurements`, and the value beyond which it is a regression.

    `noise` is the standard deviation of one measurement and `source` says where it comes from.
    """

    metric: str
    value: float
    baseline: float
    limit: float
    noise: float
    source: str
    measurements: int
    regressed: bool

    @property
    def sentence(self) -> str:
        """Says that the metric is beyond its limit."""
        metric = METRICS[self.metric]
        side = "above" if metric.better == "lower" else "below"
        return (
            f"{metric.title} is {metric.text(self.value)}, {side} {metric.text(self.limit)}, the limit that follows from the "
            f"baseline {metric.text(self.baseline)}, its tolerance and the noise"
        )


def limits_of(settings: NightlyParams) -> Limits:
    """What the section `nightly` of the parameters says."""
    tolerances = {name: getattr(settings, name) for name in get_args(ToleranceName)}
    return Limits(tolerances, settings.noise.runs, settings.noise.sigmas)


def baseline(
    history: Sequence[NightlyRun], run: NightlyRun, promoted: str, measured: NightlyRun | None, limits: Limits
) -> list[NightlyRun]:
    """The measurements that `run` is compared with, oldest first: none where nothing is comparable.

    Those of the generator `promoted`, at first the one `measured` at promotion, or of the first evaluated where it is empty.
    """
    earlier = [past for past in history if past.date < run.date and not past.regressed]
    comparable = [past for past in ([measured] if measured else []) + earlier if past.protocol == run.protocol]
    generator = promoted or (comparable[0].generator if comparable else "")
    return [past for past in comparable if past.generator == generator][: limits.runs]


def comparisons(run: NightlyRun, measurements: Sequence[NightlyRun], limits: Limits) -> list[Comparison]:
    """Every metric of `run` beside the baseline of these `measurements`; empty where there are none."""
    compared = (_comparison(name, run, measurements, limits) for name in nightly_metrics())
    return [comparison for comparison in compared if comparison is not None]


def _comparison(name: str, run: NightlyRun, measurements: Sequence[NightlyRun], limits: Limits) -> Comparison | None:
    value = run.metrics[name]
    past = [number for each in measurements if (number := each.metrics[name]) is not None]
    if value is None or not past:
        return None
    mean = fmean(past)
    noise, source = _noise(name, run, measurements, past, limits)
    margin = max(_tolerance(name, mean, limits), limits.sigmas * noise * sqrt(1 + 1 / len(past)))
    lower = METRICS[name].better == "lower"
    limit = mean + margin if lower else mean - margin
    return Comparison(name, value, mean, limit, noise, source, len(past), value > limit if lower else value < limit)


def _tolerance(name: str, mean: float, limits: Limits) -> float:
    tolerance = METRICS[name].tolerance
    assert tolerance is not None
    return limits.tolerances[tolerance.name] * (abs(mean) if tolerance.relative else 1)


def _noise(
    name: str, run: NightlyRun, measurements: Sequence[NightlyRun], past: Sequence[float], limits: Limits
) -> tuple[float, str]:
    if len(past) >= limits.runs:
        return stdev(past), f"spread of {len(past)} nightly runs"
    parts = [noise for each in (*measurements, run) if (noise := each.noise[name]) is not None]
    if not parts:
        return 0.0, "not estimated"
    return sqrt(fmean(noise**2 for noise in parts)), "spread of parts of a nightly run"

"""How much the metrics of a set of samples would move with other seeds, estimated from parts of the set."""

from math import sqrt
from statistics import stdev

from torch import Tensor

from rectok.evaluation.fidelity import Features, ReferenceFeatures
from rectok.evaluation.generation import Metrics, SampleFeatures, measure_nightly
from rectok.evaluation.metric_network import MetricNetwork


def part_noise(
    samples: SampleFeatures, parts: int, reference: ReferenceFeatures, metric_network: MetricNetwork
) -> Metrics:
    """Standard deviations of the nightly metrics of `samples`, by name; None where the metric has no value.

    Every `parts`-th sample makes a part, so each part holds all classes and seeds of its own. The sample standard deviation over
    the parts, divided by √parts, is that of the whole, as for a mean. A Fréchet distance of fewer samples is biased, which the
    spread does not contain.
    """

    def measure(features: Features, labels: Tensor) -> Metrics:
        return measure_nightly(features, labels, reference, metric_network)

    measured = [samples.part(first, parts).measured(measure) for first in range(parts)]
    return {name: _of_the_whole([part[name] for part in measured]) for name in measured[0]}


def _of_the_whole(values: list[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return stdev(numbers) / sqrt(len(values)) if numbers else None

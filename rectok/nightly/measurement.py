"""Measure a generator with fresh seeds, and how much its metrics would move with others."""

from math import sqrt
from pathlib import Path
from statistics import stdev

from torch import Tensor

from rectok.evaluation.fidelity import Features, ReferenceFeatures
from rectok.evaluation.fingerprint import FINGERPRINT
from rectok.evaluation.generation import Metrics, SampleFeatures, Samples, measure_nightly
from rectok.evaluation.metric_network import MetricNetwork
from rectok.evaluation.metrics import nightly_metrics
from rectok.nightly.generator_copy import content, identity
from rectok.nightly.history import NightlyRun
from rectok.params import Params
from rectok.stages.generation import evaluate


def measure(params: Params, source: Path, date: str, purpose: str) -> tuple[NightlyRun, Samples] | None:
    """The nightly metrics of the generator in `source` with the seeds of `purpose`, and its samples, in the first process."""
    generation = params.generation.model_copy(update={"spaces": ()})  # no nightly metric is of another space
    params = params.model_copy(update={"generation": generation})
    evaluation = evaluate(params, "nightly", purpose, params.nightly.per_class, source)
    if evaluation is None:
        return None
    metrics = evaluation.record.metrics
    noise = part_noise(evaluation.features, params.nightly.noise.parts, evaluation.reference, evaluation.metric_network)
    run = NightlyRun(
        date=date,
        generator=identity(content(source)),
        protocol=str(evaluation.record.protocol[FINGERPRINT]),
        n=len(evaluation.samples.labels),
        metrics={name: metrics[name] for name in nightly_metrics()},
        noise={name: noise[name] for name in nightly_metrics()},
    )
    return run, evaluation.samples


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
    values = {name: [value for part in measured if (value := part[name]) is not None] for name in measured[0]}
    return {name: stdev(numbers) / sqrt(parts) if numbers else None for name, numbers in values.items()}

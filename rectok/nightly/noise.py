"""How much the figures of a set of samples would move with other seeds, estimated from parts of the set."""

from collections.abc import Mapping
from math import sqrt
from statistics import stdev

from torch import Tensor

from rectok.evaluation.fidelity import Features, Target, frechet
from rectok.evaluation.metric_network import MetricNetwork


def part_noise(
    features: Mapping[str, Features], labels: Tensor, parts: int, reference: Target, metric_network: MetricNetwork
) -> dict[str, float | None]:
    """Standard deviations of gfid and sample_accuracy of samples that the metric network has looked at, by the figures' names.

    Every `parts`-th sample makes a part, so each holds all classes and seeds of its own. The sample standard deviation over
    the parts, divided by √parts, is that of the whole, as for a mean; a Fréchet distance of fewer samples is biased, which
    the spread does not see. None where the metric network knows no labels.
    """
    found: dict[str, float | None] = {}
    for suffix, whole in features.items():
        cut = [whole.part(first, parts) for first in range(parts)]
        shares = [metric_network.recognised(part.logits, labels[first::parts]) for first, part in enumerate(cut)]
        found[f"gfid{suffix}"] = _of_the_whole([frechet(part, reference) for part in cut])
        found[f"sample_accuracy{suffix}"] = _of_the_whole([share for share in shares if share is not None])
    return found


def _of_the_whole(values: list[float]) -> float | None:
    return stdev(values) / sqrt(len(values)) if values else None

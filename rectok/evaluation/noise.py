"""How much the figures of a set of samples would move with other seeds, estimated from parts of the set."""

from math import sqrt
from statistics import stdev

from rectok.evaluation.fidelity import Features, Target, frechet, seen
from rectok.evaluation.images import Stack
from rectok.evaluation.judge import Judge
from rectok.evaluation.sampling import Samples


def part_noise(samples: Samples, parts: int, reference: Target, judge: Judge) -> dict[str, float | None]:
    """Standard deviations of gfid and sample_accuracy, unguided and guided, by name.

    Every `parts`-th sample makes a part, so each holds all classes and seeds of its own. The sample standard deviation over
    the parts, divided by √parts, is that of the whole, as for a mean; a Fréchet distance of fewer samples is biased, which
    the spread does not see. None where the judge knows no labels.
    """
    found: dict[str, float | None] = {}
    for images, suffix in ((samples.unguided, ""), (samples.guided, "_guided")):
        features = seen(Stack(images), judge)
        distances = [frechet(_part(features, first, parts), reference) for first in range(parts)]
        shares = [judge.recognised(images[first::parts], samples.labels[first::parts]) for first in range(parts)]
        found[f"gfid{suffix}"] = _of_the_whole(distances)
        found[f"sample_accuracy{suffix}"] = _of_the_whole([share for share in shares if share is not None])
    return found


def _part(features: Features, first: int, parts: int) -> Features:
    return Features(features.pooled[first::parts], features.logits[first::parts])


def _of_the_whole(values: list[float]) -> float | None:
    return stdev(values) / sqrt(len(values)) if values else None

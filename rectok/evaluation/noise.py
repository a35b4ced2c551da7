"""How much the figures of a set of samples would move with other seeds, estimated from parts of the set."""

from math import sqrt
from statistics import stdev
from tempfile import TemporaryDirectory

from torch import Tensor

from rectok.evaluation.fidelity import frechet
from rectok.evaluation.images import Stack
from rectok.evaluation.judge import Judge
from rectok.evaluation.reference import Reference
from rectok.evaluation.sampling import Samples


def part_noise(samples: Samples, parts: int, reference: Reference, judge: Judge) -> dict[str, float | None]:
    """Standard deviations of gfid and sample_accuracy, unguided and guided, by name.

    Every `parts`-th sample makes a part, so each holds all classes and seeds of its own. The sample standard deviation over
    the parts, divided by √parts, is that of the whole, as for a mean; a Fréchet distance of fewer samples is biased, which
    the spread does not see. None where the judge knows no labels.
    """
    found: dict[str, float | None] = {}
    with TemporaryDirectory() as cache:
        for images, suffix in ((samples.unguided, ""), (samples.guided, "_guided")):
            pieces = [(images[first::parts], samples.labels[first::parts]) for first in range(parts)]
            found[f"gfid{suffix}"] = _of_the_whole([_distance(piece, reference, judge, cache) for piece, _ in pieces])
            shares = [judge.recognised(piece, labels) for piece, labels in pieces]
            found[f"sample_accuracy{suffix}"] = _of_the_whole([share for share in shares if share is not None])
    return found


def _distance(images: Tensor, reference: Reference, judge: Judge, cache: str) -> float:
    return frechet(Stack(images), reference, judge, cache)


def _of_the_whole(values: list[float]) -> float | None:
    return stdev(values) / sqrt(len(values)) if values else None

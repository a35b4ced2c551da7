"""Metrics in several feature spaces, and how far samples are from the reference in all of them together."""

from collections.abc import Mapping, Sequence
from math import prod
from statistics import fmean

from rectok.evaluation.fidelity import Features, ReferenceFeatures, frechet, manifold_metrics
from rectok.evaluation.generation import SampleFeatures
from rectok.evaluation.metrics import GUIDED, MEANS

BySpace = dict[str, float]


def space_metrics(
    samples: SampleFeatures, held_out: Features, reference: ReferenceFeatures, names: Sequence[str], neighbours: int
) -> dict[str, BySpace]:
    """Metrics by their names, each by space. `names` are those of the metric network and of the spaces, whose features follow.

    The metric network's own distances are gFID and its floor; only its ratio is among these.
    """
    spaces = names[1:]
    references = dict(zip(spaces, reference.spaces, strict=True))
    real = {name: frechet(each, references[name]) for name, each in zip(spaces, held_out.in_spaces(), strict=True)}
    floors = {names[0]: frechet(held_out, reference), **real}

    def measured(features: Features) -> dict[str, BySpace]:
        metrics = metrics_by_space(features, reference, spaces, neighbours)
        return {**metrics, "fdr": ratios({names[0]: frechet(features, reference), **metrics["fd"]}, floors)}

    plain = measured(samples.unguided)
    guided = plain if samples.guided is samples.unguided else measured(samples.guided)
    return {**plain, **{f"{name}{GUIDED}": value for name, value in guided.items()}, "fd_floor": real}


def metrics_by_space(
    features: Features, reference: ReferenceFeatures, spaces: Sequence[str], neighbours: int
) -> dict[str, BySpace]:
    """Fréchet distance, KID, precision and recall of one set of images, each by the name of its space."""
    pairs = dict(zip(spaces, zip(features.in_spaces(), reference.spaces, strict=True), strict=True))
    distances = {name: frechet(ours, theirs) for name, (ours, theirs) in pairs.items()}
    manifolds = {
        name: manifold_metrics(ours.pooled, theirs.pooled, neighbours) for name, (ours, theirs) in pairs.items()
    }
    rest = {
        f"space_{metric}": {name: manifolds[name][metric] for name in spaces}
        for metric in ("kid", "precision", "recall")
    }
    return {"fd": distances, **rest}


def ratios(distances: Mapping[str, float], floors: Mapping[str, float]) -> BySpace:
    """FDr of each space, and their means; nothing where a floor is 0.

    FDr_φ(G) = FD_φ(G, T) / FD_φ(V, T) for samples G, training images T and held-out images V (FD-loss, arXiv 2604.28190, section
    3.4, equation 7). FDr_k is their arithmetic mean over k spaces (equation 8), which RAEv2 (arXiv 2605.18324) reports for six.
    The geometric mean beside it gives equal weight to equal factors, so that no one space decides.
    """
    if not all(floors.values()):
        return {}
    shares = {name: distance / floors[name] for name, distance in distances.items()}
    arithmetic, geometric = MEANS
    return {**shares, arithmetic: fmean(shares.values()), geometric: prod(shares.values()) ** (1 / len(shares))}


def spaces_described(names: Sequence[str], reference: int, held_out: int) -> str:
    """What the metrics in spaces were compared with, for people: counts of images of the reference, and of the floor."""
    return (
        f"{', '.join(names[1:])}; beside {reference} images of the reference, the floor of {held_out} held-out images; "
        f"FDr over k = {len(names)} spaces with {names[0]}"
    )

"""Failures that are worth a look: the worst reconstructions, and samples that the metric network takes for another class."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rectok.artifacts import failures_dir
from rectok.evaluation.metric_network import MetricNetwork
from rectok.reporting.images import Pixels, enlarged, grid, write_png

SHOWN = 10
"""Worst reconstructions, and pairs of confused classes."""


@dataclass(frozen=True)
class WorstReconstruction:
    """An image of class `label` and its PSNR in dB. `picture` shows the original above its reconstruction."""

    key: str
    label: int
    psnr: float
    picture: str


@dataclass(frozen=True)
class Confusion:
    """`count` of the `samples` of class `label` that look like class `predicted`; `picture` is the first of them."""

    label: int
    predicted: int
    count: int
    samples: int
    picture: str


def worst_reconstructions(
    originals: Tensor, rebuilt: Tensor, psnr: Tensor, keys: Sequence[str], labels: Iterable[int]
) -> list[WorstReconstruction]:
    """The images [N, 3, H, W] of lowest PSNR [N], worst first. Writes a picture of each."""
    names = list(labels)
    failures: list[WorstReconstruction] = []
    for place in psnr.sort(stable=True).indices[:SHOWN].tolist():
        failure = WorstReconstruction(keys[place], int(names[place]), float(psnr[place]), f"{len(failures)}.png")
        _write("reconstruction", failure.picture, torch.stack([originals[place], rebuilt[place]]).numpy())
        failures.append(failure)
    return failures


def confusions(
    samples: Tensor, logits: Tensor, labels: Tensor, metric_network: MetricNetwork, name: str
) -> list[Confusion] | None:
    """The most frequent pairs of a sample's class and another that the metric network sees, most frequent first.

    `samples` are [N, 3, H, W], `logits` [N, classes] and `labels` [N]. Writes a picture of each pair, which begins with `name`.
    None where the network knows no labels.
    """
    if not metric_network.knows_labels:
        return None
    predicted = logits.argmax(1).cpu()
    places: dict[tuple[int, int], list[int]] = {}
    for place in (predicted != labels).nonzero().flatten().tolist():
        places.setdefault((int(labels[place]), int(predicted[place])), []).append(place)
    failures: list[Confusion] = []
    for (label, other), wrong in sorted(places.items(), key=lambda item: -len(item[1]))[:SHOWN]:
        picture = f"{name}-{len(failures)}.png"
        _write("generation", picture, samples[[wrong[0]]].numpy())
        failures.append(Confusion(label, other, len(wrong), int((labels == label).sum()), picture))
    return failures


def clear(stage: str) -> None:
    """Remove the pictures of an earlier run."""
    shutil.rmtree(failures_dir(stage), ignore_errors=True)


def _write(stage: str, name: str, images: Pixels) -> None:
    """Write images [N, 3, H, W] one above the other."""
    write_png(failures_dir(stage) / name, grid(enlarged(images), columns=1))

"""The noise that parts of a set of samples estimate."""

from math import sqrt
from pathlib import Path
from statistics import stdev

import pytest
import torch

from rectok.evaluation.fidelity import frechet, seen, target
from rectok.evaluation.generation import Samples, looked_at
from rectok.evaluation.image_sets import Sample, Stack
from rectok.evaluation.reference import Reference
from rectok.nightly.noise import part_noise
from tests.evaluation import project


def test_it_is_the_spread_of_the_parts_over_the_root_of_their_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    project.build_shards()
    metric_network = project.build_metric_network()
    images = torch.stack([torch.from_numpy(project.picture(i % 3, 100 + i)) for i in range(12)])
    labels = torch.arange(12) % 3
    features = looked_at(Samples(labels, images, images), metric_network)
    reference = target(Reference(Sample(project.train_split(), 100), None, ""), metric_network)
    found = part_noise(features, labels, 2, reference, metric_network)
    halves = [frechet(seen(Stack(images[first::2]), metric_network), reference) for first in (0, 1)]
    assert found["gfid"] == pytest.approx(stdev(halves) / sqrt(2), rel=1e-6)
    assert found["gfid_guided"] == found["gfid"]
    shares = [
        metric_network.recognised(seen(Stack(images[first::2]), metric_network).logits, labels[first::2])
        for first in (0, 1)
    ]
    assert found["sample_accuracy"] == stdev([share for share in shares if share is not None]) / sqrt(2)

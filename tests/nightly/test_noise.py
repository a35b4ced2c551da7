"""The noise that parts of a set of samples estimate."""

from math import sqrt
from pathlib import Path
from statistics import stdev

import pytest
import torch

from rectok.evaluation.fidelity import extract_features, frechet, reference_features
from rectok.evaluation.generation import SampleFeatures
from rectok.evaluation.image_sets import Subsample, TensorImages
from rectok.evaluation.metrics import nightly_metrics
from rectok.evaluation.reference import Reference
from rectok.nightly.measurement import part_noise
from tests.evaluation import project


def test_it_is_the_spread_of_the_parts_over_the_root_of_their_number(here: Path) -> None:
    project.build_shards()
    metric_network = project.build_metric_network()
    images = project.pictures(12, first=100)
    labels = torch.arange(12) % 3
    of_images = extract_features(TensorImages(images), metric_network)
    features = SampleFeatures(labels, of_images, of_images)
    reference = reference_features(Reference(Subsample(project.train_split(), 100), None, ""), metric_network)
    noise = part_noise(features, 2, reference, metric_network)
    assert noise.keys() == nightly_metrics().keys()
    parts = [extract_features(TensorImages(images[first::2]), metric_network) for first in (0, 1)]
    halves = [frechet(part, reference) for part in parts]
    assert noise["gfid"] == pytest.approx(stdev(halves) / sqrt(2), rel=1e-6)
    assert noise["gfid_guided"] == noise["gfid"]
    shares = [metric_network.accuracy(part.logits, labels[first::2]) for first, part in enumerate(parts)]
    assert noise["sample_accuracy"] == stdev([share for share in shares if share is not None]) / sqrt(2)

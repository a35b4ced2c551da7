"""Which failures the report shows."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from PIL import Image

from rectok import artifacts
from rectok.reporting.failures import clear, confusions

LABELS = torch.tensor([0, 0, 0, 1, 1, 2])
PREDICTED = torch.tensor([0, 2, 2, 0, 1, 2])
IMAGES = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 3, 96, 96)


def confused(knows_labels: bool = True) -> Any:
    logits = torch.nn.functional.one_hot(PREDICTED, 3).double()
    network = cast(Any, SimpleNamespace(knows_labels=knows_labels))
    return confusions(IMAGES, logits, LABELS, network, "guided")


def test_the_most_frequent_confusion_comes_first_with_its_first_sample(here: Path) -> None:
    first, second = confused()
    assert (first.label, first.predicted, first.count, first.samples) == (0, 2, 2, 3)
    assert (second.label, second.predicted, second.count, second.samples) == (1, 0, 1, 2)
    with Image.open(artifacts.failures_dir("generation") / first.picture) as image:
        assert np.asarray(image)[..., 0].max() == 1
    clear("generation")
    assert not artifacts.failures_dir("generation").exists()


def test_a_network_of_other_classes_confuses_none(here: Path) -> None:
    assert confused(knows_labels=False) is None
    assert not artifacts.failures_dir("generation").exists()

from pathlib import Path

import torch

from rectok.evaluation.fidelity import extract_features
from rectok.evaluation.generation import balanced_labels, draw, sample_labels
from rectok.evaluation.image_sets import TensorImages
from rectok.evaluation.metric_network import load_metric_network
from rectok.sampling.generator import load_generator
from rectok.seeds import sample_seeds
from tests.evaluation import project


def test_labels_are_balanced() -> None:
    assert balanced_labels(3, 4).bincount().tolist() == [4, 4, 4]


def test_random_labels_are_drawn_uniformly_from_the_classes_by_their_seed() -> None:
    classes = torch.tensor([2, 5, 7])
    assert sample_labels(classes, 2, "balanced", 0).tolist() == [2, 2, 5, 5, 7, 7]
    labels = sample_labels(classes, 1000, "random", 0)
    counts = labels.bincount(minlength=8)[classes]
    assert counts.sum() == 3000 and len(set(counts.tolist())) > 1
    assert ((counts - 1000).abs() < 130).all()  # five standard deviations of a binomial
    assert torch.equal(labels, sample_labels(classes, 1000, "random", 0))
    assert not torch.equal(labels, sample_labels(classes, 1000, "random", 1))


def test_samples_do_not_depend_on_the_batch_and_progress_counts_both_sets(here: Path) -> None:
    params = project.build()
    generator, labels = load_generator(torch.device("cpu")), balanced_labels(3, 3)
    seeds = sample_seeds(0, "generation", 9)
    seen: list[int] = []
    network = load_metric_network(Path("data/metric_network"), "cpu", 2)
    fours = draw(generator, params.generation, labels, seeds, network, seen.append)
    nines = draw(generator, params.generation.model_copy(update={"batch": 9}), labels, seeds, network, seen.append)
    assert fours is not None and nines is not None
    (by_four, features), (at_once, _) = fours, nines
    assert seen == [4, 8, 9, 13, 17, 18, 9, 18]
    for a, b in ((by_four.unguided, at_once.unguided), (by_four.guided, at_once.guided)):
        assert a.dtype == torch.uint8
        assert (a.int() - b.int()).abs().max() <= 1
    assert not torch.equal(by_four.unguided, by_four.guided)
    for images, of_images in ((by_four.unguided, features.unguided), (by_four.guided, features.guided)):
        torch.testing.assert_close(of_images.pooled, extract_features(TensorImages(images), network).pooled)


def test_guidance_that_changes_nothing_is_neither_sampled_nor_judged_again(here: Path) -> None:
    params = project.build()
    config = params.generation
    neutral = config.model_copy(update={"guidance": config.guidance.model_copy(update={"scale": 1.0})})
    generator, labels = load_generator(torch.device("cpu")), balanced_labels(3, 1)
    seen: list[int] = []
    network = load_metric_network(Path("data/metric_network"), "cpu", 2)
    drawn = draw(generator, neutral, labels, sample_seeds(0, "generation", 3), network, seen.append)
    assert drawn is not None
    samples, features = drawn
    assert seen[-1] == 6
    assert samples.guided is samples.unguided
    assert features.unguided is features.guided

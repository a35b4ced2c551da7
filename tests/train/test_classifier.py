from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from rectok.data.dataset import ImageDataset
from rectok.teacher.network import VisionNetwork
from rectok.teacher.network_config import ClassifierTraining
from rectok.train.classifier import LabelledImages, _batches, accuracy, augmented, train_classifier
from tests.errors import user_error
from tests.teacher.networks import config
from tests.teacher.project import build_shards

TRAINING = ClassifierTraining(
    optimizer="adamw", epochs=6, min_steps=0, batch=16, lr=1e-2, weight_decay=0.05, label_smoothing=0.1, crop_padding=1
)
SMALL = config("resnet10t", 16, channels=(8, 8, 16, 16), output_stride=8)


@pytest.fixture
def splits(here: Path) -> tuple[LabelledImages, LabelledImages]:
    build_shards()
    train, test = (LabelledImages.of(ImageDataset(["00000"], split)) for split in ("train", "test"))
    return train, test


def trained(
    data: LabelledImages, seed: int, flip: bool = False, training: ClassifierTraining = TRAINING
) -> VisionNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = VisionNetwork(SMALL, 3)
    train_classifier(network, data, training, flip, seed, "teacher")
    return network


def same(a: VisionNetwork, b: VisionNetwork) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_it_learns_what_it_has_not_seen(splits: tuple[LabelledImages, LabelledImages]) -> None:
    train, test = splits
    assert train.images.dtype == torch.uint8 and train.images.shape == (48, 3, 16, 16)
    assert len(test.labels) == 6
    network = trained(train, seed=0)
    assert not network.training and not any(p.requires_grad for p in network.parameters())
    assert accuracy(network, test, batch=4) == 1.0
    assert accuracy(network, LabelledImages(test.images, (test.labels + 1) % 3), batch=4) == 0.0


def test_weights_depend_on_the_seed_alone(splits: tuple[LabelledImages, LabelledImages]) -> None:
    train, _ = splits
    first = trained(train, seed=0)
    torch.rand(7)  # what others draw from the global generator changes nothing
    assert same(first, trained(train, seed=0))
    assert not same(first, trained(train, seed=1))
    assert not same(first, trained(train, seed=0, flip=True))


def test_both_optimizers_learn_and_to_other_weights(splits: tuple[LabelledImages, LabelledImages]) -> None:
    train, test = splits
    sgd = trained(train, seed=0, training=TRAINING.model_copy(update={"optimizer": "sgd", "lr": 0.2}))
    assert accuracy(sgd, test, batch=4) == 1.0
    assert not same(sgd, trained(train, seed=0))


def test_accuracy_counts_right_labels(splits: tuple[LabelledImages, LabelledImages]) -> None:
    train, _ = splits
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = VisionNetwork(SMALL, 3).frozen()
    guessed = network.logits(train.images.float() / 255).argmax(1)
    labels = guessed.clone()
    labels[:12] = (labels[:12] + 1) % 3
    assert accuracy(network, LabelledImages(train.images, labels), batch=7) == 36 / 48


def test_a_loss_that_is_not_finite_stops_and_says_when(splits: tuple[LabelledImages, LabelledImages]) -> None:
    train, _ = splits
    network = VisionNetwork(SMALL, 3)
    torch.nn.init.constant_(network.trunk.fc.bias, float("nan"))
    with user_error(r"metric_network: the loss is nan at step 1 of 18"):
        train_classifier(network, train, TRAINING, False, 0, "metric_network")


def draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_without_shift_and_mirror_images_stay() -> None:
    images = torch.randint(0, 256, (5, 3, 6, 6), dtype=torch.uint8, generator=draws(0))
    assert torch.equal(augmented(images, 0, False, draws(1)), images.float() / 255)


@settings(max_examples=25, deadline=None)
@given(padding=st.integers(0, 3), flip=st.booleans(), seed=st.integers(0, 1000))
def test_every_image_is_one_of_its_shifts(padding: int, flip: bool, seed: int) -> None:
    images = torch.randint(0, 256, (8, 3, 6, 6), dtype=torch.uint8, generator=draws(seed))
    found = augmented(images, padding, flip, draws(seed))
    padded = F.pad(images.float() / 255, [padding] * 4, mode="replicate")
    steps = range(2 * padding + 1)
    shifts = torch.stack([padded[:, :, y : y + 6, x : x + 6] for y in steps for x in steps])
    allowed = torch.cat([shifts, shifts.flip(-1)]) if flip else shifts
    assert ((allowed - found).abs().flatten(2).amax(2) == 0).any(0).all()


def test_shifts_and_mirrors_all_occur() -> None:
    images = torch.arange(36, dtype=torch.uint8).view(1, 1, 6, 6).expand(400, 3, 6, 6)
    kinds = {tuple(x.flatten().tolist()) for x in augmented(images, 1, True, draws(0))[:, 0]}
    assert len(kinds) == 2 * 9


def test_an_epoch_is_whole_batches_of_different_images_in_a_new_order() -> None:
    batches = list(_batches(10, 3, 2, draws(0)))
    assert [len(b) for b in batches] == [3] * 6
    first, second = torch.cat(batches[:3]), torch.cat(batches[3:])
    assert len(set(first.tolist())) == len(set(second.tolist())) == 9
    assert not torch.equal(first, second)

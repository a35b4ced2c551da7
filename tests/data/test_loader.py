import itertools
import multiprocessing
import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rectok.data.dataset import ImageDataset, LatentBatch, LatentDataset
from rectok.data.image_decoding import encode_png
from rectok.data.loader import Order, TrainingLoader, image_batches
from rectok.data.packing import Packed, write_shard
from rectok.data.shard_reader import ShardReader
from rectok.errors import UserError
from tests.data import project
from tests.errors import user_error


class Positions:
    """A data set whose sample at position p is p, and p + 1000 where it is mirrored."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def batch(self, positions: Sequence[int], flipped: Sequence[bool]) -> LatentBatch:
        values = torch.tensor([p + 1000 * f for p, f in zip(positions, flipped, strict=True)])
        return LatentBatch(values, values)


def loader(
    n: int = 10, rank: int = 0, world: int = 1, batch: int = 12, micro: int = 6, flip: bool = False, workers: int = 0
):
    return TrainingLoader(Positions(n), Order(n, 3, flip), batch, micro, rank, world, workers)


def labels_of(batches) -> list[list[int]]:
    return [batch.label.tolist() for batch in batches]


@given(n=st.integers(1, 200), seed=st.integers(0, 2**31), epoch=st.integers(0, 50))
def test_every_epoch_is_a_permutation(n: int, seed: int, epoch: int) -> None:
    order = Order(n, seed, flip=False)
    assert sorted(order.sample(epoch * n + i) for i in range(n)) == [(p, False) for p in range(n)]


def test_epochs_and_seeds_differ() -> None:
    def epoch(seed: int, number: int) -> list[int]:
        return [Order(100, seed, flip=False).sample(number * 100 + i)[0] for i in range(100)]

    orders = [epoch(seed, number) for seed in (0, 1) for number in (0, 1, 2)]
    assert all(a != b for a, b in itertools.combinations(orders, 2))


@given(first=st.integers(0, 300), seed=st.integers(0, 100))
def test_an_order_does_not_depend_on_where_it_is_entered(first: int, seed: int) -> None:
    whole = Order(37, seed, flip=True)
    everything = [whole.sample(i) for i in range(first + 5)]
    entered = pickle.loads(pickle.dumps(Order(37, seed, flip=True)))
    assert [entered.sample(i) for i in range(first, first + 5)] == everything[first:]


def test_half_of_every_epoch_is_mirrored_and_never_without_flip() -> None:
    order = Order(10_000, 0, flip=True)
    mirrored = [{p for p, f in (order.sample(e * 10_000 + i) for i in range(10_000)) if f} for e in range(2)]
    # Binomial(10 000, ½) has a standard deviation of 50.
    assert all(abs(len(positions) - 5000) < 250 for positions in mirrored)
    assert mirrored[0] != mirrored[1]
    assert not any(Order(100, 0, flip=False).sample(i)[1] for i in range(300))


def test_a_step_holds_its_samples_of_the_order() -> None:
    order = Order(10, 3, flip=False)
    batches = labels_of(loader().iterate(2, 4))
    assert len(batches) == 2 * 2
    assert [*itertools.chain(*batches)] == [order.sample(i)[0] for i in range(2 * 12, 4 * 12)]


def test_a_resumed_run_sees_what_an_uninterrupted_one_sees() -> None:
    assert labels_of(loader(flip=True).iterate(0, 7)) == labels_of(loader(flip=True).iterate(0, 3)) + labels_of(
        loader(flip=True).iterate(3, 7)
    )


@pytest.mark.parametrize("world", [1, 2, 3])
def test_processes_share_the_same_global_micro_batches(world: int) -> None:
    whole = labels_of(loader(flip=True).iterate(1, 3))
    parts_of_ranks = [labels_of(loader(flip=True, rank=rank, world=world).iterate(1, 3)) for rank in range(world)]
    assert [[*itertools.chain(*parts)] for parts in zip(*parts_of_ranks, strict=True)] == whole


def test_workers_change_nothing() -> None:
    assert labels_of(loader(workers=2).iterate(1, 6)) == labels_of(loader().iterate(1, 6))


class Broken(Positions):
    def batch(self, positions: Sequence[int], flipped: Sequence[bool]) -> LatentBatch:
        raise RuntimeError("no such image")


def test_no_worker_outlives_an_error_while_its_traceback_is_kept() -> None:
    others = multiprocessing.active_children()
    batches = TrainingLoader(Broken(10), Order(10, 3, False), 12, 6, 0, 1, 2).iterate(0, 100)
    workers = [child for child in multiprocessing.active_children() if child not in others]
    with pytest.raises(RuntimeError, match="no such image") as error:
        next(batches)
    for worker in workers:
        worker.join(20)
    assert len(workers) == 2 and not any(worker.is_alive() for worker in workers)
    assert error.tb is not None


@pytest.mark.parametrize(
    "numbers,problem",
    [
        ({"micro": 5}, "batch 12 is not a multiple of micro_batch 5"),
        ({"world": 4}, "micro_batch 6 cannot be split over 4 processes"),
        ({"n": 0}, "no training image"),
    ],
)
def test_numbers_that_do_not_divide(numbers: dict[str, int], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        loader(**numbers)


@pytest.mark.parametrize("workers", [0, 2])
def test_real_images_and_latents_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    monkeypatch.chdir(tmp_path)
    project.build()
    images, latents = ImageDataset(project.SHARDS, "train", features=True), LatentDataset(project.SHARDS, "train")
    order = Order(len(images), 0, flip=True)
    first = list(TrainingLoader(images, order, 4, 2, 0, 1, workers).iterate(0, 3))
    second = list(TrainingLoader(latents, order, 4, 2, 0, 1, workers).iterate(0, 3))
    assert [batch.label.tolist() for batch in first] == [batch.label.tolist() for batch in second]
    positions = [order.sample(i) for i in range(12)]
    assert images.feature_files is not None
    expected = torch.stack([images.image(p).flip(-1) if f else images.image(p) for p, f in positions])
    assert torch.equal(torch.cat([batch.image for batch in first]), expected)
    moments = [latents.files[shard].read(row, f) for (shard, row), f in ((latents.places[p], f) for p, f in positions)]
    assert np.array_equal(torch.cat([batch.moments for batch in second]).numpy(), np.stack(moments))
    files = images.feature_files
    features = [files[shard].read(row, f) for (shard, row), f in ((images.places[p], f) for p, f in positions)]
    assert np.array_equal(torch.cat([batch.teacher_features() for batch in first]).numpy(), np.stack(features))


class Constants:
    """Seven images; the value of each is its position."""

    threads = 1

    def __len__(self) -> int:
        return 7

    def image(self, position: int) -> torch.Tensor:
        return torch.full((3, 2, 2), position, dtype=torch.uint8)


@pytest.mark.parametrize("workers", [0, 2])
def test_image_batches_come_in_order_and_the_last_may_be_smaller(workers: int) -> None:
    images = Constants()
    batches = list(image_batches(images, 3, workers))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    assert torch.equal(torch.cat(batches), torch.stack([images.image(position) for position in range(7)]))
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_image_is_one_sentence_after_the_batches_before_it(here: Path, workers: int) -> None:
    png = encode_png(np.zeros((4, 4, 3), np.uint8))
    write_shard("00000", [Packed(f"{row:016x}", 0, "train", png[: len(png) - 40 * (row == 9)]) for row in range(10)])
    batches = image_batches(ShardReader("00000"), 4, workers)
    assert len(next(batches)) == 4
    with user_error(r"^data/shards/00000\.tar is damaged in row 9 \(key 0000000000000009\): [^\n]*$"):
        list(batches)
    assert not multiprocessing.active_children()

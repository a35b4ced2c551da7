"""A deterministic, resumable loader. The number of a step and the seed determine its batch."""

import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import lru_cache, partial
from math import ceil
from multiprocessing.process import BaseProcess
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from rectok.data.dataset import ImageBatch, LatentBatch
from rectok.data.parallel_map import read_all
from rectok.errors import UserError
from rectok.seeds import seed_of

Batch = ImageBatch | LatentBatch
T = TypeVar("T")


class Images(Protocol):
    """Images by position, such as those of ShardReader and ImageDataset, as `image_batches` reads them."""

    @property
    def threads(self) -> int:
        """How many images to read at once."""

    def __len__(self) -> int:
        """Number of images."""

    def image(self, position: int, /) -> Tensor:
        """uint8 [3, H, W]."""


class BatchDataset(Protocol):
    """The interface of rectok.data.dataset.ImageDataset and LatentDataset."""

    def __len__(self) -> int:
        """Number of positions."""

    def batch(self, positions: Sequence[int], flipped: Sequence[bool]) -> Batch:
        """The samples at `positions`, mirrored if `flipped`."""


class Order:
    """The order in which training visits n positions: a new permutation in every epoch, seeded by (seed, epoch).

    Sample i belongs to epoch i // n. Epochs follow each other without a gap, so a batch may hold the end of one and the
    start of the next. If `flip` is set, (seed, epoch) also selects half the positions of an epoch to be mirrored.
    """

    def __init__(self, n: int, seed: int, flip: bool) -> None:
        if n == 0:
            raise UserError("there is no training image to load; see data/index and the quarantine of the shards")
        self.n, self.seed, self.flip = n, seed, flip
        self._epoch = lru_cache(maxsize=2)(self._sample_epoch)

    def __reduce__(self) -> tuple[type["Order"], tuple[int, int, bool]]:
        return type(self), (self.n, self.seed, self.flip)

    def sample(self, i: int) -> tuple[int, bool]:
        """(position, mirrored) of training sample i."""
        permutation, mirrored = self._epoch(i // self.n)
        position = int(permutation[i % self.n])
        return position, self.flip and bool(mirrored[position])

    def _sample_epoch(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        random = np.random.default_rng(seed_of(self.seed, "order", epoch))
        return random.permutation(self.n), random.random(self.n) < 0.5


class TrainingLoader:
    """The part of every batch that belongs to one process.

    The global batch of step s holds samples s·batch … (s + 1)·batch − 1. It is cut into global micro-batches of
    `micro_batch`, and each of them over `world` processes. So any number of processes trains on the same global
    micro-batches. Raises UserError if these numbers do not divide.
    """

    def __init__(
        self, dataset: BatchDataset, order: Order, batch: int, micro_batch: int, rank: int, world: int, workers: int
    ) -> None:
        if batch % micro_batch:
            raise UserError(f"batch {batch} is not a multiple of micro_batch {micro_batch}")
        if micro_batch % world:
            raise UserError(
                f"micro_batch {micro_batch} cannot be split over {world} processes; make it a multiple of {world}"
            )
        self.dataset, self.order, self.workers = dataset, order, workers
        self.batch, self.micro_batch, self.rank, self.world = batch, micro_batch, rank, world

    def iterate(self, first_step: int, last_step: int) -> Generator[Batch]:
        """Micro-batches of the steps first_step … last_step − 1, batch/micro_batch of them a step, in order.

        A caller that may stop early, even by an error, must close it. Otherwise the workers keep the process alive.
        """
        per_step = self.batch // self.micro_batch
        micro_batches = range(first_step * per_step, last_step * per_step)
        return loaded(self.load, micro_batches, self.workers, 4, _ignore_signals)

    def load(self, number: int) -> Batch:
        """The part of global micro-batch `number`, counted from the start of training, that belongs to this process."""
        size = self.micro_batch // self.world
        first = number * self.micro_batch + self.rank * size
        positions, flipped = zip(*(self.order.sample(i) for i in range(first, first + size)), strict=True)
        return self.dataset.batch(positions, flipped)


def image_batches(images: Images, size: int, workers: int, numbers: range | None = None) -> Generator[Tensor]:
    """uint8 [b, 3, H, W] of every `size` images, in order, decoded by `workers` processes while the caller works.

    `numbers` are those of the batches to read; all where none are named.
    """
    if numbers is None:
        numbers = range(ceil(len(images) / size))
    return loaded(partial(_stacked, images, size), numbers, min(workers, len(numbers)), 2, _ignore_ctrl_c)


def _stacked(images: Images, size: int, number: int) -> Tensor:
    positions = range(number * size, min((number + 1) * size, len(images)))
    return torch.stack(read_all(images.image, positions, images.threads))


def loaded(
    load: Callable[[int], T], numbers: range, workers: int, ahead: int, begin: Callable[[int], None]
) -> Generator[T]:
    """load(number) of every number, in order, by `workers` processes that keep `ahead` results each; 0: by this process.

    Every worker calls `begin` first. Raises what `load` raises.
    """
    if workers == 0:
        return (load(number) for number in numbers)
    loader: DataLoader[T | UserError] = DataLoader(
        _Loads(load),
        batch_size=None,
        sampler=numbers,
        num_workers=workers,
        worker_init_fn=begin,
        prefetch_factor=ahead,
        pin_memory=torch.cuda.is_available(),
    )
    return _close_workers(iter(loader))


def _close_workers(batches: Iterator[T | UserError]) -> Generator[T]:
    workers: list[BaseProcess] = batches._workers  # type: ignore[attr-defined]
    try:
        for batch in batches:
            if isinstance(batch, UserError):
                raise batch
            yield batch
    except (OSError, EOFError) as error:
        for worker in workers:
            worker.join(1)
            if worker.exitcode:  # torch itself says so only where it waits for a batch, not while it takes one over
                raise RuntimeError(f"DataLoader worker (pid {worker.pid}) ended with code {worker.exitcode}") from error
        raise
    finally:
        # Torch ends its workers when the last reference goes, but the traceback of an error holds one. At the end of the
        # process multiprocessing sends SIGTERM, which the workers ignore, and waits for them.
        batches._shutdown_workers()  # type: ignore[attr-defined]


def _ignore_signals(_: int) -> None:
    """The signal that asks the parent for a checkpoint must not end a worker. A worker ends with its parent."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _ignore_ctrl_c(_: int) -> None:
    """The parent says that it was stopped. It ends its workers with SIGTERM, if they have not ended before."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Loads(Dataset[T | UserError]):
    def __init__(self, load: Callable[[int], T]) -> None:
        self.load = load

    def __getitem__(self, number: int) -> T | UserError:
        try:
            return self.load(number)
        except UserError as error:  # torch would make a traceback of its sentence
            return error

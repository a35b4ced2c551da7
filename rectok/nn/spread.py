"""Units of work, such as batches, divided over processes, and their results in order in the first process."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
import torch.distributed as dist

from rectok.nn.overlap import Parts, on_cpu


def batch_sizes(count: int, batch: int) -> list[int]:
    """Sizes of the batches of `count` samples: all `batch`, but for a smaller last one."""
    return [min(batch, count - first) for first in range(0, count, batch)]


def _unwatched(_what: str) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True)
class Spread:
    """Process `rank` of `size` does unit number `rank` and every `size`-th after it.

    The units are the same for any number of processes, and so are their results, to the bit.
    """

    rank: int = 0
    size: int = 1
    watched: Callable[[str], AbstractContextManager[None]] = field(default=_unwatched, compare=False)
    """Around each wait for the other processes, which it is given a name of."""

    @property
    def first(self) -> bool:
        """Whether this process gets the results."""
        return self.rank == 0

    def own(self, units: int) -> range:
        """The numbers of this process's units among `units`."""
        return range(self.rank, units, self.size)

    def results(self, computed: Iterable[Parts], rows: Sequence[int]) -> Iterator[Parts]:
        """The results of all units, in order and on the CPU, in the first process; none in the others, which send theirs.

        `computed` yields the results of this process's units: tensors of one dtype and shape [rows[unit], …] each, on the
        device of the process group.
        """
        if self.size == 1:
            return on_cpu(computed)
        if self.first:
            return self._watched(on_cpu(self._received(iter(computed), rows)))
        return _nothing_after(self._watched(on_cpu(self._sent(computed))))

    def _watched(self, exchanged: Iterator[Parts]) -> Iterator[Parts]:
        """Each unit alone, and not the caller's work on it.

        A GPU's sending and receiving is waited for when its results come to the CPU.
        """
        while True:
            with self.watched("the exchange of results"):
                parts = next(exchanged, None)
            if parts is None:
                return
            yield parts

    def _received(self, own: Iterator[Parts], rows: Sequence[int]) -> Iterator[Parts]:
        """One unit is computed ahead, so that this process need not wait for those of the others."""
        ahead = like = next(own, None)
        for unit, count in enumerate(rows):
            if unit % self.size == 0:
                assert ahead is not None
                parts, ahead = ahead, next(own, None)
                yield parts
            else:
                assert like is not None
                parts = tuple(
                    torch.empty((count, *part.shape[1:]), dtype=part.dtype, device=part.device) for part in like
                )
                for part in parts:
                    dist.recv(part, unit % self.size)
                yield parts

    def _sent(self, computed: Iterable[Parts]) -> Iterator[Parts]:
        """An empty tensor for each unit that is sent."""
        for parts in computed:
            for part in parts:
                dist.send(part.contiguous(), 0)
            yield (parts[0][:0],)


def _nothing_after(sent: Iterator[Parts]) -> Iterator[Parts]:
    """Waits until each is sent, so that few are in memory."""
    for _ in sent:
        pass
    yield from ()


ALONE = Spread()

"""Work of the host beside that of a GPU."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

Parts = tuple[Tensor, ...]


def on_cpu(computed: Iterable[Parts]) -> Iterator[Parts]:
    """Every tuple of tensors on the CPU, in order. A GPU is given the next one to compute before a caller gets the last.

    So it is busy while the caller works. On a CPU the tensors are handed on as they come.
    """
    before: tuple[Parts, torch.cuda.Event] | None = None
    for parts in computed:
        if not parts[0].is_cuda:
            yield parts
            continue
        copies, copied = tuple(part.to("cpu", non_blocking=True) for part in parts), torch.cuda.Event()
        copied.record(torch.cuda.current_stream(parts[0].device))
        if before is not None:
            yield _finished(*before)
        before = copies, copied
    if before is not None:
        yield _finished(*before)


def _finished(copies: Parts, copied: torch.cuda.Event) -> Parts:
    copied.synchronize()
    return copies

"""Work of the host beside that of a GPU."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor


def on_cpu(computed: Iterable[Tensor]) -> Iterator[Tensor]:
    """Every tensor on the CPU, in order. A GPU is given the next one to compute before a caller gets the last.

    So it is busy while the caller works. On a CPU the tensors are handed on as they come.
    """
    before: tuple[Tensor, torch.cuda.Event] | None = None
    for tensor in computed:
        if not tensor.is_cuda:
            yield tensor
            continue
        copy, copied = tensor.to("cpu", non_blocking=True), torch.cuda.Event()
        copied.record(torch.cuda.current_stream(tensor.device))
        if before is not None:
            yield _finished(*before)
        before = copy, copied
    if before is not None:
        yield _finished(*before)


def _finished(copy: Tensor, copied: torch.cuda.Event) -> Tensor:
    copied.synchronize()
    return copy

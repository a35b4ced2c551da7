"""Processes that end with the one that started them, by SIGKILL too."""

import ctypes
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Thread

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that a process gets when its parent dies."""


def ending_with_parent(number: int) -> Callable[[], None] | None:
    """What a child does before it begins, so that it gets signal `number` when its parent dies; None but on Linux.

    The parent is the thread that started it.
    """
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)  # here, since little is safe in a process just forked
    return lambda: libc.prctl(PR_SET_PDEATHSIG, number)


def end_with_dvc(outs: Iterable[str]) -> None:
    """End this process at once when the `dvc repro` that runs it and makes `outs` is killed, which tells its stage nothing.

    It would write on into files that the next `dvc repro` makes anew.
    """
    if "DVC_STAGE" not in os.environ or "RANK" in os.environ or sys.platform != "linux":
        return
    try:
        dvc = os.pidfd_open(_writer(outs) or os.getppid())
    except ProcessLookupError:  # it died in between
        os.kill(os.getpid(), signal.SIGKILL)
    Thread(target=_end_after, args=(dvc,), daemon=True).start()


def _end_after(process: int) -> None:
    select.select([process], [], [])  # readable once the process has ended
    os.kill(os.getpid(), signal.SIGKILL)


def _writer(outs: Iterable[str]) -> int | None:
    """The process that makes `outs`, by DVC's own lock; a shell may stand between it and this one, or be gone already."""
    root = Path(os.environ["DVC_ROOT"])
    for _ in range(10):
        try:
            writers = json.loads((root / ".dvc/tmp/rwlock").read_text()).get("write", {})
            return next((writers[path]["pid"] for path in (str(root / out) for out in outs) if path in writers), None)
        except (OSError, ValueError):  # just being written
            time.sleep(0.02)
    return None

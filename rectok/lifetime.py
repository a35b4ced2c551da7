"""Processes that end with the one that started them, by SIGKILL too."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

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


def end_with_dvc() -> None:
    """End this process at once when the `dvc repro` that runs it is killed, which tells its stage nothing.

    It would write on into files that the next `dvc repro` makes anew.
    """
    if "DVC_STAGE" in os.environ and "RANK" not in os.environ and (arm := ending_with_parent(signal.SIGKILL)):
        parent = os.getppid()
        arm()
        if os.getppid() != parent:  # it died in between
            os.kill(os.getpid(), signal.SIGKILL)

"""Processes that end with the one that started them, by SIGKILL too."""

import ctypes
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

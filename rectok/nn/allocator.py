"""Memory that a process on a CPU keeps for its next tensors."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Numbers of mallopt(3)."""
KEPT = 2**30
"""Bytes: larger tensors get pages of their own, and more than this at the end of the heap goes back to the system."""


def keep_freed_memory() -> bool:
    """Let this process use freed memory again; whether its C library can be told to.

    By default glibc hands what a step frees back to the system, which clears every page for the next step.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(name, KEPT) for name in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD))

"""Many reads at once, results in order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from rectok.storage import is_remote

T = TypeVar("T")
R = TypeVar("R")

THREADS = min(16, 2 * (os.cpu_count() or 1))
"""Reading, hashing, decoding and scaling release the interpreter's lock."""

REMOTE_THREADS = 32
"""Against an object store, whose every answer takes a while."""


def threads_for(uri: str) -> int:
    """How many reads of files below `uri` are worth being under way at once."""
    return REMOTE_THREADS if is_remote(uri) else THREADS


def mapped(function: Callable[[T], R], items: Iterable[T], threads: int = THREADS) -> Iterator[R]:
    """function(item) for every item, in order, with a few calls per thread under way; holds no more than that."""
    running: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            running.append(pool.submit(function, item))
            if len(running) >= 4 * threads:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def read_all(function: Callable[[T], R], items: Iterable[T], threads: int) -> list[R]:
    """function(item) for every item, in order; in this thread alone where one is enough."""
    return [function(item) for item in items] if threads == 1 else list(mapped(function, items, threads))

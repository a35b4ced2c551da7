"""Many calls at once with results in order: in threads, or in processes for work that holds Python's global lock."""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

from rectok.lifetime import ending_with_parent
from rectok.storage.objects import is_remote

T = TypeVar("T")
R = TypeVar("R")

THREADS = min(16, 2 * (os.cpu_count() or 1))
"""For local files. Reading, hashing, decoding and scaling release Python's global lock."""

REMOTE_THREADS = 32
"""For an object store, whose answers take a while."""

CHUNK = 64
"""Items that travel to a process at once, or small files that a thread reads at once."""


def threads_for(uri: str) -> int:
    """How many threads should read files below `uri`."""
    return REMOTE_THREADS if is_remote(uri) else THREADS


def map_in_threads(
    function: Callable[[T], R], items: Iterable[T], threads: int = THREADS, chunk: int = 1
) -> Iterator[R]:
    """function(item) for every item, in order. A thread takes `chunk` items at once; four chunks per thread are pending."""
    with ThreadPoolExecutor(threads) as pool:
        for results in _in_order(pool, partial(_each, function), _chunks(items, chunk), threads):
            yield from results


def map_in_processes(function: Callable[[T], R], items: Iterable[T], processes: int) -> Iterator[R]:
    """As `map_in_threads`, in new processes. Function, items and results are pickled, CHUNK items at a time.

    This is faster where Python spends much more time on an item than on pickling it, as with many small images.
    """
    # Not forked, since this process has threads.
    with ProcessPoolExecutor(processes, get_context("spawn"), _begin, (os.getpid(),)) as pool:
        for results in _in_order(pool, partial(_each, function), _chunks(items, CHUNK), processes):
            yield from results


def read_all(function: Callable[[T], R], items: Iterable[T], threads: int) -> list[R]:
    """function(item) for every item, in order. One thread means this thread."""
    return [function(item) for item in items] if threads == 1 else list(map_in_threads(function, items, threads))


def _in_order(pool: Executor, function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    pending: deque[Future[R]] = deque()
    for item in items:
        pending.append(pool.submit(function, item))
        if len(pending) >= 4 * workers:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    items = iter(items)
    return iter(lambda: list(islice(items, size)), [])


def _each(function: Callable[[T], R], items: list[T]) -> list[R]:
    return [function(item) for item in items]


def _begin(parent: int) -> None:
    """A new process ignores Ctrl-C, which its parent handles, and ends with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if end := ending_with_parent(signal.SIGKILL):
        end()
    if os.getppid() != parent:  # the parent died before that
        os._exit(1)

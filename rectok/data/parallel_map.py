"""Many at once, results in order: in threads, and in processes for what holds the interpreter's lock."""

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
from rectok.storage import is_remote

T = TypeVar("T")
R = TypeVar("R")

THREADS = min(16, 2 * (os.cpu_count() or 1))
"""Reading, hashing, decoding and scaling release the interpreter's lock."""

CHUNK = 64
"""Items that travel to a process at once."""

REMOTE_THREADS = 32
"""Against an object store, whose every answer takes a while."""


def threads_for(uri: str) -> int:
    """How many reads of files below `uri` are worth being under way at once."""
    return REMOTE_THREADS if is_remote(uri) else THREADS


def map_in_threads(function: Callable[[T], R], items: Iterable[T], threads: int = THREADS) -> Iterator[R]:
    """function(item) for every item, in order, with a few calls per thread under way; holds no more than that."""
    with ThreadPoolExecutor(threads) as pool:
        yield from _in_order(pool, function, items, threads)


def map_in_processes(function: Callable[[T], R], items: Iterable[T], processes: int) -> Iterator[R]:
    """As `map_in_threads`, by processes of their own, to which function, items and results travel pickled, CHUNK at a time.

    Pays where an item takes Python much longer than to pickle, as many small images do, and threads wait for each other.
    """
    items = iter(items)
    chunks = iter(lambda: list(islice(items, CHUNK)), [])
    # Not forked, for this process has threads.
    with ProcessPoolExecutor(processes, get_context("spawn"), _begin, (os.getpid(),)) as pool:
        for results in _in_order(pool, partial(_each, function), chunks, processes):
            yield from results


def _in_order(pool: Executor, function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    running: deque[Future[R]] = deque()
    for item in items:
        running.append(pool.submit(function, item))
        if len(running) >= 4 * workers:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()


def _each(function: Callable[[T], R], items: list[T]) -> list[R]:
    return [function(item) for item in items]


def _begin(parent: int) -> None:
    """In a new process: Ctrl-C is for the one that started it, and with that it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if end := ending_with_parent(signal.SIGKILL):
        end()
    if os.getppid() != parent:  # it died before that
        os._exit(1)


def read_all(function: Callable[[T], R], items: Iterable[T], threads: int) -> list[R]:
    """function(item) for every item, in order; in this thread alone where one is enough."""
    return [function(item) for item in items] if threads == 1 else list(map_in_threads(function, items, threads))

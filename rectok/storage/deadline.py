"""Deadlines of requests to an object store. botocore bounds the wait for a further byte, and some servers drip."""

import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class _Clock(threading.local):
    """The end (monotonic seconds) of what this thread waits for, in a list that the thread which waits for it sees, too."""

    end: list[float] | None = None


_clock = _Clock()


class TooSlowError(Exception):
    """An answer was not whole in time."""


def extend(seconds: float) -> None:
    """Let the request of this thread take so many seconds from now, as for each attempt and for the bytes of an answer."""
    if _clock.end:
        _clock.end[0] = time.monotonic() + seconds


def within(seconds: float, call: Callable[[], T]) -> T:
    """What `call` returns or raises. Raises TooSlowError after so many seconds, unless it extends them.

    It runs in a thread, which is left to itself then: nothing else ends a read to which bytes come.
    """
    end, results = [time.monotonic() + seconds], SimpleQueue[tuple[Any, BaseException | None]]()

    def work() -> None:
        _clock.end = end
        try:
            results.put((call(), None))
        except BaseException as error:
            results.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    while (left := end[0] - time.monotonic()) > 0:
        try:
            value, error = results.get(timeout=left)
        except Empty:
            continue
        if error is not None:
            raise error
        answer: T = value
        return answer
    raise TooSlowError

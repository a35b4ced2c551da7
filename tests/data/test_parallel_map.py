import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest

from rectok.data.parallel_map import CHUNK, map_in_processes, map_in_threads


def test_results_come_in_order_whatever_takes_longest() -> None:
    def slow(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return number * number

    assert list(map_in_threads(slow, range(50), threads=4)) == [n * n for n in range(50)]


def numbers(count: int, consumed: list[int]) -> Iterator[int]:
    for number in range(count):
        consumed.append(number)
        yield number


def test_only_a_window_of_items_is_consumed_at_a_time() -> None:
    consumed: list[int] = []
    next(map_in_threads(abs, numbers(1000, consumed), threads=2))
    assert len(consumed) <= 8


def test_a_thread_may_take_several_items_at_once() -> None:
    consumed: list[int] = []
    results = map_in_threads(abs, numbers(1000, consumed), threads=2, chunk=5)
    assert next(results) == 0
    assert len(consumed) == 8 * 5
    assert list(results) == list(range(1, 1000))


def test_several_threads_work() -> None:
    barrier = threading.Barrier(3, timeout=5)
    assert list(map_in_threads(lambda _: barrier.wait() >= 0, range(3), threads=3)) == [True] * 3


def test_an_error_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        list(map_in_threads(lambda n: 1 // n, [1, 0], threads=2))


def test_processes_other_than_this_one_work_and_results_come_in_order() -> None:
    results = list(map_in_processes(_squared_where, range(5 * CHUNK + 3), processes=2))
    assert [square for square, _ in results] == [number * number for number in range(5 * CHUNK + 3)]
    assert os.getpid() not in {process for _, process in results}


def _squared_where(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def test_processes_consume_only_a_window_of_items_at_a_time() -> None:
    consumed: list[int] = []
    results = map_in_processes(abs, numbers(100 * CHUNK, consumed), processes=1)
    next(results)
    assert len(consumed) <= 4 * CHUNK
    results.close()


def test_an_error_in_a_process_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        list(map_in_processes(partial(divmod, 1), [1, 0], processes=2))


@pytest.mark.slow
def test_processes_end_with_the_one_that_started_them() -> None:
    """Killed, it cannot tell them; they must not hold its output open, for which who started it waits."""
    code = (
        "from rectok.data.parallel_map import map_in_processes\nfrom time import sleep\n"
        "if __name__ == '__main__':\n"
        "    for _ in map_in_processes(sleep, [0] * 64 + [60] * 640, 2): print('running', flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline() == b"running\n"
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)

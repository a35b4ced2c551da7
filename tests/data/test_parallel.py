import threading
import time

import pytest

from rectok.data.parallel import mapped


def test_results_come_in_order_whatever_takes_longest() -> None:
    def slow(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return number * number

    assert list(mapped(slow, range(50), threads=4)) == [n * n for n in range(50)]


def test_only_a_window_of_items_is_taken_at_a_time() -> None:
    taken = []

    def numbers():
        for number in range(1000):
            taken.append(number)
            yield number

    results = mapped(abs, numbers(), threads=2)
    next(results)
    assert len(taken) <= 8


def test_several_threads_work() -> None:
    barrier = threading.Barrier(3, timeout=5)
    assert list(mapped(lambda _: barrier.wait() >= 0, range(3), threads=3)) == [True] * 3


def test_an_error_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        list(mapped(lambda n: 1 // n, [1, 0], threads=2))

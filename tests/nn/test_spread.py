"""Who does which unit; that results are those of one process is tested in tests/stages/test_processes.py."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from rectok.nn.spread import ALONE, Spread, batch_sizes


def test_all_batches_are_full_but_a_smaller_last_one() -> None:
    assert batch_sizes(10, 4) == [4, 4, 2]
    assert batch_sizes(8, 4) == [4, 4]
    assert batch_sizes(0, 4) == []


def test_every_unit_is_done_once() -> None:
    own = [list(Spread(rank, 3).own(8)) for rank in range(3)]
    assert own == [[0, 3, 6], [1, 4, 7], [2, 5]]
    assert [rank for rank in range(3) if Spread(rank, 3).first] == [0]


def test_one_process_has_its_own_results() -> None:
    units = [(torch.full((2, 3), float(unit)), torch.tensor([unit])) for unit in range(3)]
    assert list(ALONE.results(iter(units), [2, 2, 2])) == units


def test_waiting_for_results_is_watched_and_the_work_on_them_is_not() -> None:
    events: list[str] = []

    @contextmanager
    def watched(what: str) -> Iterator[None]:
        events.append(what)
        yield
        events.append("end")

    unit = (torch.zeros(2, 3),)
    for _ in Spread(0, 2, watched).results(iter([unit]), [2]):  # the second process has no unit
        events.append("work")
    exchange = ["the exchange of results", "end"]
    assert events == [*exchange, "work", *exchange]

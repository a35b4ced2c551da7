"""When a training starts processes; that they stop and end is tested in test_processes.py."""

import os

import pytest

from rectok.train.launch import launched
from tests.train.test_world import machine


@pytest.mark.skipif("RANK" in os.environ, reason="a launcher started these tests")
def test_one_process_does_the_work_itself() -> None:
    assert not launched(machine(device="cpu", processes=1), "dit")
    assert not launched(machine(device="cpu", processes=0), "dit")

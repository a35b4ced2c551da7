"""Freed memory is used again, so that the system clears no pages for the next tensors."""

import subprocess
import sys

import pytest

from rectok.nn.allocator import keep_freed_memory

COUNT = """
import resource, sys, torch
from rectok.nn.allocator import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(2**25 // 4 + 2**23)  # 40 MiB, which glibc never takes from its heap by default
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = faults()
assert keep_freed_memory()
faults()
print(first, faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_a_tensor_like_the_last_one_needs_no_new_pages() -> None:
    done = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert before >= 100
    assert after < before / 10


def test_another_c_library_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    assert not keep_freed_memory()

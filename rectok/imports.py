"""Imports of many modules, and other work that leaves no garbage, in less time."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Inside, nobody looks for garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def importing() -> Iterator[None]:
    """Inside, nobody looks for garbage: imports make hundreds of thousands of objects, and nearly all of them stay.

    Afterwards these count as old, so that they are not looked through at the next occasion either.
    """
    with uncollected():
        try:
            yield
        finally:
            gc.freeze()
            gc.unfreeze()

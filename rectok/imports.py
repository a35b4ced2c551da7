"""Imports of many modules in less time."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Inside, nobody looks for garbage: imports make hundreds of thousands of objects, and nearly all of them stay.

    Afterwards these count as old, so that they are not looked through at the next occasion either.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.unfreeze()
        if enabled:
            gc.enable()

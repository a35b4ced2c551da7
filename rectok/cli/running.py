"""What surrounds every stage: its parameters, a lock against a second run, and its time."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rectok import artifacts
from rectok.errors import UserError
from rectok.params import Params, load


@contextmanager
def stage_run(stage: str, shard: str | None = None) -> Iterator[Params]:
    """Load the parameters, hold the stage's lock while it runs, and record how many seconds it took."""
    params = load()
    if shard is not None and shard not in params.index.shards:
        raise UserError(f"there is no shard {shard!r}; index.shards holds {', '.join(params.index.shards)}")
    with exclusive(stage, shard):
        began = time.monotonic()
        yield params
        if not os.environ.get("RANK", "0").strip("0"):
            seconds = round(time.monotonic() - began, 2)
            artifacts.write_json(
                artifacts.timing_file(stage, shard), {"stage": stage, "shard": shard, "seconds": seconds}
            )


@contextmanager
def exclusive(stage: str, shard: str | None = None) -> Iterator[None]:
    """Hold the stage's lock file, which the system frees when the process ends. Raises UserError if another run has it."""
    if "RANK" in os.environ:  # one of several processes: the command that launched them holds the lock
        yield
        return
    path = artifacts.DATA / "state" / "locks" / (f"{stage}@{shard}" if shard else stage)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise UserError(
                f"stage {path.name} is already running here (process {lock.read()}); wait for it or stop it"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield

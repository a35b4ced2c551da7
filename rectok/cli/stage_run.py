"""What surrounds every stage and gate: its parameters, which must not change meanwhile; its inputs, which must be those that
their gates passed; a lock against a second run; and its time."""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rectok import artifacts
from rectok.errors import UserError
from rectok.lifetime import end_with_dvc
from rectok.params import load
from rectok.pipeline.code_versions import GATE, mismatch
from rectok.pipeline.declared import Declared, changed_parameter, declared, values
from rectok.pipeline.judged import record_made, require_judged, require_recorded
from rectok.pipeline.process import RESULTS

if TYPE_CHECKING:
    from rectok.params import Params


@contextmanager
def stage_run(stage: str, shard: str | None = None) -> "Iterator[Params]":
    """Load the parameters, hold the stage's lock while it runs, and record how many seconds it took.

    Raises UserError if an input is not what its gate passed, and, with the outputs removed, if a parameter or the code version
    that dvc.yaml declares for the stage changes meanwhile: DVC would record the new value for what the old one made.
    """
    declaration = declared(stage, shard)
    end_with_dvc(declaration.outs)
    before = values(declaration)
    params = load()
    if stage.removeprefix(GATE) in artifacts.STAGES and (sentence := mismatch()):
        raise UserError(sentence)
    if shard is not None and shard not in params.index.shards:
        raise UserError(f"there is no shard {shard!r}; index.shards holds {', '.join(params.index.shards)}")
    with exclusive(stage, shard), within_memory(stage, params):
        began = time.monotonic()
        if "RANK" not in os.environ:  # else the command that launched this process compares
            require_judged(declaration.deps, besides=stage.removeprefix(GATE) if stage.startswith(GATE) else "")
            require_recorded(declaration.deps)
        if params.tracking.on:
            from rectok.tracking.trackers import require_packages

            require_packages(params.tracking)
        yield params
        _require_unchanged(stage, declaration, before)
        if "RANK" not in os.environ:
            record_made(stage)
        if not os.environ.get("RANK", "0").strip("0"):
            seconds = round(time.monotonic() - began, 2)
            timing = {"stage": stage, "shard": shard, "seconds": seconds}
            artifacts.write_json(artifacts.timing_file(stage, shard), timing)
        if params.tracking.on and "RANK" not in os.environ:
            from rectok.tracking.trackers import track_results

            track_results(params.tracking, params, stage)


def for_each_shard(stage: str, shards: Sequence[str], run: Callable[[str], None]) -> None:
    """Call `run` for each of `shards` until one fails, and print the name of each before.

    The file that RECTOK_RESULTS names lists those that are made.
    """
    for shard in shards:
        if RESULTS in os.environ or len(shards) > 1:
            print(f"{stage}@{shard}", flush=True)
        run(shard)
        report_made(f"{stage}@{shard}")


def report_made(address: str) -> None:
    """Write the address of a stage that has ended well where the process that queued this one reads it."""
    if RESULTS in os.environ and "RANK" not in os.environ:
        with Path(os.environ[RESULTS]).open("a", encoding="utf-8") as results:
            print(address, file=results)


def _require_unchanged(stage: str, declaration: Declared, before: Mapping[tuple[str, str], Any]) -> None:
    if name := changed_parameter(before, values(declaration)):
        for out in map(Path, declaration.outs):
            shutil.rmtree(out) if out.is_dir() else out.unlink(missing_ok=True)
        raise UserError(f"{name} changed while {stage} ran, so what it made was removed; run it again")


@contextmanager
def within_memory(stage: str, params: "Params") -> Iterator[None]:
    """Raises UserError in place of an error of torch or Python where memory is too small for the GPU or for a process."""
    try:
        yield
    except RuntimeError as error:
        kind, words = type(error).__name__, str(error)
        if kind == "BrokenProcessPool" or words.startswith("DataLoader worker (pid"):
            raise UserError(
                f"a process that loads images for {stage} was killed, most likely because the machine's memory is full; "
                "lower machine.workers and run the command again"
            ) from None
        if kind != "OutOfMemoryError":  # torch.OutOfMemoryError; most stages do without torch
            raise
        request = words.partition(" GPU ")[0].removeprefix("CUDA out of memory. ").rstrip(".")
        raise UserError(f"{stage} ran out of GPU memory ({request}); {_remedy(stage, params)}") from None


def _remedy(stage: str, params: "Params") -> str:
    """What to change in params.yaml so that `stage` needs less memory: where it trains, by the estimate of `rectok plan`."""
    import torch

    key = _batch_of(stage, params)
    if key.endswith(".micro_batch") and torch.cuda.is_available():
        from rectok.planning.verdict import GB, smaller_micro_batch

        memory_gb = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory / GB
        size = smaller_micro_batch(params, stage, int(os.environ.get("WORLD_SIZE", "1")), memory_gb)
        if size is not None:
            return f"set {key} to {size}, which fits by the estimate of rectok plan"
    return f"halve {key}"


def _batch_of(stage: str, params: "Params") -> str:
    """The key in params.yaml that says how much a stage holds in memory at once."""
    if stage == "gate-features":
        return "gates.features.recomputed"
    name = {"nightly": "generation", "promote": "generation"}.get(stage, stage.removeprefix("gate-"))
    section = getattr(params, name, None)
    training = getattr(section, "training", None)
    if training is not None:
        return f"{name}.training.{'micro_batch' if hasattr(training, 'micro_batch') else 'batch'}"
    return f"{name}.batch" if hasattr(section, "batch") else "its batch"


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

"""Starting a stage on several processes, and asking them to stop."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import torch

from rectok.artifacts import stop_file
from rectok.errors import UserError
from rectok.lifetime import ending_with_parent
from rectok.train.training_config import MachineConfig
from rectok.train.world import device_of

QUICK = 20_000
"""Images that one GPU encodes in about the time that it takes to start processes."""
ALONE = "RECTOK_ALONE"
"""Set in a process that makes whole shards, beside others that make other ones."""


def worthwhile(machine: MachineConfig, images: int) -> bool:
    """Whether to divide passes over so many images: on GPUs only where they take longer than to start the processes."""
    return device_of(machine) == "cpu" or images >= QUICK


def own_shards(machine: MachineConfig, stage: str, shards: list[str]) -> list[str]:
    """Those of several shards that this process makes, alone on its GPU: all, its share, or none if it started the processes.

    Raises UserError if one of these fails.
    """
    if "RANK" not in os.environ:
        return [] if launched(machine, stage, *shards, units=len(shards)) else shards
    rank, size, local = (int(os.environ.pop(name)) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    os.environ["CUDA_VISIBLE_DEVICES"] = visible[local] if visible != [""] else str(local)
    os.environ[ALONE] = "1"
    return shards[rank::size]


def launched(machine: MachineConfig, stage: str, *arguments: str, units: int | None = None) -> bool:
    """Start the stage on all processes of `machine` and wait; False if this one shall work. Raises UserError if one fails.

    The processes run `rectok <stage> <arguments>`. A stage that divides `units` of work needs no more processes than units;
    without `units` it is a training, which stops after a checkpoint.
    """
    if "RANK" in os.environ or ALONE in os.environ:  # torchrun or DeepSpeed started this process as one of several
        return False
    count = machine.processes or (torch.cuda.device_count() if device_of(machine) == "cuda" else 1)
    if units is not None and not machine.hostfile:
        count = min(count, units)
    if (units is not None and units < 2) or (count < 2 and not machine.hostfile):
        return False
    stop = stop_file(stage)
    stop.unlink(missing_ok=True)
    # In a session of its own, so that a signal to our group reaches the processes once, through us. It ends with us: else its
    # processes would work on, on the same GPUs and files as those of the next run, whom no lock tells of them.
    command, before = _command(machine, count, units is None, stage, *arguments), ending_with_parent(signal.SIGTERM)
    environment = {"OMP_NUM_THREADS": "1", **os.environ}  # as torchrun sets it, with three lines about that
    child = subprocess.Popen(command, env=environment, start_new_session=True, preexec_fn=before)
    asks = machine.hostfile and units is None
    handler = _asking(stop, child) if asks else lambda received, _: child.send_signal(received)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)
    try:
        failed = child.wait()
    finally:
        stop.unlink(missing_ok=True)
    if failed:
        raise UserError(f"stage {stage} failed in one of its {count} processes; its message stands above")
    return True


def _asking(stop: Path, launcher: "subprocess.Popen[bytes]") -> Callable[[int, FrameType | None], None]:
    """Leaves the wish to stop where every machine sees it; asked again, ends the launcher and with it all processes.

    DeepSpeed's launcher does not hand a signal on: it ends at once, and kills what it started, within half a minute at most.
    """

    def handle(_number: int, _frame: FrameType | None) -> None:
        if stop.exists():
            launcher.send_signal(signal.SIGTERM)
        stop.parent.mkdir(parents=True, exist_ok=True)
        stop.touch()

    return handle


def _command(machine: MachineConfig, count: int, training: bool, *words: str) -> list[str]:
    if machine.hostfile:
        launcher = ["deepspeed.launcher.runner", "--hostfile", machine.hostfile, "--num_gpus", str(count)]
        # With one machine, too: else its launcher leaves processes behind when it is ended.
        launcher += ["--no_local_rank", "--force_multi", "--module"]
    else:
        launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(count), "--module"]
    if not (training or machine.hostfile or "OMP_NUM_THREADS" in os.environ):
        # torchrun would set it to 1. The last bits of a metric depend on how many threads the CPU's linear algebra has.
        launcher[-1:] = ["--no-python", "env", "-u", "OMP_NUM_THREADS", sys.executable, "-m"]
    return [sys.executable, "-m", *launcher, "rectok.cli.main", *words]

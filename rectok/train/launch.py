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


def launched(machine: MachineConfig, stage: str, *arguments: str, units: int | None = None) -> bool:
    """Start the stage on all processes of `machine` and wait; False if this one shall work. Raises UserError if one fails.

    The processes run `rectok <stage> <arguments>`. A stage that divides `units` of work needs no more processes than units;
    without `units` it is a training, which stops after a checkpoint.
    """
    if "RANK" in os.environ:  # torchrun or DeepSpeed started this process as one of several
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
    command, before = _command(machine, count, stage, *arguments), ending_with_parent(signal.SIGTERM)
    child = subprocess.Popen(command, start_new_session=True, preexec_fn=before)
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


def _command(machine: MachineConfig, count: int, *words: str) -> list[str]:
    if machine.hostfile:
        launcher = ["deepspeed.launcher.runner", "--hostfile", machine.hostfile, "--num_gpus", str(count)]
        # With one machine, too: else its launcher leaves processes behind when it is ended.
        launcher += ["--no_local_rank", "--force_multi", "--module"]
    else:
        launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(count), "--module"]
    return [sys.executable, "-m", *launcher, "rectok.cli.main", *words]

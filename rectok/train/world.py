"""Processes of a training: who am I, on which device, and how to start the others."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass

import torch
import torch.distributed as dist

from rectok.errors import UserError
from rectok.lifetime import ending_with_parent
from rectok.train.config import MachineConfig


@dataclass(frozen=True)
class World:
    """This process's rank among `size`, and its device."""

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes files and speaks to people."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Whether `flag` is true in any process; all of them must ask at the same time."""
        return self.largest(float(flag)) > 0

    def largest(self, value: float) -> float:
        """The largest of all processes' values; all of them must ask at the same time."""
        if self.size == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return float(shared.item())

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """The average of `values` over processes."""
        if self.size > 1:
            dist.all_reduce(values)
        return values / self.size

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            dist.barrier()


def device_of(machine: MachineConfig) -> str:
    """`cpu` or `cuda`. Raises UserError when a GPU is asked for and there is none."""
    if machine.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if machine.device == "cuda" and not torch.cuda.is_available():
        raise UserError("machine.device is cuda, but no GPU is visible here; use auto or cpu")
    return machine.device


def launched(machine: MachineConfig, stage: str) -> bool:
    """Start the stage on every process that `machine` asks for and wait; False if this process itself should do the work.

    Raises UserError when a process failed.
    """
    if "RANK" in os.environ:  # torchrun or DeepSpeed started this process as one of several
        return False
    device = device_of(machine)
    count = machine.processes or (torch.cuda.device_count() if device == "cuda" else 1)
    if count == 1 and not machine.hostfile:
        return False
    # In a session of its own, so that a signal to our group reaches the processes once, through us. It ends with us: else its
    # processes would train on, on the same GPUs and files as those of the next run, whom no lock tells of them.
    child = subprocess.Popen(
        _command(machine, count, stage), start_new_session=True, preexec_fn=ending_with_parent(signal.SIGTERM)
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: child.send_signal(received))
    if child.wait():
        raise UserError(f"stage {stage} failed in one of its {count} processes; its message stands above")
    return True


def _command(machine: MachineConfig, count: int, stage: str) -> list[str]:
    if machine.hostfile:
        launcher = [
            "deepspeed.launcher.runner",
            "--hostfile",
            machine.hostfile,
            "--num_gpus",
            str(count),
            "--no_local_rank",
            "--module",
        ]
    else:
        launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(count), "--module"]
    return [sys.executable, "-m", *launcher, "rectok.cli.main", stage]


def join(machine: MachineConfig) -> World:
    """Join the process group (gloo on CPU, nccl on GPU), a group of one where nobody launched this process."""
    device = device_of(machine)
    os.environ["DS_ACCELERATOR"] = device
    os.environ.setdefault("LOCAL_RANK", "0")  # DeepSpeed asks for it even where there is one process
    rank, local = (int(os.environ.get(name, "0")) for name in ("RANK", "LOCAL_RANK"))
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if device == "cuda":
        torch.cuda.set_device(local)
        # cuDNN's attention plans anew for every number of visible tokens, on the host, for longer than the step computes.
        torch.backends.cuda.enable_cudnn_sdp(False)
    if not dist.is_initialized():
        store = None if "RANK" in os.environ else dist.HashStore()  # type: ignore[attr-defined]
        dist.init_process_group("nccl" if device == "cuda" else "gloo", store=store, rank=rank, world_size=size)
    return World(rank, size, torch.device(device, local) if device == "cuda" else torch.device("cpu"))

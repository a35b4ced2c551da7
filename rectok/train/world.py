"""Processes of a training: who am I, and on which device."""

import atexit
import os
from dataclasses import dataclass

import torch
import torch.distributed as dist

from rectok.errors import UserError
from rectok.train.training_config import MachineConfig


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
    return device_named(machine.device, "machine.device")


def device_named(name: str, key: str = "device") -> str:
    """The device that `name` means, the value of `key`: auto is a GPU where there is one. Raises UserError."""
    gpu = torch.cuda.is_available()
    if name.startswith("cuda") and not gpu:
        raise UserError(f"{key} is {name}, but no GPU is visible here; use auto or cpu")
    return ("cuda" if gpu else "cpu") if name == "auto" else name


def join(machine: MachineConfig) -> World:
    """Join the process group (gloo on CPU, nccl on GPU), a group of one where nobody launched this process."""
    kind = device_of(machine)
    os.environ["DS_ACCELERATOR"] = kind
    os.environ.setdefault("LOCAL_RANK", "0")  # DeepSpeed asks for it even where there is one process
    rank, local = (int(os.environ.get(name, "0")) for name in ("RANK", "LOCAL_RANK"))
    size = int(os.environ.get("WORLD_SIZE", "1"))
    device = torch.device(kind, local) if kind == "cuda" else torch.device("cpu")
    if kind == "cuda":
        torch.cuda.set_device(device)
        # cuDNN's attention plans anew for every number of visible tokens, on the host, for longer than the step computes.
        torch.backends.cuda.enable_cudnn_sdp(False)
    if not dist.is_initialized():
        _start_group(device, rank, size)
    return World(rank, size, device)


def _start_group(device: torch.device, rank: int, size: int) -> None:
    """Start the process group that this process is one of."""
    store = None if "RANK" in os.environ else dist.HashStore()  # type: ignore[attr-defined]
    backend = "nccl" if device.type == "cuda" else "gloo"
    named = device if device.type == "cuda" else None  # else NCCL guesses the device at the first barrier
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, device_id=named)
    if size == 1:  # of several, one that failed would wait here for the others
        atexit.register(lambda: dist.destroy_process_group() if dist.is_initialized() else None)

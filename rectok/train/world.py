"""Processes of a training: who am I, and on which device."""

import atexit
import os
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist

from rectok.errors import UserError
from rectok.train.training_config import MachineConfig

COMPILED_FROM = 2e15
"""FLOPs from which on compilation pays on a GPU: about ten seconds uncompiled, when compiling takes ten to seventy."""
COMPILER_CACHE = Path("~/.cache/rectok/compiler")
"""Where compiled kernels are kept for the next run; the compiler's own default is lost with /tmp."""


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


def compiles(machine: MachineConfig, flops: float) -> bool:
    """Whether networks that have `flops` FLOPs before them in this process are to be compiled."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(COMPILER_CACHE.expanduser()))
    if machine.compile == "auto":
        return device_of(machine) == "cuda" and flops >= COMPILED_FROM
    return machine.compile


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

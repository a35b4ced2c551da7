"""Processes of a training: who am I, and on which device."""

import atexit
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn

from rectok.errors import UserError
from rectok.nn.allocator import keep_freed_memory
from rectok.nn.blocks import compile_blocks
from rectok.nn.precision import bfloat16_products
from rectok.nn.spread import Spread
from rectok.train.training_config import MachineConfig
from rectok.train.watchdog import Watchdog

M = TypeVar("M", bound=nn.Module)
COMPILED_FROM = 2e15
"""FLOPs from which on compilation pays on a GPU: about ten seconds uncompiled, when compiling takes ten to seventy."""
GRAPHED_BELOW = 5e12
"""FLOPs of a step below which a GPU runs its kernels in less time than the host takes to start them one by one."""
COMPILER_CACHE = Path("~/.cache/rectok/compiler")
"""Where compiled kernels are kept for the next run; the compiler's own default is lost with /tmp."""


@dataclass(frozen=True)
class World:
    """This process's rank among `size`, and its device. Of several processes each has a watchdog."""

    rank: int
    size: int
    device: torch.device
    watchdog: Watchdog | None = None

    @property
    def first(self) -> bool:
        """Whether this process writes files and speaks to people."""
        return self.rank == 0

    @property
    def spread(self) -> Spread:
        """How units of work are divided over the processes."""
        return Spread(self.rank, self.size, self.watched)

    def watched(self, what: str, step: int | None = None) -> AbstractContextManager[None]:
        """Inside, this process waits for the others: they do `what` together at `step`, else at the last one that was named.

        Raises UserError where one of them is gone, and ends this process where it waits longer than `machine.timeout`.
        """
        if self.watchdog is None:
            return nullcontext()
        if step is not None:
            self.watchdog.step = step
        return self.watchdog.during(what)

    def any(self, flag: bool) -> bool:
        """Whether `flag` is true in any process; all of them must ask at the same time."""
        return self.largest(float(flag)) > 0

    def largest(self, value: float) -> float:
        """The largest of all processes' values; all of them must ask at the same time."""
        if self.size == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=self.device)
        with self.watched("an all_reduce of a maximum"):
            dist.all_reduce(shared, dist.ReduceOp.MAX)
            return float(shared.item())

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """The average of `values` over processes."""
        if self.size > 1:
            with self.watched("an all_reduce of a mean"):
                dist.all_reduce(values)
        return values / self.size

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            with self.watched("a barrier"):
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
    if machine.compile == "auto":
        return device_of(machine) == "cuda" and flops >= COMPILED_FROM
    return machine.compile


def graphs(machine: MachineConfig, flops: float) -> bool:
    """Whether steps of `flops` FLOPs are to be CUDA graphs."""
    return flops < GRAPHED_BELOW if machine.cuda_graphs == "auto" else machine.cuda_graphs


def settled(
    network: M, machine: MachineConfig, compiled: bool, compile_parts: Callable[[M], object] = compile_blocks
) -> M:
    """A frozen `network` on the device of `machine`, its products in bfloat16 on a GPU, its blocks `compiled` or not.

    Callers ask `compiles` about the work of all processes together. So their number changes no result.
    """
    network.to(device_of(machine)).requires_grad_(False)
    if device_of(machine) == "cuda":
        bfloat16_products(network)
    if compiled:
        compile_parts(network)
    return network


def member(machine: MachineConfig) -> World:
    """This process among those of a stage without DeepSpeed. It joins a process group only where there are several."""
    world = _world(machine)
    os.environ.setdefault(
        "TORCH_NCCL_SHOW_EAGER_INIT_P2P_SERIALIZATION_WARNING", "false"
    )  # one thing is sent at a time
    if world.size > 1 and not dist.is_initialized():
        _start_group(world, machine)
    return world


def join(machine: MachineConfig) -> World:
    """Join the process group (gloo on CPU, nccl on GPU), a group of one where nobody launched this process."""
    world = _world(machine)
    os.environ["DS_ACCELERATOR"] = world.device.type
    os.environ.setdefault("LOCAL_RANK", "0")  # DeepSpeed asks for it even where there is one process
    if not dist.is_initialized():
        _start_group(world, machine)
    return world


def _world(machine: MachineConfig) -> World:
    """Who this process is, by the variables of its launcher. Raises UserError where there is no such GPU."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(COMPILER_CACHE.expanduser()))
    kind = device_of(machine)
    rank, local = (int(os.environ.get(name, "0")) for name in ("RANK", "LOCAL_RANK"))
    device = torch.device(kind, local) if kind == "cuda" else torch.device("cpu")
    if kind == "cuda":
        torch.cuda.set_device(device)
    else:
        keep_freed_memory()
    size, seconds = int(os.environ.get("WORLD_SIZE", "1")), 60 * machine.timeout
    return World(rank, size, device, Watchdog(rank, size, seconds) if size > 1 else None)


def _start_group(world: World, machine: MachineConfig) -> None:
    """Start the process group that this process is one of. Its timeout is longer than that of the watchdog, which says more."""
    limit = timedelta(minutes=machine.timeout + 1)
    os.environ["DEEPSPEED_TIMEOUT"] = str(ceil(machine.timeout + 1))
    rank, size, device = world.rank, world.size, world.device
    store = None if "RANK" in os.environ else dist.HashStore()  # type: ignore[attr-defined]
    backend = "nccl" if device.type == "cuda" else "gloo"
    named = device if device.type == "cuda" else None  # else NCCL guesses the device at the first barrier
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, device_id=named, timeout=limit)
    if size == 1:  # of several, one that failed would wait here for the others
        atexit.register(lambda: dist.destroy_process_group() if dist.is_initialized() else None)

"""Networks that fit into the machine's memory: they are counted before they are built, since building fills the memory."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from rectok.errors import UserError

M = TypeVar("M", bound=nn.Module)
GROUPS, GROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def fitting(key: str, make: Callable[[], M]) -> M:
    """The network that `make` builds. Raises UserError, which names the parameter `key`, if the machine cannot hold its weights.

    The first of its two calls makes tensors without values, which draws no random number.
    """
    with torch.device("meta"):
        size = sum(tensor.numel() * tensor.element_size() for tensor in make().parameters())
    memory = machine_memory()
    if size > memory:
        raise UserError(
            f"{key} in params.yaml describes a network of {size / 1e9:,.0f} GB, but this machine has {memory / 1e9:,.0f} GB "
            "of memory; `rectok plan` shows what each network needs"
        )
    return make()


def machine_memory() -> int:
    """Bytes of memory that this process may use: those of the machine, or what its container may use of them (cgroups v2)."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    group = GROUP.read_text(encoding="utf-8").rpartition("0::/")[2].strip() if GROUP.exists() else ""
    for folder in (GROUPS / group, *(GROUPS / group).parents):
        if (limit := folder / "memory.max").exists():
            sizes += [int(text) for text in [limit.read_text(encoding="utf-8").strip()] if text.isdecimal()]
    return min(sizes)

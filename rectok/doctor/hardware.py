"""Devices to train on, and DeepSpeed, which trains on them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from rectok.doctor.diagnosis import Diagnosis, fail, ok, warn
from rectok.params import Params
from rectok.train.config import MachineConfig

GIB = 2**30
SMALL = ("digits",)
"""Presets that train on a CPU in minutes."""
IMPORT = "import deepspeed, sys; print(deepspeed.__version__, file=sys.stderr)"


def devices(params: Params) -> Diagnosis:
    """What `machine.device` and `machine.processes` ask for against what is here."""
    import torch

    machine = params.machine
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    if machine.device == "cpu":
        return ok("devices", f"machine.device is cpu; {os.cpu_count()} cores")
    if not names:
        return _without_gpu(machine, params.preset)
    if machine.processes > len(names):
        remedy = f"set machine.processes to 0 (one a GPU) or at most {len(names)}"
        return fail("devices", f"machine.processes is {machine.processes}, but there are {len(names)} GPUs", remedy)
    memory = min(torch.cuda.get_device_properties(i).total_memory for i in range(len(names)))
    return ok("devices", f"{len(names)} × {names[0]}, {memory / GIB:.0f} GiB each")


def _without_gpu(machine: MachineConfig, preset: str) -> Diagnosis:
    driver = shutil.which("nvidia-smi")
    remedy = (
        "torch sees none although a driver is there: compare `nvidia-smi` and CUDA_VISIBLE_DEVICES with torch's build"
    )
    if machine.device == "cuda":
        wanted = "set machine.device to auto or cpu, or run where there is a GPU"
        return fail("devices", "machine.device is cuda, but no GPU is visible", remedy if driver else wanted)
    if driver:
        return warn("devices", "no GPU is visible", remedy)
    if preset in SMALL:
        return ok("devices", f"no GPU; {os.cpu_count()} cores, which suit {preset}")
    return warn("devices", "no GPU is visible", f"{preset} takes weeks without one; `rectok plan` gives the hours")


def deepspeed(params: Params) -> Diagnosis:
    """Whether DeepSpeed can be imported, in a process of its own, and can reach the machines of `machine.hostfile`."""
    done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True)
    lines = done.stderr.strip().splitlines() or ["it said nothing"]
    if done.returncode:
        return fail(
            "deepspeed", f"it cannot be imported: {lines[-1]}", "install requirements.lock again (`make lint` does)"
        )
    found = f"DeepSpeed {lines[-1]}"
    if not params.machine.hostfile:
        return ok("deepspeed", f"{found} on this machine")
    hosts = Path(params.machine.hostfile)
    if not hosts.is_file():
        return fail("deepspeed", f"machine.hostfile {hosts} does not exist", "write it: one `host slots=N` a line")
    if shutil.which("pdsh") is None:
        return fail(
            "deepspeed", f"{found} reaches other machines through pdsh, which is not here", "apt-get install pdsh"
        )
    return ok("deepspeed", f"{found}, hosts of {hosts}")

"""Devices for training, and DeepSpeed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from rectok.doctor.diagnosis import Diagnosis, fail, ok, warn
from rectok.params import Params
from rectok.train.training_config import MachineConfig

GIB = 2**30
SMALL = ("digits", "photos")
"""Presets that train on a CPU in minutes."""
IMPORT = (
    "import gc, sys; gc.disable(); sys.modules['mlflow'] = None; import deepspeed; "
    "print(deepspeed.__version__, file=sys.stderr)"
)
"""DeepSpeed's autotuner takes MLflow where it can be imported, which takes a second, and goes without it after any error."""


def devices(params: Params) -> Diagnosis:
    """Compare `machine.device` and `machine.processes` with the GPUs of this machine."""
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
    remedy = "torch sees none although a driver is installed: compare `nvidia-smi` and CUDA_VISIBLE_DEVICES with torch's build"
    if machine.device == "cuda":
        other = "set machine.device to auto or cpu, or run on a machine with a GPU"
        return fail("devices", "machine.device is cuda, but no GPU is visible", remedy if driver else other)
    if driver:
        return warn("devices", "no GPU is visible", remedy)
    if preset in SMALL:
        return ok("devices", f"no GPU; {os.cpu_count()} cores, which suit {preset}")
    return warn("devices", "no GPU is visible", f"{preset} takes weeks without one; `rectok plan` gives the hours")


def import_deepspeed() -> "subprocess.Popen[str]":
    """Start a process that imports DeepSpeed, which takes seconds."""
    return subprocess.Popen(
        [sys.executable, "-c", IMPORT], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def deepspeed(params: Params, process: "subprocess.Popen[str]") -> Diagnosis:
    """Check that the `process` of `import_deepspeed` succeeds, and that the machines of `machine.hostfile` can be reached."""
    _, errors = process.communicate()
    lines = errors.strip().splitlines() or ["it printed nothing"]
    if process.returncode:
        remedy = "install requirements.lock again (`make lint` does)"
        return fail("deepspeed", f"it cannot be imported: {lines[-1]}", remedy)
    version = f"DeepSpeed {lines[-1]}"
    if not params.machine.hostfile:
        return ok("deepspeed", f"{version} on this machine")
    hosts = Path(params.machine.hostfile)
    if not hosts.is_file():
        return fail("deepspeed", f"machine.hostfile {hosts} does not exist", "write it: one `host slots=N` a line")
    if shutil.which("pdsh") is None:
        return fail("deepspeed", f"{version} needs pdsh, which is not installed", "apt-get install pdsh")
    return ok("deepspeed", f"{version}, hosts of {hosts}")

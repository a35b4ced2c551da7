"""A real SLURM cluster of two nodes on this machine, which starts in about a second."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.ports import free_port

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo")
NODES = ("n1", "n2")
CONFIGURATION = """ClusterName=test
SlurmctldHost=localhost
SlurmctldPort={controller}
SlurmUser=root
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0
StateSaveLocation={folder}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdSpoolDir={folder}/%n
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
SlurmctldLogFile={folder}/slurmctld.log
"""


@contextmanager
def cluster(folder: Path) -> Iterator[Path]:
    """The configuration of a running cluster, whose files lie in `folder`; it is to be named by SLURM_CONF."""
    if missing := [name for name in PROGRAMS if not shutil.which(name, path=path())]:
        pytest.skip(f"SLURM is not installed here: there is no {', '.join(missing)} (apt-get install slurm-wlm)")
    if os.getuid():
        pytest.skip("SLURM's daemons of this test need root")
    text = CONFIGURATION.format(controller=free_port(), folder=folder)
    for node in NODES:
        text += f"NodeName={node} NodeHostname=localhost NodeAddr=127.0.0.1 Port={free_port()} CPUs=2\n"
    configuration = folder / "slurm.conf"
    configuration.write_text(f"{text}PartitionName=main Nodes={','.join(NODES)} Default=YES State=UP\n")
    with ExitStack() as stack:
        for command in (("slurmctld", "-D"), *(("slurmd", "-D", "-N", node) for node in NODES)):
            stack.enter_context(running(command, configuration))
        end = time.monotonic() + 30
        while slurm(configuration, "sinfo", "--noheader", "--format=%T %D") != "idle 2\n":
            assert time.monotonic() < end, (folder / "slurmctld.log").read_text()
            time.sleep(0.1)
        yield configuration


@contextmanager
def running(command: Sequence[str], configuration: Path) -> Iterator[None]:
    """A daemon."""
    log = (configuration.parent / "output").open("a")
    environment = {**os.environ, "PATH": path(), "SLURM_CONF": str(configuration)}
    with log, subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process:
        try:
            yield
        finally:
            process.terminate()


def slurm(configuration: Path, *command: str) -> str:
    """What a command of SLURM prints."""
    environment = {**os.environ, "PATH": path(), "SLURM_CONF": str(configuration)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout


def path() -> str:
    """Debian has the daemons where only root looks."""
    return f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin"

"""Two machines in one: two network namespaces, joined by a cable, which share a file system as the machines of a cluster do."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CABLE = "cable"
# What ssh does between two machines of a cluster: run a command on the other one. Its options are about keys and ports.
SSH = """#!/usr/bin/env bash
while [[ $1 == -* ]]; do case $1 in -o | -l | -p) shift 2 ;; *) shift ;; esac; done
host=$1
shift
exec ip netns exec "$host" bash -c "$*"
"""


@dataclass(frozen=True)
class Machines:
    """`first` runs a command on the first machine; from there, `ssh` with `environment` reaches the other."""

    names: tuple[str, str]
    hostfile: Path
    environment: Mapping[str, str]

    @property
    def first(self) -> Sequence[str]:
        """The command to put before one's own."""
        return ("ip", "netns", "exec", self.names[0])

    def received(self) -> int:
        """Bytes that came to the second machine over the cable."""
        command = ("ip", "-n", self.names[1], "-s", "-j", "link", "show", CABLE)
        [link] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return int(link["stats64"]["rx"]["bytes"])


def missing() -> str | None:
    """Why there can be no two machines here; None where there can."""
    if os.geteuid() != 0:
        return "network namespaces want root"
    for tool, package in {"ip": "iproute2", "pdsh": "pdsh"}.items():
        if shutil.which(tool) is None:
            return f"there is no {tool} here (apt-get install {package})"
    probe = f"probe-{os.getpid()}"
    if subprocess.run(("ip", "netns", "add", probe), capture_output=True).returncode:
        return "network namespaces are not to be had here"
    subprocess.run(("ip", "netns", "delete", probe), check=True)
    return None


@contextmanager
def two_machines(folder: Path) -> Iterator[Machines]:
    """Both machines, with a hostfile and an `ssh` in `folder`, until the end of the block."""
    names = (f"one-{os.getpid()}", f"two-{os.getpid()}")
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "ssh").write_text(SSH)
    (tools / "ssh").chmod(0o755)
    hostfile = folder / "hosts"
    hostfile.write_text("".join(f"{name} slots=1\n" for name in names))
    environment = {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "GLOO_SOCKET_IFNAME": CABLE}
    try:
        for name in names:
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        ends = ("link", "add", CABLE, "netns", names[0], "type", "veth", "peer", "name", CABLE, "netns", names[1])
        _ip(*ends)
        for number, name in enumerate(names, 1):
            _ip("-n", name, "address", "add", f"10.77.0.{number}/24", "dev", CABLE)
            _ip("-n", name, "link", "set", CABLE, "up")
        yield Machines(names, hostfile, environment)
    finally:
        for name in names:
            subprocess.run(("ip", "netns", "delete", name), capture_output=True)


def _ip(*arguments: str) -> None:
    subprocess.run(("ip", *arguments), check=True)

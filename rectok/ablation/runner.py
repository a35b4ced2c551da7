"""Runs the workspaces of an ablation, several at a time, and keeps the figures of each."""

import json
import os
import queue
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rectok.ablation.workspace import Workspace
from rectok.artifacts import stage_dir, write_json
from rectok.errors import UserError
from rectok.reporting.display import duration
from rectok.reporting.summary import EVALUATIONS

Say = Callable[[str], None]
REPRO = ("-m", "dvc", "repro")


@dataclass(frozen=True)
class Failure:
    """A run that stopped, and its last words."""

    workspace: Workspace
    reason: str


def make_shared(folder: Path, targets: Sequence[str]) -> None:
    """`dvc repro` in the workspace of what all rows share. Raises UserError when it fails."""
    command = [sys.executable, *REPRO, *targets]
    if subprocess.run(command, cwd=folder, env=_environment(""), check=False).returncode:
        raise UserError(f"`dvc repro {' '.join(targets)}` failed in {folder}; its message stands above")


def run_all(
    workspaces: Sequence[Workspace], targets: Sequence[str], devices: Sequence[str], say: Say, echo: bool = False
) -> list[Failure]:
    """Run every workspace that is not done, one at a time per entry of `devices` (a CUDA device, or "" for any).

    Rows that come after others wait for all of those. A failed run does not stop the others; running the ablation again
    goes on with it. With `echo`, what a run prints is said as it comes, and not only kept in its log.
    """
    free: queue.SimpleQueue[str] = queue.SimpleQueue()
    for device in devices:
        free.put(device)

    def run(workspace: Workspace) -> Failure | None:
        device = free.get()
        try:
            return _run(workspace, targets, device, say, echo)
        finally:
            free.put(device)

    waiting = [workspace for workspace in workspaces if not workspace.done()]
    say(f"{len(workspaces) - len(waiting)} of {len(workspaces)} runs are done")
    firsts = [workspace for workspace in waiting if not workspace.cell.row.after]
    others = [workspace for workspace in waiting if workspace.cell.row.after]
    with ThreadPoolExecutor(len(devices)) as pool:
        # What the others take from the cache is there when all of the first are done.
        return [failure for wave in (firsts, others) for failure in list(pool.map(run, wave)) if failure]


def _run(workspace: Workspace, targets: Sequence[str], device: str, say: Say, echo: bool) -> Failure | None:
    began = time.monotonic()
    say(f"{workspace.cell.name} started, log in {workspace.log}")
    for stage in EVALUATIONS:
        # DVC brings back what the targets ask for; the rest may be of other parameters, and is not to be gathered.
        shutil.rmtree(workspace.folder / stage_dir(stage), ignore_errors=True)
    if _repro(workspace, targets, device, say if echo else None):
        say(f"{workspace.cell.name} failed: {_last_words(workspace.log)}")
        return Failure(workspace, _last_words(workspace.log))
    figures = _figures(workspace)
    write_json(workspace.result, {"params": workspace.params.read_text(encoding="utf-8"), "figures": figures})
    say(f"{workspace.cell.name} done in {duration(time.monotonic() - began)}")
    return None


def _repro(workspace: Workspace, targets: Sequence[str], device: str, say: Say | None) -> int:
    """`dvc repro` there, each line kept in the log and said by `say`; its exit code."""
    command, env = [sys.executable, *REPRO, *targets], _environment(device)
    with workspace.log.open("ab", buffering=0) as log:
        if say is None:
            # No pipe through this process: what it runs can outlive it, and write its checkpoint and its log.
            done = subprocess.run(command, cwd=workspace.folder, env=env, stdout=log, stderr=log, check=False)
            return done.returncode
        with subprocess.Popen(
            command, cwd=workspace.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            assert process.stdout
            for line in process.stdout:
                log.write(line)
                say(line.decode(errors="replace").rstrip())
        return process.returncode


def _figures(workspace: Workspace) -> object:
    command = [sys.executable, "-m", "rectok.cli.main", "summary", "--partial"]
    done = subprocess.run(command, cwd=workspace.folder, env=_environment(""), capture_output=True, check=True)
    return json.loads(done.stdout)


def _environment(device: str) -> dict[str, str]:
    """Stages find `rectok` beside this Python; `device` hides all other GPUs."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, **({"CUDA_VISIBLE_DEVICES": device} if device else {})}


def _last_words(log: Path) -> str:
    """The sentence with which a stage failed, or the last line."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    sentences = [line for line in lines if line.startswith("rectok: ")]
    return (sentences or lines or ["no message"])[-1].removeprefix("rectok: ")

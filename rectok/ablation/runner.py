"""Runs the workspaces of an ablation, several at a time, and keeps the metrics of each."""

import json
import queue
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rectok.ablation.workspace import Workspace, renew_pipeline
from rectok.artifacts import stage_dir, write_json
from rectok.errors import UserError
from rectok.pipeline.code_versions import read_versions
from rectok.pipeline.process import DVC, ChildProcess, Finished, run_to_end
from rectok.reporting.summary import EVALUATIONS, duration

Say = Callable[[str], None]


@dataclass(frozen=True)
class Failure:
    """A run that stopped, and why."""

    workspace: Workspace
    reason: str


def repro(targets: Sequence[str], jobs: int) -> tuple[str, ...]:
    """The command that makes `targets`, `jobs` stages at once; DVC alone runs one after the other."""
    if jobs == 1:
        return (*DVC, "repro", *targets)
    return ("rectok", "repro", *targets, "--jobs", str(jobs), "--on-accelerator", str(jobs))


def make_shared(folder: Path, targets: Sequence[str], jobs: int = 1) -> None:
    """Make `targets` in the workspace of what all rows share. Raises UserError when it fails."""
    command = repro(targets, jobs)
    if run_to_end(command, folder).returncode:
        raise UserError(f"`{' '.join(command)}` failed in {folder}; its message stands above")


def run_all(
    workspaces: Sequence[Workspace],
    targets: Sequence[str],
    devices: Sequence[str],
    say: Say,
    echo: bool = False,
    jobs: int = 1,
) -> list[Failure]:
    """Run every workspace that is not done, one at a time per entry of `devices` (a CUDA device, or "" for any).

    Rows after others wait for all of those. A failed run stops no other one. With `echo` runs are printed, not only logged.
    Each run makes `jobs` stages at once.
    """
    command = repro(targets, jobs)
    free: queue.SimpleQueue[str] = queue.SimpleQueue()
    for device in devices:
        free.put(device)

    def run(workspace: Workspace) -> Failure | None:
        device = free.get()
        try:
            return _run(workspace, command, device, say, echo)
        finally:
            free.put(device)

    waiting = [workspace for workspace in workspaces if not workspace.done()]
    say(f"{len(workspaces) - len(waiting)} of {len(workspaces)} runs are done")
    firsts = [workspace for workspace in waiting if not workspace.cell.row.after]
    others = [workspace for workspace in waiting if workspace.cell.row.after]
    with ThreadPoolExecutor(len(devices)) as pool:
        # What the others take from the cache is there when all of the first are done.
        return [failure for wave in (firsts, others) for failure in list(pool.map(run, wave)) if failure]


def _run(workspace: Workspace, command: Sequence[str], device: str, say: Say, echo: bool) -> Failure | None:
    began = time.monotonic()
    say(f"{workspace.cell.name} started, log in {workspace.log}")
    for stage in EVALUATIONS:
        # DVC brings back what the targets ask for; the rest may be of other parameters, and is not to be gathered.
        shutil.rmtree(workspace.folder / stage_dir(stage), ignore_errors=True)
    renew_pipeline(workspace.folder)
    versions = read_versions()
    finished = _logged(workspace, command, device, say if echo else None)
    if finished.code:
        say(f"{workspace.cell.name} failed: {finished.reason}")
        return Failure(workspace, finished.reason)
    metrics, params = _summary(workspace), workspace.params.read_text(encoding="utf-8")
    write_json(workspace.result, {"params": params, "versions": versions, "metrics": metrics})
    say(f"{workspace.cell.name} done in {duration(time.monotonic() - began)}")
    return None


def _logged(workspace: Workspace, command: Sequence[str], device: str, say: Say | None) -> Finished:
    """`command` there on `device`, which hides all other GPUs. Each line is appended to the log, and goes to `say`."""
    variables = {"CUDA_VISIBLE_DEVICES": device} if device else {}
    with workspace.log.open("a+", encoding="utf-8", errors="replace") as log:
        begin = log.tell()
        if say is None:
            # Without a pipe through this process the run can outlive it, and write its checkpoint and its log.
            code = run_to_end(command, workspace.folder, variables, stdout=log, stderr=subprocess.STDOUT).returncode
        else:
            child = ChildProcess(command, workspace.folder, variables, own_group=False)
            for line in child.lines():
                print(line, file=log, flush=True)
                say(line)
            code = child.code
        log.seek(begin)
        return Finished(command, code, [line.strip() for line in log if line.strip()])


def _summary(workspace: Workspace) -> object:
    command = (sys.executable, "-m", "rectok.cli.main", "summary", "--partial")
    summary = run_to_end(command, workspace.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    summary.check_returncode()
    return json.loads(summary.stdout)

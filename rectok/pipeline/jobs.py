"""Jobs of a cluster: what each of their tasks runs, and what they leave in a folder that all machines see."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Protocol

from rectok.artifacts import read_json
from rectok.errors import DamagedError
from rectok.files import write_text
from rectok.pipeline.process import RESULTS

JOB, BLOCKS = "job.json", "blocks"


@dataclass(frozen=True)
class Job:
    """Numbered tasks, and a folder with all that is known of them. `inputs` are hashes of what each stage read, by address.

    Each task runs one of the `blocks` of stages.
    """

    folder: Path
    inputs: Mapping[str, str]
    blocks: Sequence[Sequence[str]]

    @property
    def name(self) -> str:
        """The name of the job, which no other one has. Kubernetes takes no underscore."""
        return f"rectok-{self.folder.name}".replace("_", "-")

    def done(self) -> set[str]:
        """Addresses of the stages that have ended well."""
        texts = (file.read_text(encoding="utf-8") for file in self.folder.glob("*.done"))
        return {
            line for text in texts for line in text.rpartition("\n")[0].split()
        }  # its last line may still be written

    def write(self) -> None:
        """Leave all that a task and a later process need in the folder.

        The files of results are there from the start, because NFS shows a file that it knows up to date when it is opened, and a
        new one up to a minute late.
        """
        self.folder.mkdir(parents=True)
        for number in range(len(self.blocks)):
            (self.folder / f"{number}.done").touch()
        write_text(self.folder / BLOCKS, "".join(f"{' '.join(block)}\n" for block in self.blocks))
        write_text(self.folder / JOB, json.dumps({"inputs": dict(self.inputs), "blocks": self.blocks}))

    def script(self, command: str, variable: str) -> str:
        """What a task runs: `command` with the items of its block; `variable` holds the task's number.

        A task that runs once more, as after preemption, leaves out what it had made; where nothing is left, grep ends with 1.
        """
        folder = quote(str(self.folder.absolute()))
        return f"""#!/bin/sh
export {RESULTS}={folder}/${variable}.done
left=$(sed -n "$(({variable} + 1))p" {folder}/{BLOCKS} | tr ' ' '\\n' | grep -vxFf "${RESULTS}") || exit $(($? - 1))
exec {command} $(echo "$left" | sed 's/^[^@]*@*//')
"""


def read_job(folder: Path) -> Job | None:
    """The job that an earlier process left in `folder`; None where it had not begun to queue it."""
    try:
        record = read_json(folder / JOB)
        return Job(folder, record["inputs"], record["blocks"])
    except (OSError, DamagedError):
        return None


class Queue(Protocol):
    """A cluster that runs jobs; it is asked for a job by the job's name.

    A job has at most `tasks` tasks. Where the cluster does not run a failed task again by itself, what failed is queued again
    `resubmits` times.
    """

    title: str
    tasks: int
    resubmits: int

    def submit(self, job: Job, command: str, accelerator: bool) -> None:
        """Queue `job`, whose folder is written, for `command`. Raises UserError with the cluster's words."""

    def states(self, job: Job) -> Mapping[str, int] | None:
        """How many tasks are in each state; empty once all have ended or the job is gone. None: the cluster does not answer."""

    def succeeded(self, job: Job) -> Collection[int]:
        """Numbers of the tasks that ended well, as the cluster has it."""

    def failures(self, job: Job) -> Collection[int]:
        """Numbers of the tasks that failed, as the cluster has it, also of those that it has run again since."""

    def log(self, job: Job, task: int) -> Sequence[str]:
        """The last lines of a task that failed, and the cluster's reason."""

    def cancel(self, job: Job) -> None:
        """End the job. Its processes get SIGTERM, with which a training writes its checkpoint. It may be called again."""

    def forget(self, job: Job) -> None:
        """Remove a job that has ended from the cluster, where it would stay."""

"""Runs groups of stages as SLURM jobs: the shards of a stage are one array, each task of which runs a block of them."""

import json
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from shlex import quote

from rectok.artifacts import DATA, read_json
from rectok.errors import DamagedError, UserError
from rectok.files import write_text
from rectok.pipeline import slurm
from rectok.pipeline.batches import Record, Say
from rectok.pipeline.graph import Stage
from rectok.pipeline.process import RESULTS
from rectok.pipeline.rate import Rate

FOLDER = DATA / "state" / "slurm"
JOB, BLOCKS = "job.json", "blocks"
RECORD_EVERY = 60.0
"""Seconds after which what has ended is recorded while other tasks still run."""
FIRST_POLL, LONGEST_POLL = 1.0, 15.0
"""Seconds between two questions to SLURM, at first and once a job has run for minutes."""
LOG_LINES, LOGS = 5, 3
"""Last lines that are shown of the log of a task that failed, and of how many tasks."""


@dataclass(frozen=True)
class Job:
    """An array of tasks, and a folder with all that is known of it. `inputs` are hashes of what each stage read, by address."""

    folder: Path
    inputs: Mapping[str, str]
    blocks: Sequence[Sequence[str]]

    @property
    def name(self) -> str:
        """The name of the job, which no other one has."""
        return f"rectok-{self.folder.name}"

    def done(self) -> set[str]:
        """Addresses of the stages that have ended well."""
        return {line for file in self.folder.glob("*.done") for line in file.read_text(encoding="utf-8").split()}

    def write(self, command: str) -> str:
        """Leave all that a task and a later process need in the folder; the script of a task, which runs `command`."""
        self.folder.mkdir(parents=True)
        items = "\n".join(" ".join(address.partition("@")[2] for address in block) for block in self.blocks)
        write_text(self.folder / BLOCKS, f"{items}\n")
        write_text(self.folder / JOB, json.dumps({"inputs": dict(self.inputs), "blocks": self.blocks}))
        place = quote(str(self.folder.absolute()))
        return f"""#!/bin/sh
export {RESULTS}={place}/$SLURM_ARRAY_TASK_ID.done
exec {command} $(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {place}/{BLOCKS})
"""


def read_job(folder: Path) -> Job | None:
    """The job that an earlier process left in `folder`; None where it had not begun to queue it."""
    try:
        record = read_json(folder / JOB)
        return Job(folder, record["inputs"], record["blocks"])
    except (OSError, DamagedError):
        return None


def _forget(job: Job) -> None:
    """Remove the folder of a job that has ended. One that still runs, or of which SLURM says nothing, is resumed later."""
    if slurm.states(job.name) == {}:
        shutil.rmtree(job.folder)


class SlurmEngine:
    """Queues groups of stages. `inputs` gives a hash of all that a stage reads now.

    Once `stopped` is set, jobs are cancelled and waited for; once `abandoned` is, they are not waited for any more.
    """

    def __init__(
        self, config: slurm.SlurmConfig, say: Say, inputs: Callable[[Stage], str], stopped: threading.Event,
        abandoned: threading.Event,
    ) -> None:  # fmt: skip
        self.config, self.say, self.inputs = config, say, inputs
        self.stopped, self.abandoned = stopped, abandoned

    def resume(self, stages: Sequence[Stage], record: Record) -> None:
        """Wait for jobs that an earlier `rectok repro` has left behind; jobs of other inputs are cancelled."""
        for folder in sorted(FOLDER.glob(f"{stages[0].noun}-*")):
            job = read_job(folder)
            left = [stage for stage in stages if job and stage.address in job.inputs]
            if job and any(job.inputs[stage.address] != self.inputs(stage) for stage in left):
                slurm.cancel(job.name)
                self._wait_for_end(job)
            elif job and left:
                self.say(f"{stages[0].noun}: goes on with the SLURM job {job.name} of an earlier run")
                self._follow(job, left, record)
            if not job:
                shutil.rmtree(folder)
            elif left:
                _forget(job)

    def run(self, stages: Sequence[Stage], record: Record) -> Sequence[Stage]:
        """Run `stages`, those that fail again as often as the parameters say; those that ended well."""
        done: list[Stage] = []
        for attempt in range(self.config.retries + 1):
            left = [stage for stage in stages if stage not in done]
            if not left or self.stopped.is_set():
                break
            if attempt:
                self.say(f"{stages[0].noun}: {len(left)} of {len(stages)} failed and are queued again")
            job = self._submit(left)
            done += self._follow(job, left, record)
            _forget(job)
        return done

    def _submit(self, stages: Sequence[Stage]) -> Job:
        first, size = stages[0], ceil(len(stages) / self.config.tasks)
        blocks = [[stage.address for stage in stages[i : i + size]] for i in range(0, len(stages), size)]
        inputs = {stage.address: self.inputs(stage) for stage in stages}
        job = Job(FOLDER / f"{first.noun}-{uuid.uuid4().hex[:8]}", inputs, blocks)
        command = first.command.removesuffix(f" {first.item}")
        options = self.config.gpu if first.pool else self.config.cpu
        try:
            slurm.submit(job.name, job.write(command), job.folder, len(blocks), options)
        except UserError:
            shutil.rmtree(job.folder)  # else the next process would wait for this job
            raise
        self.say(f"{first.noun}: queued as the SLURM job {job.name} with {len(blocks)} tasks for {len(stages)} stages")
        return job

    def _follow(self, job: Job, stages: Sequence[Stage], record: Record) -> Sequence[Stage]:
        """Wait until all tasks have ended, and show the logs of those that failed; the stages that ended well."""
        recorded: list[Stage] = []
        rate, last = Rate(stages[0].noun, len(stages), time.monotonic()), time.monotonic()
        while self._runs(job, rate):
            if time.monotonic() - last > RECORD_EVERY:
                self._record_new(job, stages, recorded, record)
                last = time.monotonic()
        self._record_new(job, stages, recorded, record)
        self._show_logs(job)
        return recorded

    def _record_new(self, job: Job, stages: Sequence[Stage], recorded: list[Stage], record: Record) -> None:
        done = job.done()
        new = [stage for stage in stages if stage.address in done and stage not in recorded]
        if new:
            record(new)
            recorded += new

    def _runs(self, job: Job, rate: Rate) -> bool:
        """Whether a task still waits or runs, after a pause."""
        if self.stopped.is_set():
            slurm.cancel(job.name)
            self._wait_for_end(job)
            return False
        states = slurm.states(job.name)
        words = (
            "SLURM does not answer, " if states is None else "".join(f"{n} {s.lower()}, " for s, n in states.items())
        )
        if text := rate.line(len(job.done()), time.monotonic(), words):
            self.say(text)
        if states == {}:
            return False
        waited = time.monotonic() - rate.began
        self.stopped.wait(min(LONGEST_POLL, FIRST_POLL + waited / 10))
        return True

    def _wait_for_end(self, job: Job) -> None:
        while slurm.states(job.name) != {} and not self.abandoned.wait(FIRST_POLL):
            pass

    def _show_logs(self, job: Job) -> None:
        """The last lines of each task that did not end well."""
        done = job.done()
        failed = [(number, block) for number, block in enumerate(job.blocks) if not done.issuperset(block)]
        for number, block in failed[:LOGS]:
            first = next(address for address in block if address not in done)
            log = job.folder / f"{number}.log"
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
            for line in lines[-LOG_LINES:] or ["SLURM left no log; `sacct` or its own logs may say why"]:
                self.say(f"{first}: {line}")
        if len(failed) > LOGS:
            self.say(f"{len(failed) - LOGS} more tasks failed")

"""Runs groups of stages as jobs of a cluster: the shards of a stage are one job, each task of which runs a block of them."""

import shutil
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from math import ceil
from pathlib import Path

from rectok.artifacts import DATA
from rectok.errors import UserError
from rectok.pipeline.failed_tasks import remember_failure
from rectok.pipeline.graph import Stage
from rectok.pipeline.jobs import Job, Queue, read_job
from rectok.pipeline.rate import Rate
from rectok.pipeline.stage_groups import RECORD_EVERY, Record, Say

FOLDER = DATA / "state"
FIRST_POLL, LONGEST_POLL = 1.0, 15.0
"""Seconds between two questions to the cluster, at first and once a job has run for minutes."""
LATE = 90.0
"""Seconds that results of a task that ended well are waited for; NFS may show new files a minute late."""
LOGS = 3
"""Of how many tasks that failed the log is shown."""


class JobEngine:
    """Queues groups of stages. `inputs` gives a hash of all that a stage reads now.

    Once `stopped` is set, jobs are cancelled and waited for; once `abandoned` is, they are not waited for any more.
    """

    def __init__(
        self, queue: Queue, say: Say, inputs: Callable[[Stage], str], stopped: threading.Event, abandoned: threading.Event
    ) -> None:  # fmt: skip
        self.queue, self.say, self.inputs = queue, say, inputs
        self.stopped, self.abandoned = stopped, abandoned
        self.folder = FOLDER / queue.title.lower()

    def resume(self, stages: Sequence[Stage], record: Record) -> None:
        """Wait for jobs that an earlier `rectok repro` has left behind; jobs of other inputs are cancelled."""
        for folder in sorted(self.folder.glob(f"{stages[0].noun}-*")):
            job = read_job(folder)
            left = [stage for stage in stages if job and stage.address in job.inputs]
            if job and any(job.inputs[stage.address] != self.inputs(stage) for stage in left):
                self._cancel(job)
            elif job and left:
                self.say(f"{stages[0].noun}: goes on with the {self.queue.title} job {job.name} of an earlier run")
                self._follow(job, left, record)
            if not job:
                shutil.rmtree(folder)
            elif left:
                self._forget(job)

    def run(self, stages: Sequence[Stage], record: Record) -> Sequence[Stage]:
        """Run `stages`, those that fail again as often as the queue says; those that ended well."""
        done: list[Stage] = []
        for attempt in range(self.queue.resubmits + 1):
            left = [stage for stage in stages if stage not in done]
            if not left or self.stopped.is_set():
                break
            if attempt:
                self.say(f"{stages[0].noun}: {len(left)} of {len(stages)} failed and are queued again")
            job = self._submit(left)
            done += self._follow(job, left, record)
            self._forget(job)
        return done

    def _submit(self, stages: Sequence[Stage]) -> Job:
        first, size = stages[0], ceil(len(stages) / self.queue.tasks)
        blocks = [[stage.address for stage in stages[i : i + size]] for i in range(0, len(stages), size)]
        inputs = {stage.address: self.inputs(stage) for stage in stages}
        job = Job(self.folder / f"{first.noun}-{uuid.uuid4().hex[:8]}", inputs, blocks)
        job.write()
        try:
            self.queue.submit(job, first.command.removesuffix(f" {first.item}"), bool(first.pool))
        except UserError:
            shutil.rmtree(job.folder)  # else the next process would wait for this job
            raise
        self.say(
            f"{first.noun}: queued as the {self.queue.title} job {job.name} with {len(blocks)} tasks for {len(stages)} stages"
        )
        return job

    def _follow(self, job: Job, stages: Sequence[Stage], record: Record) -> Sequence[Stage]:
        """Wait until all tasks have ended, and show the logs of those that failed; the stages that ended well."""
        recorded: list[Stage] = []
        rate, last = Rate(stages[0].noun, len(stages), time.monotonic()), time.monotonic()
        while self._runs(job, rate):
            if time.monotonic() - last > RECORD_EVERY:
                self._record_new(job, stages, recorded, record)
                last = time.monotonic()
        self._wait_for_results(job, stages)
        self._record_new(job, stages, recorded, record)
        self._show_logs(job)
        self._show_unseen(job, stages)
        return recorded

    def _record_new(self, job: Job, stages: Sequence[Stage], recorded: list[Stage], record: Record) -> None:
        new = [stage for stage in _made(job, stages) if stage not in recorded]
        if new:
            record(new)
            recorded += new

    def _runs(self, job: Job, rate: Rate) -> bool:
        """Whether a task still waits or runs, after a pause."""
        if self.stopped.is_set():
            self._cancel(job)
            return False
        states = self.queue.states(job)
        words = "".join(f"{number} {state}, " for state, number in (states or {}).items())
        if states is None:
            words = f"{self.queue.title} does not answer, "
        if text := rate.line(len(job.done()), time.monotonic(), words):
            self.say(text)
        if states == {}:
            return False
        waited = time.monotonic() - rate.began
        self.stopped.wait(min(LONGEST_POLL, FIRST_POLL + waited / 10))
        return True

    def _cancel(self, job: Job) -> None:
        """End the job and wait for it.

        It is asked for again, since the cluster may not have answered. A job that ends already gets no second signal.
        """
        self.queue.cancel(job)
        while self.queue.states(job) != {} and not self.abandoned.wait(FIRST_POLL):
            self.queue.cancel(job)

    def _wait_for_results(self, job: Job, stages: Sequence[Stage]) -> None:
        """Wait until this machine sees all that tasks have made which ended well."""
        end = time.monotonic() + LATE
        succeeded = {address for task in self.queue.succeeded(job) for address in job.blocks[task]}
        expected = [stage for stage in stages if stage.address in succeeded]
        while len(_made(job, expected)) < len(expected) and time.monotonic() < end:
            if self.stopped.wait(FIRST_POLL):
                return

    def _show_logs(self, job: Job) -> None:
        """The last lines of each task that did not end well, and of those that did after the cluster ran them again."""
        done, again = job.done(), self.queue.failures(job)
        failed = [(task, block) for task, block in enumerate(job.blocks) if task in again or not done.issuperset(block)]
        for task, block in failed[:LOGS]:
            first = next((address for address in block if address not in done), block[0])
            lines = self.queue.log(job, task) or [f"{self.queue.title} left no log"]
            for line in lines:
                self.say(f"{first}: {line}")
            if not self.stopped.is_set():
                remember_failure(first, lines)
        if len(failed) > LOGS:
            self.say(f"{len(failed) - LOGS} more tasks failed")

    def _show_unseen(self, job: Job, stages: Sequence[Stage]) -> None:
        """Say which stages ended well and left nothing here."""
        done, made = job.done(), _made(job, stages)
        for stage in [each for each in stages if each.address in done and each not in made][:LOGS]:
            missing = next(out for out in stage.outs if not Path(out).exists())
            self.say(
                f"{stage.address}: it ended well, but {missing} is not seen here after {LATE:.0f} s; "
                f"does {self.queue.title} write into this folder?"
            )

    def _forget(self, job: Job) -> None:
        """Remove a job that has ended. One that still runs, or of which the cluster says nothing, is resumed later."""
        if self.queue.states(job) == {}:
            self.queue.forget(job)
            shutil.rmtree(job.folder)


def _made(job: Job, stages: Sequence[Stage]) -> Sequence[Stage]:
    """Those of `stages` that have ended well and whose outputs are seen here."""
    done = job.done()
    return [stage for stage in stages if stage.address in done and all(Path(out).exists() for out in stage.outs)]

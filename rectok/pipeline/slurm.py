"""SLURM by its own commands: jobs are known by their names, so that a process that did not see their numbers finds them again."""

import subprocess
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from rectok.errors import UserError
from rectok.pipeline.cluster_config import SlurmConfig
from rectok.pipeline.jobs import Job
from rectok.pipeline.process import child_environment

LOG_LINES = 5
"""Last lines that are shown of the log of a task that failed."""


class Slurm:
    """The cluster of this login node."""

    title = "SLURM"

    def __init__(self, config: SlurmConfig) -> None:
        self.config, self.tasks, self.resubmits = config, config.tasks, config.retries

    def submit(self, job: Job, command: str, accelerator: bool) -> None:
        """Queue `job` as an array. Raises UserError with the words of sbatch.

        A task that is preempted or whose node fails is queued again by SLURM, with the same log.
        """
        options = (
            "--parsable", f"--job-name={job.name}", f"--array=0-{len(job.blocks) - 1}", "--requeue", "--open-mode=append",
            "--kill-on-invalid-dep=yes", f"--output={job.folder}/%a.log",
            *(self.config.gpu if accelerator else self.config.cpu),
        )  # fmt: skip
        done = _run(("sbatch", *options), job.script(command, "SLURM_ARRAY_TASK_ID"))
        if done.returncode:
            raise UserError(
                f"SLURM rejects {job.name}: {done.stderr.strip()}; machine.slurm in params.yaml holds its options"
            )

    def states(self, job: Job) -> Mapping[str, int] | None:
        """States such as running; None while SLURM does not answer, as during its restart."""
        done = _run(("squeue", "--noheader", "--array", f"--name={job.name}", "--format=%T"))
        return None if done.returncode else Counter(done.stdout.lower().split())

    def succeeded(self, job: Job) -> Collection[int]:
        """SLURM forgets tasks some minutes after their end (MinJobAge)."""
        options = ("--noheader", "--array", f"--name={job.name}", "--states=COMPLETED", "--format=%K")
        return [int(task) for task in _run(("squeue", *options)).stdout.split()]

    def failures(self, _job: Job) -> Collection[int]:
        """None: what SLURM runs again by itself was preempted, and goes on in the same log."""
        return ()

    def log(self, job: Job, task: int) -> Sequence[str]:
        """The last lines of the task's file."""
        log = job.folder / f"{task}.log"
        if not log.exists():
            return ["SLURM left no log; `sacct` or its own logs may say why"]
        return log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]

    def cancel(self, job: Job) -> None:
        """SLURM kills processes that have not ended KillWait seconds after SIGTERM."""
        _run(("scancel", f"--name={job.name}"))

    def forget(self, job: Job) -> None:
        """Nothing: SLURM forgets by itself."""


def _run(command: Sequence[str], script: str | None = None) -> subprocess.CompletedProcess[str]:
    # A job gets this environment, but on its node nobody reads what it tells Dagster.
    environment = {name: value for name, value in child_environment().items() if not name.startswith("DAGSTER_PIPES")}
    try:
        return subprocess.run(
            command,
            input=script,
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise UserError(
            f"machine.executor is slurm, but there is no {command[0]} here; run it on a login node"
        ) from None

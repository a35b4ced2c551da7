"""SLURM by its own commands: jobs are known by their names, so that a process that did not see their numbers finds them again."""

import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from rectok.config import Config
from rectok.errors import UserError
from rectok.pipeline.process import child_environment

OURS = ("--job-name", "--array", "--output", "--wrap", "--parsable", "--open-mode", "--requeue", "--no-requeue")
"""Options of sbatch by which jobs are found, divided, logged and queued again."""
OUR_LETTERS = ("-J", "-a", "-o")
"""Short forms of those."""


class SlurmConfig(Config):
    """How `rectok repro` queues stages. `cpu` and `gpu` are options of `sbatch` for stages without and with an accelerator.

    The shards of a stage are one array of at most `tasks` tasks, each of which runs a block of them. What failed is queued again
    `retries` times.
    """

    cpu: tuple[str, ...]
    gpu: tuple[str, ...]
    tasks: int = Field(gt=0, le=1000, description="tasks of one array at most; SLURM's own limit is MaxArraySize")
    retries: int = Field(ge=0, le=100)

    @model_validator(mode="after")
    def _leaves_our_options(self) -> Self:
        for name, options in (("cpu", self.cpu), ("gpu", self.gpu)):
            for option in options:
                if not option.startswith("-") or option.startswith(OUR_LETTERS) or option.partition("=")[0] in OURS:
                    raise ValueError(
                        f"{name} holds {option!r}; it must hold options of sbatch such as --partition=gpu, and none of "
                        f"{', '.join(OURS)}"
                    )
        return self


def submit(name: str, script: str, folder: Path, tasks: int, options: Sequence[str]) -> None:
    """Queue `script` as an array of `tasks` tasks; `folder` gets the log of each. Raises UserError with the words of sbatch.

    A task that is preempted or whose node fails is queued again by SLURM, with the same log.
    """
    command = (
        "sbatch", "--parsable", f"--job-name={name}", f"--array=0-{tasks - 1}", "--requeue", "--open-mode=append",
        "--kill-on-invalid-dep=yes", f"--output={folder}/%a.log", *options,
    )  # fmt: skip
    done = _run(command, script)
    if done.returncode:
        raise UserError(
            f"SLURM does not take {name}: {done.stderr.strip()}; machine.slurm in params.yaml holds its options"
        )


def states(name: str) -> Mapping[str, int] | None:
    """How many tasks of the jobs of that name are in each state, such as RUNNING; empty once all have ended.

    It is None while SLURM does not answer, as during its restart.
    """
    done = _run(("squeue", "--noheader", "--array", f"--name={name}", "--format=%T"))
    return None if done.returncode else Counter(done.stdout.split())


def cancel(name: str) -> None:
    """End all jobs of that name. Their processes get SIGTERM, with which a training writes its checkpoint."""
    _run(("scancel", f"--name={name}"))


def _run(command: Sequence[str], script: str | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            input=script,
            capture_output=True,
            text=True,
            check=False,
            env=child_environment(),
            start_new_session=True,
        )
    except FileNotFoundError:
        raise UserError(
            f"machine.executor is slurm, but there is no {command[0]} here; run it on a login node"
        ) from None

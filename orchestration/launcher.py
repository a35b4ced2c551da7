"""Runs commands for Dagster. Their lines go to the event log as they come. Cancelling the run stops the command."""

import json
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from orchestration.private import build_external_execution_context_data, capture_interrupts
from orchestration.workers import tag_run
from rectok.pipeline import status as changes
from rectok.pipeline.process import DVC, ChildProcess, Finished, is_error, until_free

Context = dg.AssetExecutionContext | dg.OpExecutionContext
OnMessage = Callable[[Mapping[str, Any]], None]
"""Takes one message that a running command sent through Dagster's pipes."""

MAX_NAMED_STAGES = 12
"""Up to this many stages go to `dvc status` by name. Each costs a tenth of the time for the whole pipeline."""
KEPT_LINES, FAILURE_LINES = 1000, 40
"""How many of a command's last lines stay in memory, and how many of them a failure shows."""


def failure(finished: Finished) -> dg.Failure:
    """The failure of a run whose command failed."""
    last = "\n".join(finished.lines[-FAILURE_LINES:])
    return dg.Failure(
        finished.reason,
        metadata={
            "command": " ".join(finished.command),
            "exit code": finished.code,
            "last lines": dg.MetadataValue.md(f"```\n{last}\n```"),
        },
        allow_retries=False,
    )


class Launcher(dg.ConfigurableResource[Any]):
    """Starts commands in the project, each in a process group of its own."""

    root: str = Field(description="the folder that holds dvc.yaml")
    grace_seconds: float = Field(
        default=120.0, gt=0, description="how long a cancelled command may take to write its checkpoint"
    )

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Dagster calls this in the process that works on a run, before the run's first command."""
        if context.instance and context.run:
            tag_run(context.instance, context.run.run_id)

    def repro(self, context: Context, *stages: str, on_message: OnMessage | None = None) -> Finished:
        """Run `rectok repro` for exactly these stages; without `stages`, for the whole pipeline, one stage after the other.

        Shards share processes and are recorded together. Where `machine.executor` names a cluster, they and trainings run there.
        """
        which = ("--single-item", *stages) if stages else ("--jobs", "1")
        return self.run(context, ("rectok", "repro", *which), on_message=on_message)

    def changed_stages(self, context: Context) -> frozenset[str]:
        """All stages that DVC finds changed. Unlike `changed`, it waits for no lock and takes none."""
        finished = self.run(context, (sys.executable, "-P", "-m", changes.__name__), echo=False)
        if finished.code:
            raise failure(finished)
        return frozenset(json.loads(finished.lines[-1]))

    def changed(self, context: Context, *stages: str) -> Mapping[str, Any]:
        """The entries of `dvc status` for these stages. Empty if all are up to date."""
        names = stages if len(stages) <= MAX_NAMED_STAGES else ()
        finished = self.run(context, (*DVC, "status", "--json", *names), echo=False)
        if finished.code:
            raise failure(finished)
        status: Mapping[str, Any] = json.loads(next(line for line in finished.lines if line.startswith("{")))
        return {stage: reasons for stage, reasons in status.items() if stage in stages}

    def run(
        self, context: Context, command: Sequence[str], echo: bool = True, on_message: OnMessage | None = None
    ) -> Finished:
        """Run `command` to its end, again and again while another DVC process holds one of its files."""
        command_line = " ".join(command)

        def wait(pause: float) -> bool:
            reason = f"another DVC process holds a file that {command_line} needs"
            context.log.info(f"{reason}; trying again in {pause:.0f} s")
            time.sleep(pause)
            return True

        return until_free(lambda: self._once(context, command, echo, on_message), wait)

    def _once(self, context: Context, command: Sequence[str], echo: bool, on_message: OnMessage | None) -> Finished:
        with _pipes(context) as session:
            child = ChildProcess(command, Path(self.root), session.get_bootstrap_env_vars())
            try:
                lines = _log_lines(context, child, echo, session, on_message)
            except BaseException:
                grace = f"it has {self.grace_seconds:.0f} s to write its checkpoint"
                context.log.warning(f"stopping {' '.join(command)}: {grace}")
                with capture_interrupts():
                    last = child.stop(self.grace_seconds)
                for line in last:
                    context.log.info(line)
                raise
        return Finished(command, child.code, lines)


def _log_lines(
    context: Context, child: ChildProcess, echo: bool, session: dg.PipesSession, on_message: OnMessage | None
) -> list[str]:
    """Log the command's lines as they come, and pass on the messages that came through the pipes meanwhile."""
    lines: deque[str] = deque(maxlen=KEPT_LINES)
    passed_on = 0
    for line in child.lines():
        lines.append(line)
        if on_message:
            messages = session.get_custom_messages()
            for message in messages[passed_on:]:
                on_message(message)
            passed_on = len(messages)
        if echo and is_error(line):
            context.log.error(line)
        elif echo:
            context.log.info(line)
    return list(lines)


def single_op_job(operation: dg.OpDefinition, name: str, description: str) -> dg.JobDefinition:
    """The job that runs this one operation."""
    return dg.GraphDefinition(name, node_defs=[operation]).to_job(description=description)


@contextmanager
def without_dagster_warnings() -> Iterator[None]:
    """Silences warnings about Dagster's beta and preview features and about what its own functions deprecate."""
    with warnings.catch_warnings():
        for category in (dg.BetaWarning, dg.PreviewWarning, DeprecationWarning):
            warnings.simplefilter("ignore", category)
        yield


@contextmanager
def _pipes(context: Context) -> Iterator[dg.PipesSession]:
    """`dagster.open_pipes_session` without its warning that a command reported nothing. Most commands do not report."""
    injector, reader = dg.PipesTempFileContextInjector(), dg.PipesTempFileMessageReader()
    with without_dagster_warnings():
        data = build_external_execution_context_data(context, None)
        handler = dg.PipesMessageHandler(context, reader)
    with injector.inject_context(data) as context_params, handler.handle_messages() as message_params:
        yield dg.PipesSession(data, handler, context_params, message_params, context)

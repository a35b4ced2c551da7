"""Runs commands for Dagster: their lines reach the event log as they come, and cancelling the run stops the work itself."""

import json
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster import (
    AssetExecutionContext,
    BetaWarning,
    ConfigurableResource,
    Failure,
    MetadataValue,
    OpExecutionContext,
    PipesMessageHandler,
    PipesSession,
    PipesTempFileContextInjector,
    PipesTempFileMessageReader,
    PreviewWarning,
)
from pydantic import Field

from orchestration.private import build_external_execution_context_data, capture_interrupts
from rectok.pipeline.process import DVC, ChildProcess, Finished, until_free

Context = AssetExecutionContext | OpExecutionContext
Told = Callable[[Mapping[str, Any]], None]
"""Takes what a command reports through the pipes, while it runs."""

MANY = 12
"""Stages that DVC is asked for by name; each takes it as long as a tenth of the whole pipeline."""
KEPT_LINES, LAST_LINES = 1000, 40
"""How many of a command's last lines are kept in memory, and how many of them a failure shows."""


def failure(finished: Finished) -> Failure:
    """What a run of Dagster says of a command that failed."""
    last = "\n".join(finished.lines[-LAST_LINES:])
    return Failure(
        finished.reason,
        metadata={
            "command": " ".join(finished.command),
            "exit code": finished.code,
            "last lines": MetadataValue.md(f"```\n{last}\n```"),
        },
        allow_retries=False,
    )


class Launcher(ConfigurableResource[Any]):
    """Starts commands in the project, each in a process group of its own."""

    root: str = Field(description="the folder that holds dvc.yaml")
    grace_seconds: float = Field(
        default=120.0, gt=0, description="how long a cancelled command may take to write its checkpoint"
    )

    def repro(self, context: Context, *stages: str, told: Told | None = None) -> Finished:
        """Bring exactly these stages up to date, in this order; all of them, with what they need, where none is named."""
        single = ("--single-item", *stages) if stages else ()
        return self.run(context, (*DVC, "repro", *single), told=told)

    def changed(self, context: Context, *stages: str) -> Mapping[str, Any]:
        """What `dvc status` says of these stages: an empty mapping where all of them are up to date."""
        named = stages if len(stages) <= MANY else ()
        finished = self.run(context, (*DVC, "status", "--json", *named), echo=False)
        if finished.code:
            raise failure(finished)
        status: Mapping[str, Any] = json.loads(next(line for line in finished.lines if line.startswith("{")))
        return {stage: why for stage, why in status.items() if stage in stages}

    def run(self, context: Context, command: Sequence[str], echo: bool = True, told: Told | None = None) -> Finished:
        """Run `command` to its end; once more, and again, as long as another DVC process holds one of its files."""
        command_line = " ".join(command)

        def wait(pause: float) -> bool:
            context.log.info(
                f"another DVC process holds a file that {command_line} needs; trying again in {pause:.0f} s"
            )
            time.sleep(pause)
            return True

        return until_free(lambda: self._once(context, command, echo, told), wait)

    def _once(self, context: Context, command: Sequence[str], echo: bool, told: Told | None) -> Finished:
        with _pipes(context) as session:
            child = ChildProcess(command, Path(self.root), session.get_bootstrap_env_vars())
            news = _News(session, told)
            try:
                lines = _logged(context, child, echo, news)
            except BaseException:
                context.log.warning(
                    f"stopping {' '.join(command)}: it has {self.grace_seconds:.0f} s to write its checkpoint"
                )
                with capture_interrupts():
                    last = child.stop(self.grace_seconds)
                for line in last:
                    context.log.info(line)
                raise
        return Finished(command, child.code, lines)


class _News:
    """Hands on what has come through the pipes since the last look."""

    def __init__(self, session: PipesSession, told: Told | None) -> None:
        self.session, self.told, self.seen = session, told, 0

    def look(self) -> None:
        """Hand on what is new."""
        if self.told:
            messages = self.session.get_custom_messages()
            for message in messages[self.seen :]:
                self.told(message)
            self.seen = len(messages)


def _logged(context: Context, child: ChildProcess, echo: bool, news: _News) -> list[str]:
    lines: deque[str] = deque(maxlen=KEPT_LINES)
    for line in child.lines():
        lines.append(line)
        news.look()
        if echo and line.startswith(("ERROR", "rectok: ")):
            context.log.error(line)
        elif echo:
            context.log.info(line)
    return list(lines)


@contextmanager
def without_dagster_warnings() -> Iterator[None]:
    """Silences the warnings about Dagster's beta and preview features: links to code, checks with partitions, pipes."""
    with warnings.catch_warnings():
        for category in (BetaWarning, PreviewWarning):
            warnings.simplefilter("ignore", category)
        yield


@contextmanager
def _pipes(context: Context) -> Iterator[PipesSession]:
    """`dagster.open_pipes_session`, without its warning when a command reports nothing: most of ours have no reason to."""
    injector, reader = PipesTempFileContextInjector(), PipesTempFileMessageReader()
    with without_dagster_warnings():
        data = build_external_execution_context_data(context, None)
        handler = PipesMessageHandler(context, reader)
    with injector.inject_context(data) as context_params, handler.handle_messages() as message_params:
        yield PipesSession(data, handler, context_params, message_params, context)

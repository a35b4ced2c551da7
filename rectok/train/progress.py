"""Progress of a long training: a live bar in a terminal, plain lines elsewhere, and the orchestrator's log."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_EVERY = 5.0
"""Seconds between two plain lines."""


class Reporter(Protocol):
    """Takes the state of a run now and then."""

    def report(self, step: int, figures: dict[str, float], images_per_second: float) -> None:
        """Show `figures` after `step`."""


class Bar:
    """A live bar for a person."""

    def __init__(self, progress: Progress, name: str, start: int, steps: int) -> None:
        self.progress = progress
        self.task = progress.add_task(name, total=steps, completed=start, figures="")

    def report(self, step: int, figures: dict[str, float], images_per_second: float) -> None:
        """Move the bar."""
        text = f"{images_per_second:.0f} images/s  {_text(figures)}"
        self.progress.update(self.task, completed=step, figures=text)


class Lines:
    """Plain lines for a log, at most one every few seconds, in the orchestrator's log too where one is listening."""

    def __init__(self, name: str, start: int, steps: int) -> None:
        self.name, self.start, self.steps = name, start, steps
        self.began = time.monotonic()
        self.spoke = -PLAIN_EVERY

    def report(self, step: int, figures: dict[str, float], images_per_second: float) -> None:
        """Print a line if the last one is old enough or the run is over."""
        now = time.monotonic()
        if now - self.spoke < PLAIN_EVERY and step < self.steps:
            return
        self.spoke = now
        left = (now - self.began) / max(1, step - self.start) * (self.steps - step)
        eta = timedelta(seconds=round(left))
        print(
            f"{self.name} step {step}/{self.steps}  {images_per_second:.0f} images/s  ETA {eta}  {_text(figures)}",
            flush=True,
        )


class Piped:
    """Lines, and the same figures as a structured message to Dagster through its pipes."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines

    def report(self, step: int, figures: dict[str, float], images_per_second: float) -> None:
        """Print, and tell the orchestrator."""
        from dagster_pipes import PipesContext

        self.lines.report(step, figures, images_per_second)
        payload = {
            "stage": self.lines.name,
            "step": step,
            "steps": self.lines.steps,
            "images_per_second": images_per_second,
        }
        PipesContext.get().report_custom_message({**payload, **figures})


@contextmanager
def reporting(name: str, start: int, steps: int, first: bool) -> Iterator[Reporter | None]:
    """The reporter that fits where this process runs; None in all processes but the first."""
    if not first:
        yield None
    elif "DAGSTER_PIPES_CONTEXT" in os.environ:
        from dagster_pipes import open_dagster_pipes

        with open_dagster_pipes():
            yield Piped(Lines(name, start, steps))
    elif sys.stdout.isatty():
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns, TextColumn("{task.fields[figures]}")) as progress:
            yield Bar(progress, name, start, steps)
    else:
        yield Lines(name, start, steps)


def _text(figures: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in figures.items() if name != "lr")

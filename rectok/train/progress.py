"""Progress of a long training: a live bar in a terminal, plain lines elsewhere, and the orchestrator's log."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_EVERY = 5.0
"""Seconds between two plain lines."""


class Reporter(Protocol):
    """Takes the state of a run now and then."""

    def report(self, step: int, figures: dict[str, float], images_per_second: float) -> None:
        """Show `figures` after `step`."""

    def show(self, picture: Path) -> None:
        """Say that there is a new `picture` of what the network makes now."""


class Bar:
    """A live bar for a person."""

    def __init__(self, progress: Progress, name: str, start: int, steps: int) -> None:
        self.progress = progress
        self.task = progress.add_task(name, total=steps, completed=start, figures="")

    def report(self, step: int, figures: dict[str, float], images_per_second: float) -> None:
        """Move the bar."""
        text = f"{images_per_second:.0f} images/s  {_text(figures)}"
        self.progress.update(self.task, completed=step, figures=text)

    def show(self, picture: Path) -> None:
        """Name the picture above the bar."""
        self.progress.console.print(f"newest picture in {picture}")


class Lines:
    """Plain lines for a log, at most one every few seconds."""

    def __init__(self, name: str, start: int, steps: int) -> None:
        self.name, self.start, self.steps = name, start, steps
        self.began = time.monotonic()
        self.spoke = -PLAIN_EVERY

    def report(self, step: int, figures: dict[str, float], images_per_second: float) -> None:
        """Print a line if one is due."""
        if self.due(step):
            self.spoke = time.monotonic()
            eta = timedelta(seconds=round(self.left(step)))
            print(
                f"{self.name} step {step}/{self.steps}  {images_per_second:.0f} images/s  ETA {eta}  {_text(figures)}",
                flush=True,
            )

    def show(self, picture: Path) -> None:
        """Name the picture."""
        print(f"{self.name}: newest picture in {picture}", flush=True)

    def due(self, step: int) -> bool:
        """Whether the last line is old enough, or the run over."""
        return time.monotonic() - self.spoke >= PLAIN_EVERY or step >= self.steps

    def left(self, step: int) -> float:
        """Seconds until the end, at the speed so far."""
        return (time.monotonic() - self.began) / max(1, step - self.start) * (self.steps - step)


class Piped:
    """Lines, and the same figures as a structured message to Dagster through its pipes."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines

    def report(self, step: int, figures: dict[str, float], images_per_second: float) -> None:
        """Print, and tell the orchestrator."""
        if self.lines.due(step):
            self.tell(
                {
                    "step": step,
                    "steps": self.lines.steps,
                    "images_per_second": images_per_second,
                    "seconds_left": self.lines.left(step),
                    "figures": figures,
                }
            )
            self.lines.report(step, figures, images_per_second)

    def show(self, picture: Path) -> None:
        """Print, and tell the orchestrator where the picture is."""
        self.tell({"picture": picture.as_posix()})
        self.lines.show(picture)

    def tell(self, message: dict[str, object]) -> None:
        """Send a message, which says what stage it is about. The orchestrator reads messages when it reads a line."""
        from dagster_pipes import PipesContext

        PipesContext.get().report_custom_message({"stage": self.lines.name, **message})


@contextmanager
def reporting(name: str, start: int, steps: int, first: bool) -> Iterator[Reporter | None]:
    """The reporter that fits where this process runs; None in all processes but the first. Says where a run goes on."""
    if first and start:
        print(f"{name} goes on at step {start} of {steps}", flush=True)
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

"""Progress of a long training: a live bar in a terminal, plain lines elsewhere, and the orchestrator's log."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_EVERY = 5.0
"""Seconds between two plain lines."""


class Bar:
    """A live bar for a person."""

    def __init__(self, progress: Progress, name: str, start: int, steps: int) -> None:
        self.progress = progress
        self.task = progress.add_task(name, total=steps, completed=start, figures="")

    def report(self, step: int, figures: dict[str, float], images_per_second: float | None) -> None:
        """Move the bar."""
        text = f"{_rate(images_per_second)}{_text(figures)}"
        self.progress.update(self.task, completed=step, figures=text)

    def show(self, picture: Path) -> None:
        """Name the picture above the bar."""
        self.progress.console.print(f"newest picture in {picture}")


class Lines:
    """Plain lines for a log, at most one every few seconds. `send` takes each as a structured message too."""

    def __init__(
        self,
        name: str,
        start: int,
        steps: int,
        send: Callable[[dict[str, object]], None] = lambda message: None,
        unit: str = "step",
    ) -> None:
        self.name, self.start, self.steps, self.send, self.unit = name, start, steps, send, unit
        self.began = time.monotonic()
        self.spoke = -PLAIN_EVERY

    def report(self, step: int, figures: dict[str, float], images_per_second: float | None) -> None:
        """Print a line if the last is old enough, or the run over."""
        now = time.monotonic()
        if now - self.spoke < PLAIN_EVERY and step < self.steps:
            return
        self.spoke, speed = now, images_per_second
        left = (now - self.began) / max(1, step - self.start) * (self.steps - step)  # at the speed so far
        numbers = {"step": step, "steps": self.steps, "images_per_second": speed, "seconds_left": left}
        self.send({"stage": self.name, **numbers, "figures": figures})
        eta = timedelta(seconds=round(left))
        place = f"{self.name} {self.unit} {step}/{self.steps}"
        print(f"{place}  {_rate(speed)}ETA {eta}  {_text(figures)}".rstrip(), flush=True)

    def show(self, picture: Path) -> None:
        """Name the picture."""
        self.send({"stage": self.name, "picture": picture.as_posix()})
        print(f"{self.name}: newest picture in {picture}", flush=True)


Reporter = Bar | Lines
"""Takes the state of a run now and then, and the path of a new picture of what the network makes now."""


@contextmanager
def reporting(name: str, start: int, steps: int, first: bool, unit: str = "step") -> Iterator[Reporter | None]:
    """The reporter that fits where this process runs; None in all processes but the first. Says where a run goes on.

    `unit` is what `steps` count.
    """
    if first and start:
        print(f"{name} goes on at step {start} of {steps}", flush=True)
    if not first:
        yield None
    elif "DAGSTER_PIPES_CONTEXT" in os.environ:
        from dagster_pipes import open_dagster_pipes

        with open_dagster_pipes() as pipes:  # Dagster reads messages when it reads a line
            yield Lines(name, start, steps, pipes.report_custom_message, unit)
    elif sys.stdout.isatty():
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns, TextColumn("{task.fields[figures]}")) as progress:
            yield Bar(progress, name, start, steps)
    else:
        yield Lines(name, start, steps, unit=unit)


def _rate(images_per_second: float | None) -> str:
    """Images per second; nothing before they are known. A slow rate has two digits, so that it is never 0."""
    if images_per_second is None:
        return ""
    return f"{images_per_second:.0f} images/s  " if images_per_second >= 10 else f"{images_per_second:.2g} images/s  "


def _text(figures: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in figures.items() if name != "lr")

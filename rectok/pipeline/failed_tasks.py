"""Tasks that failed on this machine or on a cluster, with the last lines of their logs. The report shows them.

They are no output of the pipeline: stages run again until they succeed, so no result follows from them.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from rectok.artifacts import failed_tasks_file
from rectok.errors import DamagedError
from rectok.json_records import parse_json

SHOWN = 20
LAST_LINES = 20


@dataclass(frozen=True)
class FailedTask:
    """The stage at which a task failed, by its address, the time in UTC, and the last lines of its log."""

    stage: str
    time: str
    lines: tuple[str, ...]


def remember_failure(stage: str, lines: Sequence[str]) -> None:
    """Append a task that failed now at `stage` to the file. A full disk does not end the run for it."""
    task = FailedTask(stage, f"{datetime.now(UTC):%Y-%m-%d %H:%M}", tuple(lines[-LAST_LINES:]))
    path = failed_tasks_file()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", errors="replace") as file:  # several processes may append
            file.write(f"{json.dumps(asdict(task))}\n")


def failed_tasks() -> list[FailedTask]:
    """The last tasks that failed, oldest first, without lines that a kill cut off."""
    path = failed_tasks_file()
    lines = path.read_bytes().splitlines()[-SHOWN:] if path.exists() else []
    tasks = []
    for line in lines:
        with suppress(DamagedError, TypeError):
            record = parse_json(line, path.as_posix())
            tasks.append(FailedTask(record["stage"], record["time"], tuple(record["lines"])))
    return tasks

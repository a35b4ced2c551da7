"""Copies of a training's newest checkpoint in a folder or bucket, made beside the training: a slow bucket holds no process."""

import re
import time
from contextlib import suppress
from pathlib import Path
from threading import Condition, Thread

from rectok.errors import UserError
from rectok.storage.folder import publish_folder
from rectok.storage.objects import below, is_remote, list_files, remove_below

STEP = re.compile(r"step-(\d{9})")
"""The name of a checkpoint."""
POLL = 0.2
"""Seconds between two looks of the other processes at whether the first one still copies."""


class Copies:
    """The copies at `place`. While one is made, and the newest one waits for it, the file `marker` lies there.

    There is one thread: of several checkpoints that come while one is copied, only the newest is copied next.
    """

    def __init__(self, place: str, marker: Path) -> None:
        self.place, self.marker = place, marker
        self.now: Path | None = None
        """The checkpoint that is read, and must stay for that long."""
        self._next: Path | None = None
        self._took_one = False
        self._error: UserError | OSError | None = None
        self._changed = Condition()

    def start(self, whole: Path) -> None:
        """Copy the checkpoint `whole`, then drop older copies. Raises what an earlier copy raised: see `close`."""
        self._raise()
        with self._changed:
            self._next = whole
            self.marker.touch()
            if self.now is None:
                self.now = whole
                Thread(target=self._work, daemon=True).start()

    def close(self) -> None:
        """Wait until nothing is copied any more.

        A place that never took a copy stops the training: raises UserError or OSError. One that fails later does not, since
        what is on this machine is whole.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.now is None)
        self._raise()

    def wait(self) -> None:
        """Wait as `close` does, in a process that copies nothing itself; no collective, which would have a timeout."""
        while self.marker.exists():
            time.sleep(POLL)

    def steps(self) -> set[str]:
        """Names of the checkpoints that have a copy, whole or not."""
        if not is_remote(self.place) and not Path(self.place).exists():
            return set()
        names = {file.name.partition("/")[0] for file in list_files(self.place)}
        return {name for name in names if STEP.fullmatch(name)}

    def _work(self) -> None:
        while whole := self._take():
            try:
                self._copy(whole)
                self._took_one = True
            except (UserError, OSError) as error:  # the latter of a network mount
                self._failed(whole, error)

    def _take(self) -> Path | None:
        with self._changed:
            self.now, self._next = self._next, None
            if self.now is None:
                with suppress(FileNotFoundError):
                    self.marker.unlink()
                self._changed.notify_all()
            return self.now

    def _copy(self, whole: Path) -> None:
        publish_folder(whole, below(self.place, whole.name))
        for step in self.steps() - {whole.name}:
            remove_below(below(self.place, step))

    def _failed(self, whole: Path, error: UserError | OSError) -> None:
        if self._took_one:
            print(f"warning: {whole.name} has no copy, which the next checkpoint tries again: {error}", flush=True)
        else:
            self._error = error

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error:
            raise error

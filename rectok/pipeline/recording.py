"""What `dvc repro` does around a command, for many stages at a time: dvc.lock is written once for all of them.

DVC itself reads and writes the whole of dvc.lock for every stage (https://github.com/treeverse/dvc/issues/10629).
"""

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Any

from rectok.errors import UserError
from rectok.files import version_of, write_text
from rectok.pipeline.graph import Stage, address
from rectok.pipeline.lock import LOCK_FILE, spliced

MANY = 16
"""Paths of one folder up to which each is held by itself."""
NAMED = 3
"""Stages that a message names."""


class Held(Exception):
    """Another DVC process holds a file that a stage needs; the message is DVC's."""


@dataclass(frozen=True)
class Prepared:
    """Stages that must run, and the others: those that have not changed and those that came out of the run cache."""

    to_run: Sequence[Stage]
    unchanged: Sequence[Stage]
    restored: Sequence[Stage]


@dataclass(eq=False)
class _Hold:
    """The paths that a group of stages holds, and DVC's locks that hold them."""

    paths: set[str]
    locks: list[Any]


class Recorder:
    """Records stages as DVC does. `repo` is an opened project that waits for DVC's lock. Threads may share a recorder."""

    def __init__(self, repo: Any) -> None:
        self._repo = repo
        self._entries = {address(entry): entry for entry in repo.index.stages}
        self._inputs: dict[str, str] = {}
        self._holds: list[_Hold] = []
        self._one_at_a_time = Lock()
        for entry in self._entries.values():
            for dep in entry.params:  # DVC would parse the whole file six times for each stage
                dep.read_params = partial(self._params_of, dep)
        self._read_params: Callable[..., dict[str, Any]] = lru_cache(maxsize=64)(_read_params)

    @contextmanager
    def holding(self, stages: Iterable[Stage]) -> Iterator[None]:
        """Hold what `stages` read and write against other DVC processes. Raises Held where one has it.

        DVC compares each path with each that is held, which takes a minute for a thousand shards; then their folder is held.
        """
        from dvc.lock import LockError
        from dvc.rwlock import rwlock

        repo = self._repo
        entries = [self._entries[stage.address] for stage in stages]
        reads, writes = (
            _held_paths(each) for each in (chain(*(e.deps for e in entries)), chain(*(e.outs for e in entries)))
        )
        hard, command = repo.config["core"].get("hardlink_lock", False), " ".join(sys.argv)
        with self._one_at_a_time:
            files = rwlock(repo.tmp_dir, repo.fs, command, reads, writes, hard)
            try:
                files.__enter__()
            except LockError as error:
                raise Held(str(error)) from None
            self._holds.append(hold := _Hold({*reads, *writes}, [files]))
        try:
            yield
        finally:
            with self._one_at_a_time:
                self._let_go(hold)

    def _let_go(self, hold: "_Hold") -> None:
        """Release what a group holds. DVC knows holders by process, so what another group holds, too, passes on to that one."""
        self._holds.remove(hold)
        if heir := next((other for other in self._holds if other.paths & hold.paths), None):
            heir.paths |= hold.paths
            heir.locks += hold.locks
        else:
            for files in hold.locks:
                files.__exit__(None, None, None)

    def begin(self, stages: Iterable[Stage]) -> None:
        """Keep in mind what `stages` read now. `record` refuses those that read something else when they have ended."""
        for stage in stages:
            self._inputs[stage.address] = self.inputs(stage)

    def prepare(self, stages: Sequence[Stage]) -> Prepared:
        """Remove old outputs, as before a run. Results that the run cache has are put in place and recorded."""
        from dvc.stage.cache import RunCacheNotFoundError

        to_run, unchanged, restored = [], [], []
        with self._recording():
            for stage in stages:
                entry = self._entries[stage.address]
                if not _changed(entry):
                    unchanged.append(stage)
                    continue
                self._inputs[stage.address] = _inputs(entry)
                for out in entry.outs:
                    out.remove(ignore_remove=False)
                try:
                    self._repo.stage_cache.restore(entry)
                    restored.append(stage)
                except RunCacheNotFoundError:
                    to_run.append(stage)
            recorded = self._record(restored)
        to_run += [stage for stage in restored if stage not in recorded]
        return Prepared(to_run, unchanged, recorded)

    def record(self, stages: Sequence[Stage]) -> None:
        """Hash what `stages` read and made, move it into the cache, and write it all into dvc.lock at once.

        Raises UserError where a parameter or an input is no longer the one with which a stage began; the others are recorded.
        """
        with self._recording():
            recorded = self._record(stages)
        if changed := [stage.address for stage in stages if stage not in recorded]:
            raise UserError(
                f"parameters or inputs changed while {', '.join(changed[:NAMED])}{' …' if len(changed) > NAMED else ''} ran, "
                "so what it made is not recorded; run it again"
            )

    def inputs(self, stage: Stage) -> str:
        """A hash of the command and of all that the stage reads now: other results may follow from other inputs."""
        with self._one_at_a_time:
            return _inputs(self._entries[stage.address])

    def _params_of(self, dep: Any, **_options: Any) -> dict[str, Any]:
        path = Path(dep.fs_path)
        return self._read_params(type(dep), dep.repo, path, version_of(path), tuple(dep.params))

    def _record(self, stages: Sequence[Stage]) -> Sequence[Stage]:
        """The stages that were recorded: those that still read what they read when they began."""
        recorded = [stage for stage in stages if _saved(self._entries[stage.address], self._inputs[stage.address])]
        entries = [self._entries[stage.address] for stage in recorded]
        for entry in entries:
            for out in entry.outs:
                out.commit()
            entry.cmd_changed = False
        if entries:
            self._write(entries)
        return recorded

    def _write(self, entries: Sequence[Any]) -> None:
        path = Path(self._repo.root_dir, LOCK_FILE)
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        text = spliced(before, dict(map(_entry_text, entries)))
        if text is None:
            entries[0].dvcfile.dump_stages(entries, update_pipeline=False)
        elif text != before:
            write_text(path, text)
            self._repo.scm_context.track_file(LOCK_FILE.name)

    @contextmanager
    def _recording(self) -> Iterator[None]:
        """Inside, no other thread and no other DVC process records."""
        from dvc.exceptions import DvcException

        try:
            with self._one_at_a_time, self._repo.lock, self._repo.scm_context(quiet=True):
                yield
        except DvcException as error:
            raise UserError(f"DVC cannot record what was made: {error}") from error


def recordable(repo: Any, stages: Iterable[Stage]) -> frozenset[str]:
    """The addresses of those of `stages` that a recorder can record: their files are local, and DVC caches their outputs.

    Their command is exactly `rectok`, the noun and the item, since a project may declare other commands.
    """
    entries = {address(entry): entry for entry in repo.index.stages}
    ours = (stage for stage in stages if stage.command == command_of(stage))
    return frozenset(stage.address for stage in ours if _plain(entries[stage.address]))


def command_of(stage: Stage) -> str:
    """The command of a stage or gate: `rectok dit`, `rectok shards 00000`, `rectok gate shards 00000`."""
    return " ".join(["rectok", *stage.noun.split("-", 1), *([stage.item] if stage.item else [])])


def _inputs(entry: Any) -> str:
    return _digest(entry, {dep.def_path: str(dep.get_hash().value) if dep.exists else "" for dep in entry.deps})


def _digest(entry: Any, values: Mapping[str, str]) -> str:
    return hashlib.sha256(f"{entry.cmd} {sorted(values.items())}".encode()).hexdigest()


def _saved(entry: Any, inputs: str) -> bool:
    """Hash what a stage read and made. Where its inputs are not `inputs`, nothing is kept, nor does the run cache learn of it."""
    if _inputs(entry) != inputs:
        return False
    before = [(each, each.hash_info, each.meta) for each in (*entry.deps, *entry.outs)]
    entry.save(run_cache=False)
    if _digest(entry, {dep.def_path: str(dep.hash_info.value) for dep in entry.deps}) == inputs:
        entry.repo.stage_cache.save(entry)
        return True
    for each, hash_info, meta in before:  # they changed while they were read
        each.hash_info, each.meta = hash_info, meta
    return False


def _plain(entry: Any) -> bool:
    local = all(each.protocol == "local" and each.is_in_repo for each in (*entry.deps, *entry.outs))
    kept = any(out.persist or not out.use_cache or out.metric or out.plot for out in entry.outs)
    return local and not kept and not entry.frozen and not entry.always_changed and entry.wdir == entry.repo.root_dir


def _read_params(kind: Any, repo: Any, path: Path, _version: tuple[int, ...], names: tuple[str, ...]) -> dict[str, Any]:
    """Values of the parameters `names`, read by a dependency of DVC's class `kind`."""
    return dict(kind(None, str(path), list(names), repo).read_params())


def _changed(entry: Any) -> bool:
    """As `dvc repro` decides it, without its locks."""
    return entry.changed_stage() or any(each.changed() for each in (*entry.deps, *entry.outs))


def _held_paths(entries: Iterable[Any]) -> list[str]:
    """What to hold of DVC's dependencies or outputs `entries`: their paths, or the folder of many that lie in one."""
    siblings: dict[str, set[str]] = {}
    for entry in entries:
        siblings.setdefault(str(Path(entry.fs_path).parent), set()).add(entry.fs_path)
    return [path for folder, paths in siblings.items() for path in (sorted(paths) if len(paths) <= MANY else [folder])]


def _entry_text(entry: Any) -> tuple[str, str]:
    """The entry of dvc.lock, in the words of DVC's own writer; its key is the line that begins it."""
    from dvc.stage.serialize import to_lockfile
    from dvc.utils.serialize import dumps_yaml

    text = str(dumps_yaml({"stages": to_lockfile(entry)})).partition("\n")[2]
    return text.partition("\n")[0], text

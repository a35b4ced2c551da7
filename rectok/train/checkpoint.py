"""Resumable checkpoints: folders that appear whole or not at all, with hashes, and hold everything that the next step needs."""

import errno
import resource
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from rectok.errors import DamagedError, UserError
from rectok.files import REFUSALS, refusal, sync
from rectok.storage.folder import damaged_file, fetch_folder, is_whole, write_list
from rectok.storage.objects import below, remove_below
from rectok.train.copies import STEP, Copies
from rectok.train.ema import EMA
from rectok.train.meter import Meter
from rectok.train.resharding import kind, load_resharded, merged_averages, saved_kind
from rectok.train.safe_loading import load_weights_only
from rectok.train.world import World

TAG = "state"
"""The folder of each engine's files."""
FAILED_WRITE = ("PytorchStreamWriter", "iostream error", "unexpected pos")
"""How torch.save words a write that the system refused; it does not pass on why."""


def _torch_refusal(error: Exception) -> tuple[str, str] | None:
    """The same as `refusal` for torch's own words: the disk is full, unless files are limited."""
    if not any(words in str(error) for words in FAILED_WRITE):
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return REFUSALS[errno.ENOSPC if limit == resource.RLIM_INFINITY else errno.EFBIG]


@dataclass
class State:
    """ALL resumable state of a training: engines carry weights, optimizers and schedules; `rows` is the log so far.

    The data position and every random draw follow from `step`, the seed and `skipped`: for each rollback the step that it went
    back to, and the one where it began.
    """

    engines: Mapping[str, Any]
    ema: EMA
    meter: Meter
    step: int
    rows: list[dict[str, float]]
    skipped: list[list[int]] = field(default_factory=list)


class Checkpoints:
    """The checkpoints of one training below `folder`; those of another fingerprint of parameters and inputs are removed.

    The newest two are kept, the older one in case the newer is damaged. `location`, a folder or s3:// prefix, gets a copy of
    the newest in the background, from which a machine that has none goes on.
    """

    def __init__(self, folder: Path, fingerprint: str, world: World, location: str = "") -> None:
        self.folder = folder / fingerprint
        place = below(location, f"{folder.name}/{fingerprint}") if location else ""
        self.snapshots = self.folder / "snapshots"
        """Averages that outlive the checkpoints, until the training has ended."""
        self.copies = Copies(place, self.folder / "copying") if location else None
        self.world = world
        if world.first:
            for other in folder.glob("*"):
                if other != self.folder:
                    shutil.rmtree(other)
                    if location:
                        remove_below(below(location, f"{folder.name}/{other.name}"))
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "copying").unlink(missing_ok=True)  # of a process that was killed
        world.barrier()

    def latest(self) -> Path | None:
        """The newest checkpoint."""
        return max(self._here(), default=None)

    def save(self, state: State) -> None:
        """Write a checkpoint beside the last one; older ones are dropped first. Raises UserError for a full disk."""
        whole = self.folder / f"step-{state.step:09d}"
        partial = self.folder / "partial"
        try:
            self._write(state, partial)
        except (OSError, RuntimeError) as error:
            shutil.rmtree(partial, ignore_errors=True)
            if reason := refusal(error) or _torch_refusal(error):
                raise UserError(
                    f"{reason[0]} while writing checkpoint {whole}; the one before it is kept, {reason[1]} and "
                    "run the command again"
                ) from error
            raise
        if self.world.first:
            self._publish(partial, whole)
        self.world.barrier()

    def close(self) -> None:
        """Wait until the newest checkpoint has its copy. Raises UserError or OSError where the place never took one."""
        if self.copies and self.world.first:
            self.copies.close()
        elif self.copies:
            self.copies.wait()

    def _write(self, state: State, partial: Path) -> None:
        if self.world.first:
            for old in sorted(self._here())[:-1]:  # first, so that there are never more than two on the disk
                if self.copies is None or old != self.copies.now:  # one that is still copied is a third
                    shutil.rmtree(old)
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
        self.world.barrier()
        for name, engine in state.engines.items():
            engine.save_checkpoint(str(partial / name), tag=TAG)
        mine = {
            "ema": state.ema.state_dict(),
            "meter": state.meter.state_dict(),
            "step": state.step,
            "rows": state.rows,
            "skipped": state.skipped,
            "rng": torch.get_rng_state(),
        }
        torch.save(mine, partial / f"rank-{self.world.rank}.pt")
        self.world.barrier()

    def _publish(self, partial: Path, whole: Path) -> None:
        write_list(partial)
        for path in partial.rglob("*"):
            sync(path)
        shutil.rmtree(whole, ignore_errors=True)
        partial.replace(whole)
        sync(self.folder)
        if self.copies:
            self.copies.start(whole)

    def _here(self) -> list[Path]:
        """All checkpoints on this machine."""
        return [path for path in self.folder.glob("step-*") if STEP.fullmatch(path.name)]

    def _go_back_to_whole(self) -> None:
        """Leave the newest whole checkpoint as the latest one here, fetched where it is a copy; remove damaged ones after it.

        Raises UserError if there are checkpoints, but all are damaged.
        """
        here, damage, place = {path.name for path in self._here()}, [], self.copies.place if self.copies else ""
        copied = self.copies.steps() if self.copies else set()
        for step in sorted(here | copied, reverse=True):
            folder = self.folder / step
            if step in here:
                name = damaged_file(folder)
                if name is None:
                    break
                damage.append(f"checkpoint {folder} is damaged in {name}")
            if step in copied and is_whole(below(place, step)):
                try:
                    fetch_folder(below(place, step), folder)
                    break
                except DamagedError as error:
                    damage.append(f"the copy of checkpoint {step} is damaged: {error}")
        else:
            if damage:
                raise UserError(f"{damage[0]}; no other one is whole, so remove {self.folder} to start over")
            return
        for sentence in damage:
            print(f"warning: {sentence}; training goes on from {step}", flush=True)
        for path in self._here():
            if path.name > step:
                shutil.rmtree(path)

    def restore(self, state: State) -> bool:
        """Fill `state` from the newest whole checkpoint, whatever number of processes wrote it; False if there is none.

        Raises UserError where a checkpoint is damaged or holds what does not belong there.
        """
        if self.world.first:
            self._go_back_to_whole()
        self.world.barrier()
        path = self.latest()
        if path is None:
            return False
        ranks = len(list(path.glob("rank-*.pt")))
        # The kind of an adversary follows from that of the model.
        before, now = saved_kind(path / "model" / TAG), kind(state.engines["model"])
        try:
            if (ranks, before) == (self.world.size, now):
                self._fill(state, path)
            else:
                self._fill_resharded(state, path, ranks)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, LookupError, TypeError, ValueError, AttributeError, AssertionError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"checkpoint {path} does not fit this training ({reason}); remove it to start over"
            ) from error
        return True

    def _fill(self, state: State, path: Path) -> None:
        for name, engine in state.engines.items():
            self._load(engine, path, name)
        mine = load_weights_only(path / f"rank-{self.world.rank}.pt", self.world.device)
        state.ema.load_state_dict(mine["ema"])
        state.meter.load_state_dict(mine["meter"])
        state.step, state.rows, state.skipped = mine["step"], mine["rows"], mine["skipped"]
        torch.set_rng_state(mine["rng"].cpu())

    def _load(self, engine: Any, path: Path, name: str) -> None:
        loaded, _ = engine.load_checkpoint(str(path / name), tag=TAG)
        if loaded is None:
            raise UserError(f"checkpoint {path / name} is not whole; remove {path} to start over")

    def _fill_resharded(self, state: State, path: Path, ranks: int) -> None:
        """The same from `ranks` processes, or another kind of ZeRO."""
        if self.world.first:
            writers = f"{ranks} process{'es' if ranks > 1 else ''}"
            print(
                f"{state.meter.name}: {path.name} is of {writers}, training goes on with {self.world.size}", flush=True
            )
        before = saved_kind(path / "model" / TAG)
        for name, engine in state.engines.items():
            if before == kind(engine) == 0:  # nothing was divided, and nothing is
                self._load(engine, path, name)
            else:
                load_resharded(engine, path / name / TAG, self.world.rank, self.world.size)
        files = [load_weights_only(path / f"rank-{rank}.pt", "cpu", mmap=True) for rank in range(ranks)]
        averages = {name: [file["ema"][name] for file in files] for name in state.ema.state_dict()}
        merged = {name: merged_averages(of, before == 3, state.ema, self.world.rank) for name, of in averages.items()}
        state.ema.load_state_dict(merged)
        state.meter.load_state_dicts([file["meter"] for file in files])
        state.step, state.rows, state.skipped = (files[0][name] for name in ("step", "rows", "skipped"))
        torch.set_rng_state(files[0]["rng"])

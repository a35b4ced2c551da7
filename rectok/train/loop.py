"""The training loop, the same for every network."""

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from rectok.data.loader import TrainingLoader
from rectok.errors import UserError
from rectok.train.checkpoint import Checkpoints, State
from rectok.train.learner import Learner
from rectok.train.meter import Meter, NotFinite
from rectok.train.objectives import Objective
from rectok.train.optimizer import ClippingAdamW
from rectok.train.progress import Reporter, reporting
from rectok.train.throughput import RATE, TimedBatches, Work, record
from rectok.train.training_config import TrainingConfig
from rectok.train.world import World

VALIDATIONS = 8
"""Points of the validation curve of one training, about; each falls on a row of the log."""
PREVIEW_EVERY = 30.0
"""Seconds between two pictures of a running training, at least; they are drawn at checkpoints."""


@dataclass(frozen=True)
class Job:
    """One training: what is trained, on which data, for how long, and where its resumable state lies.

    `validate` measures the average of the weights on held-out data, by names for the log; it draws no global random number.
    `preview` draws what the network makes now and returns the picture's path. `track` takes each row of the log. A `stop_file`
    that exists asks to stop as a signal does; it is None where a signal reaches every process. `flops` are those of one image
    in a step, if they were counted.
    """

    name: str
    objective: Objective
    loader: TrainingLoader
    config: TrainingConfig
    seed: int
    world: World
    checkpoints: Checkpoints
    validate: Callable[[], dict[str, float]] | None = None
    preview: Callable[[], Path] | None = None
    stop_file: Path | None = None
    track: Callable[[Mapping[str, float]], None] | None = None
    flops: float | None = None

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training."""
        return self.config.steps(len(self.loader.dataset))

    @property
    def validate_every(self) -> int:
        """Steps between two validations, a multiple of those between two rows of the log."""
        return self.config.log_every * max(1, round(self.steps / (VALIDATIONS * self.config.log_every)))


class Stopped(UserError):
    """The run was asked to stop and has written its checkpoint."""


def train(job: Job) -> State:
    """Train to the end, from the newest checkpoint on; the last state. Raises Stopped when asked to stop, UserError on NaN."""
    config, world, steps = job.config, job.world, job.steps

    # Engines and everything that can be resumed.
    learner = Learner(job.objective, config, steps, job.seed, world)
    state = State(learner.engines, learner.ema, Meter(job.name, world), 0, [])
    job.checkpoints.restore(state)

    learner.engine.train()
    with (
        closing(job.checkpoints),
        _stop_on_signals(job.stop_file) as stop_requested,
        closing(job.loader.iterate(state.step, steps)) as loaded,  # workers start before the display has a thread
        reporting(job.name, state.step, steps, world.first) as reporter,
    ):
        previews, logged, then = _Previews(job.preview), None, time.monotonic()
        batches, work = TimedBatches(loaded), Work(job.flops, config.precision, world.size, world.device)
        while state.step < steps:
            with world.watched("the exchange of gradients", state.step):
                learner.step(state.step, batches, state.meter)
            state.step += 1

            # Log, then checkpoint; a checkpoint follows finite losses and weights, so that a bad step is never kept.
            last = state.step == steps
            checkpoint_due = state.step % config.checkpoint_every == 0
            stop = (world.size == 1 or state.step % config.log_every == 0) and world.any(stop_requested())
            if state.step % config.log_every == 0 or last:
                now = time.monotonic()  # the first rate is unknown, since those steps compile and start workers
                speed: dict[str, float] = {}
                if logged is not None:
                    speed = work.figures((state.step - logged) * config.batch, now - then, batches.waited)
                figures = state.meter.read()
                if job.validate and (last or state.step % job.validate_every == 0):
                    with _averaged(learner):
                        figures |= job.validate()
                _log(job, state, figures, speed, reporter)
                logged, then = state.step, now
                batches.restart()
            if checkpoint_due or stop or last:
                learner.rest()
                state.meter.check()
                if world.any(not state.ema.finite()):
                    raise NotFinite(job.name, "average of the weights", state.step)
                job.checkpoints.save(state)
            if stop and not last:
                place = f"{job.name} stopped at step {state.step} of {steps}"
                raise Stopped(f"{place} after its checkpoint; run it again to go on")
            if checkpoint_due and not last and reporter:
                previews.show(learner, reporter)
    return state


def _log(job: Job, state: State, figures: dict[str, float], speed: dict[str, float], reporter: Reporter | None) -> None:
    engine = state.engines["model"]
    lr = engine.optimizer.param_groups[0]["lr"]
    clipping = engine.optimizer if isinstance(engine.optimizer, ClippingAdamW) else None
    norm = clipping.norm if clipping else engine.get_global_grad_norm()  # of the last step before clipping
    if norm is not None:
        figures["grad_norm"] = float(norm)
    images = state.step * job.config.batch
    state.rows.append({"step": state.step, "images": images, "lr": lr, **figures})
    if job.track:
        job.track(state.rows[-1] | speed)
    if reporter:
        record(job.name, state.step, speed)
        others = {name: value for name, value in speed.items() if name != RATE}
        reporter.report(state.step, {"lr": lr, **figures, **others}, speed.get(RATE))


class _Previews:
    """Pictures made by the average of the weights, now and then; they change nothing that is learnt."""

    def __init__(self, draw: Callable[[], Path] | None) -> None:
        self.draw = draw
        self.drawn = time.monotonic()

    def show(self, learner: Learner, reporter: Reporter) -> None:
        """Draw one if the last is old enough."""
        if self.draw is None or time.monotonic() - self.drawn < PREVIEW_EVERY:
            return
        with _averaged(learner):
            reporter.show(self.draw())
        self.drawn = time.monotonic()


@contextmanager
def _averaged(learner: Learner) -> Iterator[None]:
    """Inside, the network holds the average of its weights and does not learn."""
    learner.engine.eval()
    learner.rest()
    # Compiled blocks would be compiled anew for the few images of a picture, which takes longer than drawing it.
    with torch.no_grad(), torch.compiler.set_stance("force_eager"), learner.ema.swapped():
        yield
    learner.engine.train()


@contextmanager
def _stop_on_signals(file: Path | None) -> Iterator[Callable[[], bool]]:
    """Turn SIGINT and SIGTERM into a request that the loop reads between two steps; `file` is one too once it exists."""
    received: list[int] = []
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda number, _: received.append(number)) for number in signals}
    try:
        yield lambda: bool(received) or (file is not None and file.exists())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

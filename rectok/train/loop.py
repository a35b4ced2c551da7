"""The training loop, the same for every network."""

import signal
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from rectok.artifacts import RATE
from rectok.data.loader import Batch, TrainingLoader
from rectok.errors import UserError
from rectok.nn.weights import save_weights
from rectok.train.checkpoint import Checkpoints, State
from rectok.train.ema import full_weights
from rectok.train.learner import Learner
from rectok.train.meter import Meter, NotFinite
from rectok.train.optimizer import ClippingAdamW
from rectok.train.power_average import snapshot_steps
from rectok.train.progress import Reporter, reporting
from rectok.train.rollback import Spike, go_back, require_calm, skipped_steps
from rectok.train.throughput import TimedBatches, Work, record

VALIDATIONS = 8
"""Points of the validation curve of one training, about; each falls on a row of the log."""
PREVIEW_EVERY = 30.0
"""Seconds between two pictures of a running training, at least; they are drawn at checkpoints."""


@dataclass(frozen=True)
class Callbacks:
    """What watches a training. None of it changes what is learnt.

    `validate` measures the average of the weights on held-out data, by names for the log; it draws no global random number.
    `evaluate` measures its samples at every `evaluate_every`-th step and in the last one. All processes call it, and the first
    one gets the numbers. `preview` draws what the network makes now and returns the picture's path. `track` takes each row of the
    log. `flops` are those of one image in a step, if they were counted.
    """

    validate: Callable[[], dict[str, float]] | None = None
    evaluate: Callable[[], dict[str, float]] | None = None
    evaluate_every: int = 1
    preview: Callable[[], Path] | None = None
    track: Callable[[Mapping[str, float]], None] | None = None
    flops: float | None = None


@dataclass(frozen=True)
class Job:
    """One training: what learns, from which data, and where its resumable state lies.

    `snapshots` of the learner's further averages are kept. A `stop_file` that exists asks to stop as a signal does; it is None
    where a signal reaches every process.
    """

    name: str
    learner: Learner
    loader: TrainingLoader
    checkpoints: Checkpoints
    callbacks: Callbacks
    snapshots: int
    stop_file: Path | None


class Stopped(UserError):
    """The run was asked to stop and has written its checkpoint."""


def train(job: Job) -> State:
    """Train to the end, from the newest checkpoint on; the last state. Raises Stopped when asked to stop, UserError on NaN."""
    learner, rollback = job.learner, job.learner.config.rollback
    state = State(learner.engines, learner.ema, Meter(job.name, learner.world), 0, [])
    if not job.checkpoints.restore(state) and rollback.times:
        job.checkpoints.save(state)  # a place to go back to
    learner.skipped = skipped_steps(state.skipped)

    learner.engine.train()
    with closing(job.checkpoints), _stop_on_signals(job.stop_file) as stop_requested:
        batches = _batches(job, state)  # workers start before the display has a thread
        with reporting(job.name, state.step, learner.steps, learner.world.first) as reporter:
            while True:
                try:
                    with closing(batches):
                        _train_on(job, state, batches, stop_requested, reporter)
                    return state
                except (NotFinite, Spike) as error:
                    go_back(error, state, learner, job.checkpoints, rollback)
                batches = _batches(job, state)


def _batches(job: Job, state: State) -> Generator[Batch]:
    """What is left to train on."""
    skipped = job.learner.skipped
    return job.loader.iterate(state.step + skipped, job.learner.steps + skipped)


def _train_on(
    job: Job,
    state: State,
    loaded: Iterator[Batch],
    stop_requested: Callable[[], bool],
    reporter: Reporter | None,
) -> None:
    """Train `state` to the end. Raises NotFinite or Spike where the loss goes wrong, in all processes."""
    learner, callbacks = job.learner, job.callbacks
    config, world, steps = learner.config, learner.world, learner.steps
    snapshots, validate_every = snapshot_steps(steps, job.snapshots), config.on_rows(steps / VALIDATIONS)
    previews, logged, then = _Previews(callbacks.preview), None, time.monotonic()
    newest: dict[str, float] = {}  # evaluation, which every report repeats, since some of them are left out
    batches, work = TimedBatches(loaded), Work(callbacks.flops, config.precision, world.size, world.device)
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
            require_calm(job.name, state, figures, config.rollback)
            if callbacks.validate and (last or state.step % validate_every == 0):
                with _averaged(learner):
                    figures |= callbacks.validate()
            if callbacks.evaluate and (last or state.step % callbacks.evaluate_every == 0):
                with _averaged(learner):
                    newest = callbacks.evaluate()
                figures |= newest
            _log(job, state, figures, speed, reporter, newest)
            logged, then = state.step, now
            batches.restart()
        if state.step in snapshots:  # before a checkpoint of the same step, so that none is missing after it
            _save_snapshots(job, state.step)
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


def _save_snapshots(job: Job, step: int) -> None:
    """Keep the averages of all lengths beside the checkpoints. A step that is repeated writes the same again."""
    learner = job.learner
    learner.rest()
    for length, averages in learner.ema.powers.items():
        with learner.ema.swapped(averages):
            weights = full_weights(learner.objective.network)
        if learner.world.first:
            save_weights(job.checkpoints.snapshots / f"{step}-{length}.safetensors", weights)


def _log(
    job: Job,
    state: State,
    figures: dict[str, float],
    speed: dict[str, float],
    reporter: Reporter | None,
    newest: Mapping[str, float],
) -> None:
    engine = state.engines["model"]
    lr = engine.optimizer.param_groups[0]["lr"]
    clipping = engine.optimizer if isinstance(engine.optimizer, ClippingAdamW) else None
    norm = clipping.norm if clipping else engine.get_global_grad_norm()  # of the last step before clipping
    if norm is not None:
        figures["grad_norm"] = float(norm)
    if state.skipped:
        figures["rollbacks"] = len(state.skipped)
    images = state.step * job.learner.config.batch
    state.rows.append({"step": state.step, "images": images, "lr": lr, **figures})
    if job.callbacks.track:
        job.callbacks.track(state.rows[-1] | speed)
    if reporter:
        record(job.name, state.step, speed)
        others = {name: value for name, value in speed.items() if name != RATE}
        reporter.report(state.step, {"lr": lr, **figures, **newest, **others}, speed.get(RATE))


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

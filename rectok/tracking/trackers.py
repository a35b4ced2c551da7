"""TensorBoard, Weights & Biases and MLflow behind one interface. All stages of the same parameters are one run.

The libraries are extras of the package and are imported when they are needed.
"""

import hashlib
import importlib.util
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from rectok.artifacts import DATA, LOG_COUNTERS, metrics_file, read_json, stage_dir, summary_file
from rectok.config import Config
from rectok.errors import UserError
from rectok.tracking.tracking_config import TrackingConfig

FOLDER = DATA / "tracking"
NO_RESULT = {"machine", "storage", "tracking", "gates", "nightly"}
"""Sections of the parameters that do not tell runs apart."""
ID_DIGITS = 8
MLFLOW_LIMITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
"""Unless the environment says otherwise: MLflow's own values hold up a training for many minutes."""

Track = Callable[[Mapping[str, float]], None]


class Tracker(Protocol):
    """A place for the numbers and pictures of one stage."""

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """Values by name at a step. A step may come again after a resume."""

    def picture(self, path: Path, step: int) -> None:
        """A PNG file."""

    def close(self) -> None:
        """Nothing more will come."""


class TensorBoard:
    """Event files of one stage. With a `first_step`, those of an interrupted training do not count from there on."""

    def __init__(self, run: str, stage: str, first_step: int | None) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(FOLDER / "tensorboard" / run / stage), purge_step=first_step)

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """One scalar for each value."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def picture(self, path: Path, step: int) -> None:
        """An image under the name of its file."""
        import numpy as np
        from PIL import Image

        with Image.open(path) as image:
            self.writer.add_image(path.stem, np.asarray(image.convert("RGB")), step, dataformats="HWC")

    def close(self) -> None:
        """Close the file."""
        self.writer.close()


class WandB:
    """A run of Weights & Biases. Each stage has a step of its own, since W&B drops what goes back in the run's only one."""

    def __init__(self, run: str, stage: str, _: int | None) -> None:
        import wandb

        FOLDER.mkdir(parents=True, exist_ok=True)
        settings = wandb.Settings(silent=True, console="off")
        project = run.rpartition("-")[0]
        self.stage, self.image = stage, wandb.Image
        self.run = wandb.init(project=project, id=run, name=run, resume="allow", dir=str(FOLDER), settings=settings)
        self.run.define_metric(f"{stage}/step")
        self.run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """The values behind the stage's name."""
        named = {f"{self.stage}/{name}": value for name, value in values.items()}
        self.run.log({**named, f"{self.stage}/step": step})

    def picture(self, path: Path, step: int) -> None:
        """An image behind the stage's name."""
        self.run.log({f"{self.stage}/{path.stem}": self.image(str(path)), f"{self.stage}/step": step})

    def close(self) -> None:
        """Send or write the rest."""
        self.run.finish()


class MLflow:
    """A run on an MLflow server or in a store."""

    def __init__(self, uri: str, run: str, stage: str, _: int | None) -> None:
        from mlflow.tracking import MlflowClient

        for name, value in MLFLOW_LIMITS.items():
            os.environ.setdefault(name, value)
        self.stage, self.client = stage, MlflowClient(uri)
        experiment = run.rpartition("-")[0]
        existing = self.client.get_experiment_by_name(experiment)
        number = existing.experiment_id if existing else self.client.create_experiment(experiment)
        runs = self.client.search_runs([number], filter_string=f"tags.rectok = '{run}'", max_results=1)
        self.run = (runs[0] if runs else self.client.create_run(number, run_name=run, tags={"rectok": run})).info.run_id

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """The values behind the stage's name. MLflow allows no @ in names."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        names = {name: f"{self.stage}/{name.replace('@', '_at_')}" for name in values}
        self.client.log_batch(
            self.run, metrics=[Metric(names[name], value, now, step) for name, value in values.items()]
        )

    def picture(self, path: Path, _: int) -> None:
        """An artifact in the stage's folder."""
        self.client.log_artifact(self.run, str(path), self.stage)

    def close(self) -> None:
        """Later stages go on with the run."""
        self.client.update_run(self.run, status="FINISHED")


def run_name(params: Config) -> str:
    """The project and a hash of all parameters that can change a result, which name a run.

    W&B refuses some characters in names, and MLflow's search ends at a quote, so only letters, digits, _ and - are left.
    """
    text, project = params.model_dump_json(exclude=NO_RESULT), re.sub(r"[^A-Za-z0-9_-]+", "-", Path.cwd().name)
    return f"{project}-{hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS]}"


def require_packages(config: TrackingConfig) -> None:
    """Raise UserError if a tracker that is on has no package here: before the work, and not after it."""
    for name, on in (("tensorboard", config.tensorboard), ("wandb", config.wandb), ("mlflow", bool(config.mlflow))):
        if on and importlib.util.find_spec(name) is None:
            raise _missing(name)


def _missing(name: str, reason: str = "") -> UserError:
    return UserError(
        f"tracking.{name} needs a package that is missing{reason}; `pip install 'rectok[{name}]'` brings it"
    )


@contextmanager
def tracked_training(config: TrackingConfig, params: Config, stage: str) -> Iterator[Track | None]:
    """What takes each row of the stage's log; None where nothing is tracked. It begins with the first row after a resume.

    A tracker that cannot begin ends a new training with UserError. A resumed one has work to lose and goes on without it.
    """
    trackers: list[Tracker] = []
    opened = False
    first_row = getattr(params, stage).training.log_every

    def track(row: Mapping[str, float]) -> None:
        nonlocal opened
        step = int(row["step"])
        if not opened:
            opened = True
            for tracker in _open(config, run_name(params), stage, step, required=step <= first_row):
                trackers.append(tracker)
        values = {name: value for name, value in row.items() if name == "lr" or name not in LOG_COUNTERS}
        _each(trackers, lambda tracker: tracker.numbers(values, step))

    try:
        yield track if config.on else None
    finally:
        _each(trackers, lambda tracker: tracker.close())


def track_results(config: TrackingConfig, params: Config, stage: str) -> None:
    """Send what a finished `stage` measured, and its pictures."""
    pictures = sorted(stage_dir(stage).glob("*.png"))
    metrics = read_json(metrics_file(stage)) if metrics_file(stage).exists() else {}
    summary = read_json(summary_file(stage)) if summary_file(stage).exists() else {}
    if not (pictures or metrics):
        return
    step = int(summary.get("steps", 0))
    trackers = list(_open(config, run_name(params), stage, None, required=False))
    if metrics:
        _each(trackers, lambda tracker: tracker.numbers(metrics, step))
    for path in pictures:
        _each(trackers, lambda tracker, path=path: tracker.picture(path, step))  # type: ignore[misc]
    _each(trackers, lambda tracker: tracker.close())


def _open(config: TrackingConfig, run: str, stage: str, first_step: int | None, required: bool) -> Iterator[Tracker]:
    """The trackers that are on. One that cannot begin is a UserError if it is `required`, else a warning."""
    makers: dict[str, Callable[[], Tracker]] = {}
    if config.tensorboard:
        makers["tensorboard"] = lambda: TensorBoard(run, stage, first_step)
    if config.wandb:
        makers["wandb"] = lambda: WandB(run, stage, first_step)
    if config.mlflow:
        makers["mlflow"] = lambda: MLflow(config.mlflow, run, stage, first_step)
    for name, make in makers.items():
        try:
            yield _begun(name, make)
        except UserError as error:
            if required:
                raise
            print(f"warning: {error}; {stage} goes on without it, and data/ has all that it makes", flush=True)


def _begun(name: str, make: Callable[[], Tracker]) -> Tracker:
    try:
        return make()
    except ImportError as error:
        raise _missing(name, f" ({error})") from None
    except Exception as error:  # each library raises errors of its own
        raise UserError(f"tracking.{name} cannot begin: {_first_line(error)}") from error


def _each(trackers: list[Tracker], act: Callable[[Tracker], None]) -> None:
    """Call `act` for each tracker. One that fails ends with a warning, and the training goes on."""
    for tracker in list(trackers):
        try:
            act(tracker)
        except Exception as error:
            print(f"warning: {type(tracker).__name__} gets no more of this stage: {_first_line(error)}", flush=True)
            trackers.remove(tracker)
            with suppress(Exception):
                tracker.close()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

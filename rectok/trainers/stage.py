"""What every training stage shares: its processes, its seed, its resumable state, and the files that it leaves."""

import csv
import io
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from rectok import artifacts
from rectok.artifacts import LOG_COUNTERS
from rectok.data.loader import BatchDataset, Order, TrainingLoader
from rectok.files import write_text
from rectok.nn.counting import FORWARD_AND_BACKWARD, products
from rectok.nn.weights import read_weights, save_weights
from rectok.params import Params
from rectok.params.schema import DecoderParams, DiTParams, GeneratorParams, TokenizerParams
from rectok.seeds import seed_of
from rectok.storage.hashing import fingerprint, sha256_file
from rectok.storage.objects import below, remove_below, verified
from rectok.storage.storage_config import WeightsFile
from rectok.tracking.trackers import tracked_training
from rectok.train.checkpoint import Checkpoints, State
from rectok.train.ema import full_weights
from rectok.train.learner import Learner
from rectok.train.loop import Callbacks, Job, train
from rectok.train.objectives import Network, Objective
from rectok.train.training_config import too_few
from rectok.train.world import compiles, graphs, join

Row = dict[str, float]
ALWAYS = (*LOG_COUNTERS, "total")
"""Columns that every log has."""


@dataclass(frozen=True)
class Evaluation:
    """What measures a network while it trains, how many epochs lie between, and what a summary says of the log's rows."""

    measure: Callable[[], dict[str, float]]
    epochs: float
    summarise: Callable[[Sequence[Row], int], dict[str, Any]]


class TrainingStage:
    """One run of the training stage `name` in this process, which joins the process group.

    Inside the context, call `train` or `take`, then `finish`. A context that ends without an error removes the resumable
    state of the training.
    """

    def __init__(self, name: str, params: Params) -> None:
        self.name, self.params = name, params
        self.section: TokenizerParams | DecoderParams | DiTParams = getattr(params, name)
        self.config = self.section.training
        self.folder = artifacts.stage_dir(name)
        self.world = join(params.machine)
        self.summary: dict[str, Any] = {}

    def __enter__(self) -> Self:
        torch.manual_seed(seed_of(self.params.seed, self.name))
        return self

    def __exit__(
        self, error: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is None and self.world.first:
            remove_state(self.name, self.params)

    def train(
        self,
        objective: Objective,
        dataset: BatchDataset,
        inputs: Sequence[str],
        preview: Callable[[], Path],
        validate: Callable[[], dict[str, float]],
        image_flops: Callable[[], float],
        evaluate: Evaluation | None = None,
    ) -> None:
        """Train the network of `objective` on `dataset`, then write its weights (EMA and raw), config, params and log.

        It resumes only a run of the same parameters on the same outputs of the stages `inputs`. `preview` draws what the
        network makes now, and `validate` measures it for the log. The first process calls them, but not under ZeRO 3, where
        no process can run a network alone. `image_flops` counts those of one image in a step. All processes call `evaluate`.
        """
        steps = self.config.steps(len(dataset))
        if self.world.first and (sentence := too_few(self.name, steps)):
            print(f"warning: {sentence}", flush=True)
        checkpoints, loader, alone = self._checkpoints(inputs), self._loader(dataset), self.config.zero_stage < 3
        stop = artifacts.stop_file(self.name) if self.params.machine.hostfile else None
        snapshots, lengths = self._averages()
        with tracked_training(self.params.tracking, self.params, self.name) as track:
            callbacks = Callbacks(
                validate=validate if alone and self.world.first else None,
                evaluate=evaluate.measure if evaluate else None,
                evaluate_every=self._steps_of(evaluate, len(dataset)),
                preview=preview if alone else None,
                track=track if self.world.first else None,
                flops=self._counted(image_flops),
            )
            learner = self._learner(objective, steps, lengths)
            trained = train(Job(self.name, learner, loader, checkpoints, callbacks, snapshots, stop))
        self._keep(objective.network, trained, checkpoints.snapshots)
        if evaluate is not None and self.world.first:
            self.summary["evaluation"] = evaluate.summarise(trained.rows, len(dataset))

    def _learner(self, objective: Objective, steps: int, lengths: Sequence[float]) -> Learner:
        """`objective` with its optimizer and averages of `lengths`; compiled, and in CUDA graphs, where that pays."""
        machine, network = self.params.machine, objective.network
        step_flops = FORWARD_AND_BACKWARD * products(network, network.config.tokens) * self.config.batch
        if compiles(machine, step_flops * steps):
            objective.compile_parts()
        seed, graphed = self.params.seed, graphs(machine, step_flops)
        return Learner(objective, self.config, steps, seed, self.world, lengths, graphed)

    def _averages(self) -> tuple[int, Sequence[float]]:
        """How many snapshots of further averages are kept, and the averages' lengths σ_rel; none where none is asked for."""
        if not isinstance(self.section, GeneratorParams) or not self.section.posthoc_ema.snapshots:
            return 0, ()
        return self.section.posthoc_ema.snapshots, self.section.posthoc_ema.lengths

    def _keep(self, network: Network, trained: State, snapshots: Path) -> None:
        """Write the weights of a trained `network`, raw and averaged, with all that lies beside them; begin the summary."""
        raw = full_weights(network)
        with trained.ema.swapped():
            ema = full_weights(network)
        if not self.world.first:
            return
        save_weights(artifacts.raw_file(self.name), raw)
        shutil.rmtree(artifacts.snapshots_dir(self.name), ignore_errors=True)  # of an earlier training
        if snapshots.exists():
            shutil.copytree(snapshots, artifacts.snapshots_dir(self.name))
        self._save(network, ema, trained.rows)
        trainable = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
        self.summary |= summarised(trained, *({name: of[name] for name in trainable} for of in (raw, ema)))

    def take(self, network: Network, source: str) -> None:
        """Write what `train` writes for a `network` that holds the weights of `source` and is not trained: an empty log."""
        if not self.world.first:
            return
        self._save(network, network.state_dict(), [])
        parameters = sum(parameter.numel() for parameter in network.parameters())
        self.summary |= {"trained": False, "source": source, "steps": 0, "images": 0, "parameters": parameters}

    def finish(self, measure: Callable[[], dict[str, Any]]) -> None:
        """Write the summary, with what `measure` finds about the weights just written. Only the first process does it."""
        if self.world.first:
            digest = sha256_file(artifacts.weights_file(self.name))
            artifacts.write_json(artifacts.summary_file(self.name), {**self.summary, "sha256": digest, **measure()})

    def _counted(self, image_flops: Callable[[], float]) -> float | None:
        """They are not counted on a CPU, where it would take longer than some trainings."""
        if self.world.device.type == "cpu":
            return None
        with torch.random.fork_rng(devices=[]):
            return image_flops()

    def _steps_of(self, evaluation: Evaluation | None, images: int) -> int:
        """Steps between two evaluations, which fall on rows of the log."""
        return self.config.on_rows(evaluation.epochs * images / self.config.batch) if evaluation else 1

    def _loader(self, dataset: BatchDataset) -> TrainingLoader:
        order = Order(len(dataset), self.params.seed, flip=self.params.image.flip)
        rank, size, workers = self.world.rank, self.world.size, self.params.machine.workers
        return TrainingLoader(dataset, order, self.config.batch, self.config.micro_batch, rank, size, workers)

    def _checkpoints(self, inputs: Sequence[str]) -> Checkpoints:
        salt = f"{self.params.seed} {self.params.image.model_dump_json()} {self.section.model_dump_json()}"
        key = fingerprint(map(artifacts.stage_dir, inputs), salt=salt)
        return Checkpoints(artifacts.state_dir(self.name), key, self.world, self.params.storage.checkpoints)

    def _save(self, network: Network, weights: Mapping[str, Tensor], rows: Sequence[Row]) -> None:
        save_weights(artifacts.weights_file(self.name), weights)
        artifacts.write_json(artifacts.config_file(self.name), network.config.model_dump())
        artifacts.write_json(artifacts.params_file(self.name), self.section.model_dump())
        write_log(artifacts.log_file(self.name), rows)


def initial_weights(file: WeightsFile) -> dict[str, Tensor] | None:
    """The tensors to start from, by our names; None where no file is given."""
    if not file.path:
        return None
    with verified(file.path, file.sha256) as path:
        return read_weights(path, file.path)


def remove_state(stage: str, params: Params) -> None:
    """Remove the resumable state of a finished training and its copies, but not the copies of other runs."""
    if params.storage.checkpoints:
        for state in artifacts.state_dir(stage).glob("*"):
            remove_below(below(params.storage.checkpoints, f"{stage}/{state.name}"))
    shutil.rmtree(artifacts.state_dir(stage), ignore_errors=True)
    artifacts.newest_picture(stage).unlink(missing_ok=True)


def summarised(trained: State, raw: dict[str, Tensor], ema: dict[str, Tensor]) -> dict[str, Any]:
    """What a summary says of a training that ended with the weights `raw` and their average `ema`."""
    last, rollbacks = trained.rows[-1], [{"from": failed, "to": step} for step, failed in trained.skipped]
    return {
        **({"rollbacks": rollbacks} if rollbacks else {}),
        "trained": True,
        "steps": int(last["step"]),
        "images": int(last["images"]),
        "parameters": sum(tensor.numel() for tensor in raw.values()),
        "final_loss": last["total"],
        "loss_ratio": loss_ratio(trained.rows),
        "ema_distance": relative_distance(ema, raw),
    }


def relative_distance(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    """‖a − b‖ / ‖b‖ over all tensors, in float64."""
    difference = sum((a[name].double() - b[name].double()).square().sum() for name in a)
    size = sum(b[name].double().square().sum() for name in b)
    return float(torch.as_tensor(difference / size).sqrt())


def write_log(path: Path, rows: Sequence[Row]) -> None:
    """One CSV row per logged step; a figure that began later is empty before. Without rows only the header is left."""
    names = list(dict.fromkeys(name for row in rows for name in row)) or list(ALWAYS)
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: f"{value:.8g}" for name, value in row.items()} for row in rows)
    write_text(path, text.getvalue())


def loss_ratio(rows: Sequence[Row], name: str = "total") -> float:
    """Mean of the last tenth of the log over the mean of the first tenth."""
    tenth = max(1, len(rows) // 10)
    first = sum(row[name] for row in rows[:tenth]) / tenth
    last = sum(row[name] for row in rows[-tenth:]) / tenth
    return last / first

"""What the four training stages share: their job, and the files they leave."""

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rectok import artifacts
from rectok.config import Config
from rectok.data.loader import BatchDataset, Order, TrainingLoader
from rectok.nn.blocks import compile_blocks
from rectok.nn.weights import read_weights, save_weights
from rectok.params import Params
from rectok.storage import below, remove_below
from rectok.storage.hashing import fingerprint, sha256_file
from rectok.storage.objects import verified
from rectok.storage.storage_config import WeightsFile
from rectok.train.adversary import Adversary
from rectok.train.checkpoint import Checkpoints
from rectok.train.config import TrainingConfig
from rectok.train.loop import Job, Trained, train
from rectok.train.outputs import Row, averaged_weights, full_weights, loss_ratio, relative_distance, write_log
from rectok.train.world import World


def fit(
    stage: str,
    params: Params,
    section: Config,
    objective: nn.Module,
    loader: TrainingLoader,
    inputs: Iterable[Path],
    world: World,
    preview: Callable[[], Path],
    adversary: Adversary | None = None,
) -> Trained:
    """Train `objective` as parameter section `section` says, resuming only a run of the same section and inputs.

    `preview` draws what is being trained; not under ZeRO 3, where no process can run a network alone.
    """
    config: TrainingConfig = section.training  # type: ignore[attr-defined]
    key = fingerprint(inputs, salt=f"{params.seed} {params.image.model_dump_json()} {section.model_dump_json()}")
    checkpoints = Checkpoints(artifacts.state_dir(stage), key, world, params.storage.checkpoints)
    steps = config.steps(len(loader.dataset))
    if params.machine.compile:
        compile_blocks(objective)
    shown = preview if config.zero_stage < 3 else None
    stop = artifacts.stop_file(stage) if params.machine.hostfile else None
    return train(Job(stage, objective, loader, config, steps, params.seed, world, checkpoints, adversary, shown, stop))


def keep(
    stage: str, trained: Trained, module: nn.Module, config: Config, section: Config, world: World
) -> dict[str, Any] | None:
    """Write weights (EMA and raw), config, params and log of a training; its figures so far, in the first process only."""
    ema, raw = averaged_weights(trained, module), full_weights(module)
    if not world.first:
        return None
    save_weights(artifacts.raw_file(stage), raw)
    _write(stage, ema, trained.rows, config, section)
    trainable = {name for name, p in module.named_parameters() if p.requires_grad}
    return {
        "trained": True,
        "steps": int(trained.rows[-1]["step"]),
        "images": int(trained.rows[-1]["images"]),
        "parameters": sum(tensor.numel() for name, tensor in raw.items() if name in trainable),
        "final_loss": trained.rows[-1]["total"],
        "loss_ratio": loss_ratio(trained.rows),
        "ema_distance": relative_distance(_only(ema, trainable), _only(raw, trainable)),
        "sha256": sha256_file(artifacts.weights_file(stage)),
    }


def keep_untrained(
    stage: str, source: str, module: nn.Module, config: Config, section: Config, world: World
) -> dict[str, Any] | None:
    """Write what `keep` writes, for a `module` that holds the weights of `source` and is not trained: an empty log."""
    if not world.first:
        return None
    _write(stage, module.state_dict(), [], config, section)
    return {
        "trained": False,
        "source": source,
        "steps": 0,
        "images": 0,
        "parameters": sum(p.numel() for p in module.parameters()),
        "sha256": sha256_file(artifacts.weights_file(stage)),
    }


def _write(stage: str, weights: Mapping[str, Tensor], rows: Sequence[Row], config: Config, section: Config) -> None:
    save_weights(artifacts.weights_file(stage), weights)
    artifacts.write_json(artifacts.config_file(stage), config.model_dump())
    artifacts.write_json(artifacts.params_file(stage), section.model_dump())
    write_log(artifacts.log_file(stage), rows)


def _only(weights: Mapping[str, Tensor], names: set[str]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in weights.items() if name in names}


def initial_weights(file: WeightsFile) -> dict[str, Tensor] | None:
    """The tensors to start from, by our names; None where no file is given."""
    if not file.path:
        return None
    with verified(file.path, file.sha256) as path:
        return read_weights(path, file.path)


def finish(stage: str, params: Params) -> None:
    """Remove the resumable state of a training whose outputs are written, and its copies; not those of another run."""
    if params.storage.checkpoints:
        for state in artifacts.state_dir(stage).glob("*"):
            remove_below(below(params.storage.checkpoints, f"{stage}/{state.name}"))
    shutil.rmtree(artifacts.state_dir(stage), ignore_errors=True)
    artifacts.newest_picture(stage).unlink(missing_ok=True)


def seeded(seed: int, stage: str) -> None:
    """Seed weight initialisation, differently for every stage."""
    torch.manual_seed(seed + sum(map(ord, {"autoguidance": "guide"}.get(stage, stage))))


def loader(params: Params, dataset: BatchDataset, config: TrainingConfig, world: World) -> TrainingLoader:
    """The deterministic loader of this process's share of every batch."""
    order = Order(len(dataset), params.seed, flip=params.image.flip)
    return TrainingLoader(
        dataset, order, config.batch, config.micro_batch, world.rank, world.size, params.machine.workers
    )

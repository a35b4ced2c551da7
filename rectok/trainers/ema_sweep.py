"""Averages of other lengths than were kept, from the snapshots of a training (EDM2, arXiv 2312.02696)."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from rectok import artifacts
from rectok.dit.model import DiTDH, load_dit
from rectok.errors import UserError
from rectok.evaluation.metric_network import load_metric_network
from rectok.files import write_bytes, write_text
from rectok.nn.weights import assign_weights, check_weights, read_weights, save_weights
from rectok.params import Params
from rectok.reporting.charts import Line, line_png
from rectok.sampling.generator import Generator, LatentStatistics
from rectok.tokenizer.kinds import load_tokenizer
from rectok.train.power_average import Profile, combination, error
from rectok.train.training_config import LONGEST
from rectok.train.world import member
from rectok.trainers.sample_quality import GFID, sample_quality

FOLDER = artifacts.DATA / "ema"
"""Not an output of the pipeline: a folder for each length, and the sweep over all of one command."""


@dataclass(frozen=True)
class Row:
    """An average of `length`, how far the closest combination of snapshots is from it, and the gFID of its samples."""

    length: float
    error: float
    gfid: float | None
    folder: str


def sweep(params: Params, lengths: Sequence[float], measured: bool) -> Iterator[Row]:
    """Make the average of each length, in data/ema/<length>, and measure its samples; then write sweep.json and sweep.png."""
    for length in lengths:
        _require(length)
    snapshots = _snapshots()
    target = max(profile.step for profile in snapshots)
    dit = load_dit(artifacts.stage_dir("dit"))
    measure = _measure(params, dit) if measured else dict
    rows = []
    for length in lengths:
        profile = Profile(target, length)
        assign_weights(dit, combined(dit, snapshots, profile), f"the average of length {length}")
        folder = FOLDER / f"{length:g}"
        save_weights(folder / "model.safetensors", dit.state_dict())
        artifacts.write_json(folder / "config.json", dit.config.model_dump())
        rows.append(Row(length, error(list(snapshots), profile), measure().get(GFID), str(folder)))
        yield rows[-1]
    (FOLDER / "sweep.png").unlink(missing_ok=True)
    write_text(FOLDER / "sweep.json", json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    if measured and len(rows) > 1:
        points = sorted((row.length, row.gfid) for row in rows if row.gfid is not None)
        x, y = zip(*points, strict=True)
        write_bytes(FOLDER / "sweep.png", line_png(Line(x, y), x="length of the average, σ_rel", y="gFID"))


def combined(dit: DiTDH, snapshots: dict[Profile, Path], profile: Profile) -> dict[str, Tensor]:
    """The state of `dit` with the combination of `snapshots` closest to `profile`, summed in float64; buffers as they are."""
    state = {name: tensor.clone() for name, tensor in dit.state_dict().items()}
    sums = {
        name: torch.zeros(tensor.shape, dtype=torch.float64) for name, tensor in dit.named_parameters()
    }  # on the host
    for path, factor in zip(snapshots.values(), combination(list(snapshots), profile), strict=True):
        weights = read_weights(path, str(path))
        check_weights(state, weights, str(path))
        for name, total in sums.items():
            total += float(factor) * weights[name]
    return state | {name: total.to(state[name].dtype) for name, total in sums.items()}


def _snapshots() -> dict[Profile, Path]:
    files = sorted(artifacts.snapshots_dir("dit").glob("*.safetensors"))
    if not files:
        raise UserError(
            f"{artifacts.snapshots_dir('dit')} holds no snapshots; set dit.posthoc_ema.snapshots, to 8 for example, and train"
        )
    return {_profile(path): path for path in files}


def _profile(path: Path) -> Profile:
    """The snapshot in the file `path`, STEP-LENGTH.safetensors. Raises UserError where it is called otherwise."""
    step, _, length = path.stem.partition("-")
    try:
        return Profile(int(step), float(length))
    except ValueError:
        raise UserError(f"{path} is no snapshot, whose name is STEP-LENGTH.safetensors; move it elsewhere") from None


def _require(length: float) -> None:
    if not 0 < length <= LONGEST:
        raise UserError(f"--sigma-rel is {length:g}, but must be above 0 and at most {LONGEST}")


def _measure(params: Params, dit: DiTDH) -> Callable[[], dict[str, float]]:
    world = member(params.machine)
    tokenizer, statistics = load_tokenizer(artifacts.stage_dir("tokenizer")), LatentStatistics.load().to(world.device)
    network = load_metric_network(artifacts.stage_dir("metric_network"), world.device, params.dit.evaluation.batch)
    return sample_quality(
        params, world, Generator(dit.to(world.device), None, tokenizer, statistics, world.device), network
    )

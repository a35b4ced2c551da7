"""What a finished training leaves: weights of both kinds, a log, and the figures its gate asks for."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from rectok.artifacts import LOG_COUNTERS
from rectok.files import write_text
from rectok.train.loop import Trained

Row = dict[str, float]
ALWAYS = (*LOG_COUNTERS, "total")
"""Columns that every log has."""


def full_weights(module: nn.Module) -> dict[str, Tensor]:
    """The state dict of `module` on the CPU, gathered from all processes where ZeRO 3 has split it."""
    parameters = list(module.parameters())
    if not any(hasattr(p, "ds_tensor") for p in parameters):
        return _copied(module)
    import deepspeed

    with deepspeed.zero.GatheredParameters(parameters):
        return _copied(module)


def averaged_weights(trained: Trained, module: nn.Module) -> dict[str, Tensor]:
    """The same, of the exponential moving average."""
    with trained.ema.swapped():
        return full_weights(module)


def _copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}


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

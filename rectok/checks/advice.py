"""What helps when a check fails: the key to turn and a likely value, the file with the rows concerned, and the page about it."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from rectok.artifacts import Check
from rectok.params import Params
from rectok.reporting.check_catalogue import kind_of

TRAINED_BY = {"reconstruction": "tokenizer", "probe": "tokenizer", "generation": "dit"}
"""The stage whose longer training improves what a gate measures, where it is not the gate's own."""
ROWS = {
    "index": "data/docs/index/index.html",
    "shards": "data/shards/{shard}.quarantine.json",
    "teacher": "data/teacher/summary.json",
    "features": "data/checks/features/{shard}.json",
    "metric_network": "data/metric_network/summary.json",
    "tokenizer": "data/tokenizer/log.csv",
    "decoder": "data/decoder/log.csv",
    "latents": "data/checks/latents/{shard}.json",
    "statistics": "data/statistics/statistics.json",
    "dit": "data/dit/log.csv",
    "autoguidance": "data/autoguidance/log.csv",
    "reconstruction": "data/reconstruction/record.json",
    "probe": "data/probe/record.json",
    "generation": "data/generation/record.json",
    "report": "data/report/index.html",
}
PAGE = "docs/gates.md"


def advice(gate: str, shard: str | None, failed: Sequence[Check], params: Params) -> str:
    """One clause for the message of a gate whose `failed` checks stopped it."""
    bounds = [check for check in failed if threshold(gate, check.name)]
    training = getattr(getattr(params, stage := TRAINED_BY.get(gate, gate), None), "training", None)
    turns = [_longer(stage, training)] if bounds and training else []
    turns += [f"accept it with {key} {value:g}" for key, value in _accepting(gate, bounds)]
    rows = ROWS.get(gate, f"data/checks/{gate}.json").format(shard=shard)
    return "; ".join([*([" or ".join(turns)] if turns else []), f"see {rows}, and {PAGE}#{gate}"])


def threshold(gate: str, name: str) -> str | None:
    """The dotted key of a check's limit; None where the limit is no parameter."""
    kind = kind_of(gate, name)
    return f"gates.{gate}.{kind.threshold}" if kind and kind.threshold else None


def accepted(check: Check) -> float | None:
    """The strictest limit with three digits that the value would meet; None without numbers."""
    if not isinstance(check.value, (int, float)) or check.relation == "=" or not check.value:
        return None
    unit = 10.0 ** (math.floor(math.log10(abs(check.value))) - 2)
    steps = math.floor(check.value / unit) if check.relation == "≥" else math.ceil(check.value / unit)
    return float(f"{steps * unit:.6g}")


def _longer(stage: str, training: Any) -> str:
    key = "min_steps" if training.min_steps else "epochs"
    now = getattr(training, key)
    return f"train longer, as with {stage}.training.{key} {2 * now:g} (now {now:g})"


def _accepting(gate: str, failed: Sequence[Check]) -> Iterator[tuple[str, float]]:
    for check in failed:
        key, value = threshold(gate, check.name), accepted(check)
        if key and value is not None:
            yield key, -value if check.name == "psnr gain" else value  # its limit is minus the loss

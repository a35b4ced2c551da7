"""Evaluate the current generator with fresh seeds, append to the history, and say what got worse."""

import hashlib

from rectok.artifacts import config_file, read_json, statistics_file, summary_file, weights_file, write_json
from rectok.evaluation.history import (
    FOLDER,
    HISTORY,
    LATEST,
    TREND,
    Night,
    Tolerance,
    joined,
    latest,
    read_history,
    regressions,
    trend_png,
    write_history,
)
from rectok.files import write_bytes
from rectok.params import Params
from rectok.stages.sampling import sampled
from rectok.storage import below, direct_files, list_files, publish, read_bytes
from rectok.storage.hashing import fingerprint


def run(params: Params, date: str) -> list[str]:
    """Evaluate as on `date` (YYYY-MM-DD), whose seeds are its own; write data/nightly and return the regressions."""
    settings, copies = params.nightly, params.storage.nightly
    if copies and not HISTORY.exists() and HISTORY.name in direct_files(copies):
        write_bytes(HISTORY, read_bytes(below(copies, HISTORY.name)))
    samples, record = sampled(params, "nightly", f"nightly/{date}", settings.per_class)
    night = Night(
        date=date,
        generator=_generator(),
        protocol=_protocol(params),
        n=len(samples.labels),
        gfid=record.figures["gfid"],
        gfid_guided=record.figures["gfid_guided"],
        sample_accuracy=record.figures["sample_accuracy"],
        sample_accuracy_guided=record.figures["sample_accuracy_guided"],
    )
    history = read_history()
    found = regressions(night, history, Tolerance(settings.gfid_tolerance, settings.accuracy_tolerance))
    history = joined(history, night)
    write_history(history)
    write_bytes(TREND, trend_png(history))
    write_json(LATEST, latest(night, found))
    if copies:
        for file in list_files(str(FOLDER)):
            publish(FOLDER / file.name, below(copies, file.name))
    return found


def _generator() -> str:
    weights = [weights_file(stage) for stage in ("dit", "guide", "decoder")]
    return fingerprint([*weights, statistics_file()], salt="")


def _protocol(params: Params) -> str:
    judge = read_json(summary_file("judge"))["sha256"]
    classes = read_json(config_file("dit"))["classes"]
    text = f"{judge} {params.generation.model_dump_json()} {params.nightly.per_class} {classes} {params.seed}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]

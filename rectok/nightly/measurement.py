"""Measure a generator with fresh seeds."""

import hashlib
from pathlib import Path

from rectok.artifacts import DATA, config_file, read_json, shard_table, summary_file
from rectok.evaluation.generation import Samples
from rectok.evaluation.metrics import nightly_metrics
from rectok.nightly.generator_copy import content, identity
from rectok.nightly.history import NightlyRun
from rectok.nightly.noise import part_noise
from rectok.params import Params
from rectok.stages.generation import evaluate
from rectok.storage.hashing import fingerprint


def measure(params: Params, source: Path, date: str, purpose: str) -> tuple[NightlyRun, Samples]:
    """The nightly metrics of the generator in `source` with the seeds of `purpose`, and its samples."""
    evaluation = evaluate(params, "nightly", purpose, params.nightly.per_class, source)
    metrics = evaluation.record.metrics
    noise = part_noise(evaluation.features, params.nightly.noise.parts, evaluation.reference, evaluation.metric_network)
    run = NightlyRun(
        date=date,
        generator=identity(content(source)),
        protocol=protocol(params, source),
        n=len(evaluation.samples.labels),
        metrics={name: metrics[name] for name in nightly_metrics()},
        noise={name: noise[name] for name in nightly_metrics()},
    )
    return run, evaluation.samples


def protocol(params: Params, source: Path) -> str:
    """Hash of everything but weights and seeds that moves the metrics."""
    metric_network = read_json(source / summary_file("metric_network").relative_to(DATA))["sha256"]
    classes = read_json(source / config_file("dit").relative_to(DATA))["classes"]
    images = fingerprint([shard_table(shard) for shard in params.index.shards])
    generation = params.generation.model_dump_json(exclude={"batch", "per_class"})
    text = f"{metric_network} {generation} {params.nightly.per_class} {classes} {images} {params.seed}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]

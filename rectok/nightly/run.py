"""Evaluate the accepted generator with fresh seeds, append to the history, and say what got worse."""

import hashlib
from dataclasses import asdict, replace
from pathlib import Path

from rectok.artifacts import DATA, config_file, read_json, shard_table, summary_file, write_json
from rectok.evaluation.generation import Samples
from rectok.files import write_bytes, write_text
from rectok.nightly.history import (
    FOLDER,
    HISTORY,
    LATEST,
    PAGE,
    PICTURES,
    TREND,
    NightlyRun,
    joined,
    picture_file,
    prune_pictures,
    read_history,
    retained,
    write_history,
)
from rectok.nightly.noise import part_noise
from rectok.nightly.page import render, trend_png
from rectok.nightly.promotion import Promotion, content, identity, in_force, verify
from rectok.nightly.regression import Finding, Limits, baseline, findings
from rectok.params import Params
from rectok.params.schema import NightlyParams
from rectok.reporting.images import by_class, grid, write_png
from rectok.storage import below, direct_files, list_files, publish, read_bytes
from rectok.storage.hashing import fingerprint
from rectok.trainers.sampling import sampled

PICTURE_SIDE, MOST_TILES = 512, 10
"""A night's picture is about so many pixels wide, of at most so many images, and so stays small."""


def run(params: Params, date: str) -> list[str]:
    """Evaluate as on `date` (YYYY-MM-DD), whose seeds are its own; write data/nightly and return what regressed.

    The generator is the one that `rectok promote` accepted last; where none was, the one that the pipeline made last.
    """
    promotion, copies = in_force(), params.storage.nightly
    if promotion is not None:
        verify(promotion)
    if copies and not HISTORY.exists() and HISTORY.name in direct_files(copies):
        write_bytes(HISTORY, read_bytes(below(copies, HISTORY.name)))
    history, limits = read_history(), limits_of(params.nightly)  # before the long work, for it may be damaged
    night, samples = measure(params, promotion.folder if promotion else DATA, date, f"nightly/{date}")
    accepted = (promotion.generator, promotion.measured) if promotion else ("", None)
    measurements = baseline(history, night, *accepted, limits)
    found = findings(night, measurements, limits)
    night = replace(night, regressed=any(finding.regressed for finding in found))
    history = retained(joined(history, night), params.nightly.keep.runs, measurements)
    write_history(history)
    _write_picture(samples, date, params.nightly.keep.pictures)
    sentences = _report(history, night, found, promotion)
    if copies:
        _copy(copies, params.nightly.keep.pictures)
    return sentences


def measure(params: Params, source: Path, date: str, purpose: str) -> tuple[NightlyRun, Samples]:
    """What the generator in `source` is worth with the seeds of `purpose`, and its samples."""
    settings = params.nightly
    measured = sampled(params, "nightly", purpose, settings.per_class, source)
    figures = measured.record.figures
    noise = part_noise(
        measured.features, measured.samples.labels, settings.noise.parts, measured.compared, measured.metric_network
    )
    night = NightlyRun(
        date=date,
        generator=identity(content(source)),
        protocol=protocol(params, source),
        n=len(measured.samples.labels),
        gfid=figures["gfid"],
        gfid_guided=figures["gfid_guided"],
        sample_accuracy=figures["sample_accuracy"],
        sample_accuracy_guided=figures["sample_accuracy_guided"],
        gfid_noise=noise["gfid"],
        gfid_guided_noise=noise["gfid_guided"],
        sample_accuracy_noise=noise["sample_accuracy"],
        sample_accuracy_guided_noise=noise["sample_accuracy_guided"],
    )
    return night, measured.samples


def limits_of(settings: NightlyParams) -> Limits:
    """What counts as a regression."""
    noise = settings.noise
    return Limits(settings.gfid_tolerance, settings.accuracy_tolerance, noise.runs, noise.sigmas)


def _report(
    history: list[NightlyRun], night: NightlyRun, found: list[Finding], promotion: Promotion | None
) -> list[str]:
    """Trend and page; latest.json, which the scheduler reads, comes last and so vouches for the rest."""
    sentences = [finding.sentence for finding in found if finding.regressed]
    write_bytes(TREND, trend_png(history))
    write_text(PAGE, render(history, night, found, promotion))
    write_json(
        LATEST,
        {
            **asdict(night),
            "promotion": promotion.number if promotion else None,
            "regressions": sentences,
            "findings": [asdict(finding) for finding in found],
            "history": HISTORY.as_posix(),
        },
    )
    return sentences


def _write_picture(samples: Samples, date: str, keep: int) -> None:
    images, labels = samples.guided.numpy(), samples.labels.numpy()
    tiles = max(2, min(MOST_TILES, PICTURE_SIDE // images.shape[-1]))
    shown = by_class(images, labels, tiles, min(tiles, int((labels == labels[0]).sum())))
    if keep:
        write_png(picture_file(date), grid(shown, min(tiles, len(shown))))
    prune_pictures(str(PICTURES), keep)


def _copy(copies: str, keep: int) -> None:
    """Publish data/nightly, latest.json last; then leave the newest `keep` pictures there: this machine may have made few."""
    for file in sorted(list_files(str(FOLDER)), key=lambda file: file.name == LATEST.name):
        publish(FOLDER / file.name, below(copies, file.name))
    prune_pictures(below(copies, PICTURES.name), keep)


def protocol(params: Params, source: Path) -> str:
    """Hash of everything but weights and seeds that moves the figures."""
    metric_network = read_json(source / summary_file("metric_network").relative_to(DATA))["sha256"]
    classes = read_json(source / config_file("dit").relative_to(DATA))["classes"]
    images = fingerprint([shard_table(shard) for shard in params.index.shards])
    asked = params.generation.model_dump_json(exclude={"batch", "per_class"})
    text = f"{metric_network} {asked} {params.nightly.per_class} {classes} {images} {params.seed}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]

"""One nightly run: evaluate the accepted generator with fresh seeds, append to the history, and name what got worse."""

from collections.abc import Sequence
from dataclasses import asdict, replace

from rectok.artifacts import DATA, write_json
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
from rectok.nightly.measurement import measure
from rectok.nightly.page import render, trend_png
from rectok.nightly.promotion import Promotion, active_promotion, verify
from rectok.nightly.regression import Comparison, baseline, comparisons, limits_of
from rectok.params import Params
from rectok.reporting.images import by_class, grid, write_png
from rectok.storage import below, direct_files, list_files, publish, read_bytes

PICTURE_SIDE, MOST_TILES = 512, 10
"""The picture of a run is about so many pixels wide, of at most so many images, and so stays small."""


def run(params: Params, date: str) -> list[str]:
    """Evaluate as on `date` (YYYY-MM-DD), whose seeds are its own; write data/nightly and return what regressed.

    The generator is the one that `rectok promote` accepted last; where none was, the one that the pipeline made last.
    """
    promotion, copies = active_promotion(), params.storage.nightly
    if promotion is not None:
        verify(promotion)
    if copies and not HISTORY.exists() and HISTORY.name in direct_files(copies):
        write_bytes(HISTORY, read_bytes(below(copies, HISTORY.name)))
    history, limits = read_history(), limits_of(params.nightly)  # before the long work, for it may be damaged
    measured, samples = measure(params, promotion.folder if promotion else DATA, date, f"nightly/{date}")
    accepted = (promotion.generator, promotion.measured) if promotion else ("", None)
    measurements = baseline(history, measured, *accepted, limits)
    compared = comparisons(measured, measurements, limits)
    measured = replace(measured, regressed=any(comparison.regressed for comparison in compared))
    history = retained(joined(history, measured), params.nightly.keep.runs, measurements)
    write_history(history)
    _write_picture(samples, date, params.nightly.keep.pictures)
    sentences = _report(history, measured, compared, promotion)
    if copies:
        _copy(copies, params.nightly.keep.pictures)
    return sentences


def _report(
    history: Sequence[NightlyRun], measured: NightlyRun, compared: Sequence[Comparison], promotion: Promotion | None
) -> list[str]:
    """Write trend and page. latest.json, which the scheduler reads, comes last and so vouches for the rest."""
    sentences = [comparison.sentence for comparison in compared if comparison.regressed]
    write_bytes(TREND, trend_png(history))
    write_text(PAGE, render(history, measured, compared, promotion))
    write_json(
        LATEST,
        {
            **measured.row(),
            "promotion": promotion.number if promotion else None,
            "regressions": sentences,
            "comparisons": [asdict(comparison) for comparison in compared],
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

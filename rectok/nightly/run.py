"""One nightly run: evaluate the promoted generator with fresh seeds, append to the history, and name what got worse."""

from collections.abc import Sequence
from dataclasses import asdict, replace

from rectok.artifacts import DATA, read_json, stage_dir, write_json
from rectok.evaluation.generation import Samples
from rectok.files import write_bytes, write_text
from rectok.nightly import history
from rectok.nightly.generator_copy import PARTS
from rectok.nightly.measurement import measure
from rectok.nightly.page import render, trend_png
from rectok.nightly.promotion import Promotion, current_promotion, verify
from rectok.nightly.regression import Comparison, baseline, comparisons, limits_of
from rectok.params import Params
from rectok.pipeline.judged import require_judged
from rectok.reporting.images import by_class, fewest, grid, write_png
from rectok.stages.generation import units
from rectok.storage.objects import below, direct_files, list_files, publish, read_bytes
from rectok.train.launch import launched
from rectok.train.world import member

PICTURE_SIDE, MOST_TILES = 512, 10
"""The picture of a run is about so many pixels wide, of at most so many images, and so stays small."""


def run(params: Params, date: str) -> list[str]:
    """Evaluate as on `date` (YYYY-MM-DD), whose seeds are its own; write data/nightly and return what regressed.

    The generator is the one that `rectok promote` promoted last; where none was, the one that the pipeline made last. Of several
    processes the first one writes.
    """
    if launched(params.machine, "nightly", "--date", date, units=units(params, params.nightly.per_class)):
        sentences: list[str] = read_json(history.LATEST)["regressions"]
        return sentences
    promotion, copies = current_promotion(), params.storage.nightly
    if promotion is not None:
        verify(promotion)
    require_judged([stage_dir(stage) for stage in ("shards", *(() if promotion else PARTS))])
    source, purpose = promotion.folder if promotion else DATA, f"nightly/{date}"
    if not member(params.machine).first:
        assert measure(params, source, date, purpose) is None
        return []
    if copies and not history.HISTORY.exists() and history.HISTORY.name in direct_files(copies):
        write_bytes(history.HISTORY, read_bytes(below(copies, history.HISTORY.name)))
    runs, limits = history.read_history(), limits_of(params.nightly)  # before the long work, for it may be damaged
    measurement = measure(params, source, date, purpose)
    assert measurement is not None
    measured, samples = measurement
    promoted = (promotion.generator, promotion.measured) if promotion else ("", None)
    measurements = baseline(runs, measured, *promoted, limits)
    compared = comparisons(measured, measurements, limits)
    measured = replace(measured, regressed=any(comparison.regressed for comparison in compared))
    runs = history.retained(history.joined(runs, measured), params.nightly.keep.runs, measurements)
    history.write_history(runs)
    _write_picture(samples, date, params.nightly.keep.pictures)
    sentences = _report(runs, measured, compared, promotion)
    if copies:
        _copy(copies, params.nightly.keep.pictures)
    return sentences


def _report(
    runs: Sequence[history.NightlyRun],
    measured: history.NightlyRun,
    compared: Sequence[Comparison],
    promotion: Promotion | None,
) -> list[str]:
    """Write trend and page. latest.json, which the scheduler reads, comes last and so vouches for the rest."""
    sentences = [comparison.sentence for comparison in compared if comparison.regressed]
    write_bytes(history.TREND, trend_png(runs))
    write_text(history.PAGE, render(runs, measured, compared, promotion))
    write_json(
        history.LATEST,
        {
            **measured.row(),
            "promotion": promotion.number if promotion else None,
            "regressions": sentences,
            "comparisons": [asdict(comparison) for comparison in compared],
            "history": history.HISTORY.as_posix(),
        },
    )
    return sentences


def _write_picture(samples: Samples, date: str, keep: int) -> None:
    images, labels = samples.guided.numpy(), samples.labels.numpy()
    tiles = max(2, min(MOST_TILES, PICTURE_SIDE // images.shape[-1]))
    shown = by_class(images, labels, tiles, min(tiles, fewest(labels)))
    if keep:
        write_png(history.picture_file(date), grid(shown, min(tiles, len(shown))))
    history.prune_pictures(str(history.PICTURES), keep)


def _copy(copies: str, keep: int) -> None:
    """Publish data/nightly, latest.json last; then leave the newest `keep` pictures there: this machine may have made few."""
    for file in sorted(list_files(str(history.FOLDER)), key=lambda file: file.name == history.LATEST.name):
        publish(history.FOLDER / file.name, below(copies, file.name))
    history.prune_pictures(below(copies, history.PICTURES.name), keep)

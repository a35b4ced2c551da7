"""The one table of metrics, and the record that an evaluation leaves. No torch here.

To add a metric, add an entry here and return its value where its stage computes it (and in `judge` of other_images.py for
images of other programs). Summary, report, gates, nightly runs, ablations, model cards and Dagster read this table. A stage that
returns other metrics than its entries stops with an error.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import inf, isfinite
from typing import Any, Literal

from rectok.artifacts import RATE, UNLABELLED, metrics_file, read_json, record_file, write_json
from rectok.errors import UserError

GUIDED = "_guided"
"""Ends the name of a metric of guided samples."""
NONE = "—"
"""Stands in place of a value that is None."""
PIXELS = "no network: pixels"
CLASSIFIER = "no network: logistic regression"
CLOCK = "no network: a clock"
LPIPS = "LPIPS-VGG16"
SPACE = "the network that its name ends with"
NO_LABELS = "not measured: {network} knows other classes than the images have"
NO_SEMANTIC = "not measured: this tokenizer has no semantic decoder"
NO_LPIPS = "not measured: decoder.losses.perceptual names no weights of LPIPS"


ToleranceName = Literal["gfid_tolerance", "accuracy_tolerance"]
SHARE, POSITIVE = (0, 1), (0, inf)
PRINCIPAL = "gfid"
"""The metric that stands for a generator where there is room for one."""


@dataclass(frozen=True)
class Tolerance:
    """How much worse than its baseline a metric may be: the parameter `nightly.<name>`, as a share of the baseline if
    `relative`."""

    name: ToleranceName
    relative: bool


@dataclass(frozen=True)
class Metric:
    """One metric.

    `stage` computes it. `format` writes a value for people, and `better` says which values are better. Values outside `bounds`
    are impossible. `source` computes it; empty means the metric network. A metric that may be None says why in `absent`.

    The report begins with `headline` metrics, and sweeps show them. `shown` is False for what only the record needs. Nightly runs
    measure the metrics that have a `tolerance`. A `curve` is a list of {t, accuracy} over the flow time t, not a number. A metric
    that is `real` measures real images alone. One `by_space` has a number for each of
    `generation.spaces`, and is absent where there are none.
    """

    title: str
    format: str
    better: Literal["higher", "lower"]
    bounds: tuple[float, float]
    stage: Literal["reconstruction", "probe", "generation", "training"]
    source: str = ""
    absent: str = ""
    headline: bool = False
    shown: bool = True
    tolerance: Tolerance | None = None
    curve: bool = False
    real: bool = False
    by_space: bool = False

    def text(self, value: float | None) -> str:
        """`value` as people read it, or a dash for None."""
        return NONE if value is None else self.format.format(value)

    @property
    def unit(self) -> str:
        """What follows the number: `%`, ` dB`, or nothing."""
        return "%" if "%}" in self.format else self.format.rpartition("}")[2]

    def at(self, place: str) -> "Metric":
        """The point of a curve at the flow time `place`, or the value in the space `place`, as a metric of its own."""
        title = f"{self.title}, {place.replace('_', ' ')}" if self.by_space else f"{self.title} at t = {place}"
        return replace(self, title=title, curve=False, by_space=False)


MEANS = ("mean", "geometric_mean")
"""Stand in place of a space where a metric is a mean over all."""
RELATIVE = Tolerance("gfid_tolerance", relative=True)
ABSOLUTE = Tolerance("accuracy_tolerance", relative=False)


def _guided(name: str, metric: Metric) -> dict[str, Metric]:
    """A metric of the samples without guidance, and the same of those with guidance."""
    return {name: metric, f"{name}{GUIDED}": replace(metric, title=f"{metric.title}, guided")}


def _in_spaces(title: str, shape: str, better: Literal["higher", "lower"], bounds: tuple[float, float]) -> Metric:
    return Metric(title, shape, better, bounds, "generation", SPACE, by_space=True)


METRICS: dict[str, Metric] = {
    "psnr": Metric("PSNR", "{:.2f} dB", "higher", (0, 100), "reconstruction", PIXELS, headline=True),
    "ssim": Metric("SSIM", "{:.4f}", "higher", (-1, 1), "reconstruction", PIXELS),
    "lpips": Metric("LPIPS", "{:.4f}", "lower", POSITIVE, "reconstruction", LPIPS, absent=NO_LPIPS),
    "rfid": Metric("rFID", "{:.3f}", "lower", POSITIVE, "reconstruction", headline=True),
    **_guided("gfid", Metric("gFID", "{:.3f}", "lower", POSITIVE, "generation", headline=True, tolerance=RELATIVE)),
    "gfid_floor": Metric("gFID of real held-out images", "{:.3f}", "lower", POSITIVE, "generation", real=True),
    **_guided("kid", Metric("KID", "{:.5f}", "lower", (-1, inf), "generation")),
    **_guided("inception_score", Metric("Inception Score", "{:.2f}", "higher", (1, inf), "generation")),
    **_guided(
        "inception_score_std",
        Metric("Inception Score, std over parts", "{:.2f}", "lower", POSITIVE, "generation", shown=False),
    ),
    **_guided("precision", Metric("Precision", "{:.3f}", "higher", SHARE, "generation")),
    **_guided("recall", Metric("Recall", "{:.3f}", "higher", SHARE, "generation")),
    **_guided(
        "sample_accuracy",
        Metric(
            "Sample accuracy", "{:.1%}", "higher", SHARE, "generation",
            absent=NO_LABELS, headline=True, tolerance=ABSOLUTE,
        ),
    ),
    **_guided("fd", _in_spaces("Fréchet distance", "{:.3f}", "lower", POSITIVE)),
    "fd_floor": replace(_in_spaces("Fréchet distance of real held-out images", "{:.3f}", "lower", POSITIVE), real=True),
    **_guided("fdr", _in_spaces("FDr, distance over floor", "{:.3f}", "lower", POSITIVE)),
    **_guided("space_kid", _in_spaces("KID", "{:.5f}", "lower", (-1, inf))),
    **_guided("space_precision", _in_spaces("Precision", "{:.3f}", "higher", SHARE)),
    **_guided("space_recall", _in_spaces("Recall", "{:.3f}", "higher", SHARE)),
    "metric_network_accuracy": Metric(
        "Accuracy on real images", "{:.1%}", "higher", SHARE, "reconstruction", absent=NO_LABELS
    ),
    "reconstruction_accuracy": Metric(
        "Accuracy on reconstructions", "{:.1%}", "higher", SHARE, "reconstruction", absent=NO_LABELS
    ),
    "semantic_accuracy": Metric(
        "Probe of the semantic decoder", "{:.1%}", "higher", SHARE, "probe", CLASSIFIER, absent=NO_SEMANTIC
    ),
    "probe": Metric("Linear probe", "{:.1%}", "higher", SHARE, "probe", CLASSIFIER, absent=UNLABELLED, curve=True),
}  # fmt: skip


SPEED = Metric("Images/s", "{:.0f}", "higher", POSITIVE, "training", CLOCK, by_space=True)
"""The speed of a training, which a column of an ablation can name, as in `images_per_second@tokenizer`."""


def metrics_of(stage: str) -> dict[str, Metric]:
    """The metrics that an evaluation stage must write."""
    return {name: metric for name, metric in METRICS.items() if metric.stage == stage}


def nightly_metrics() -> dict[str, Metric]:
    """The metrics that nightly runs measure, in the order of their columns."""
    return {name: metric for name, metric in METRICS.items() if metric.tolerance}


def headline_names() -> list[str]:
    """The metrics that the report begins with."""
    return [name for name, metric in METRICS.items() if metric.headline]


def column_metric(column: str) -> Metric | None:
    """The metric that a column of an ablation names, `gfid` or `probe@0.5`; None where it names none."""
    name, _, place = column.partition("@")
    metric = _named(name)
    return metric.at(place) if metric and place else metric


def _named(name: str) -> Metric | None:
    return SPEED if name == RATE else METRICS.get(name)


def points(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """All `metrics` with every point of a curve and every space under its own name: `probe@0.5`, `fd@dinov2-vit-l-14`."""
    flat: dict[str, Any] = {}
    for name, value in metrics.items():
        metric = _named(name)
        if metric and metric.curve and value is not None:
            flat |= {f"{name}@{point['t']:g}": point["accuracy"] for point in value}
        elif metric and metric.by_space and value is not None:
            flat |= {f"{name}@{space}": number for space, number in value.items()}
        else:
            flat[name] = value
    return flat


def metric_sources(
    stage: str, metrics: Mapping[str, Any], metric_network: str, labelled: bool = True, note: str = ""
) -> dict[str, str]:
    """What computed each of the `metrics` of `stage`, or why its value is None; `metric_network` is that network's title.

    A `note` stands behind it, except for metrics of real images.

    Raises ValueError unless the metrics are exactly those that the table has for the stage.
    """
    table = metrics_of(stage)
    table = {name: metric for name, metric in table.items() if not metric.by_space or name in metrics}
    if metrics.keys() != table.keys():
        unknown, missing = sorted(metrics.keys() - table.keys()), sorted(table.keys() - metrics.keys())
        raise ValueError(f"{stage} wrote metrics that METRICS lacks: {unknown}, and did not write: {missing}")

    def source(metric: Metric, value: object) -> str:
        if value is not None:
            return ", ".join(filter(None, (metric.source or metric_network, "" if metric.real else note)))
        unlabelled = metric.absent in (NO_LABELS, NO_SEMANTIC) and not labelled
        return UNLABELLED if unlabelled else metric.absent.format(network=metric_network)

    return {name: source(metric, metrics[name]) for name, metric in table.items()}


@dataclass(frozen=True)
class Record:
    """`networks` has the keys of `metrics` and names what computed each; `protocol` says in words and numbers how."""

    metrics: Mapping[str, Any]
    networks: Mapping[str, str]
    protocol: Mapping[str, str | int | float]


def record_of(
    stage: str,
    metrics: Mapping[str, Any],
    protocol: Mapping[str, str | int | float],
    metric_network: str = "",
    labelled: bool = True,
    note: str = "",
) -> Record:
    """The record of what `stage` measured; see `metric_sources`.

    Raises ValueError unless `metrics` are those that METRICS has for the stage, and UserError where one is NaN or infinite.
    """
    sources = metric_sources(stage, metrics, metric_network, labelled, note)
    _require_finite(stage, metrics)
    return Record(metrics, sources, protocol)


def _require_finite(stage: str, metrics: Mapping[str, Any]) -> None:
    for name, value in numbers(metrics).items():
        metric = column_metric(name)
        if metric and not isfinite(value):
            raise UserError(
                f"the metric {metric.title} of {stage} is {value}; most likely one of the networks that it measures or is "
                "measured with is hardly trained or has diverged, and `rectok gate --all` shows how their trainings went"
            )


def write_record(stage: str, record: Record) -> None:
    """Write record.json, and metrics.json with the numbers alone for `dvc metrics`."""
    assert record.metrics.keys() == record.networks.keys()
    write_json(metrics_file(stage), numbers(record.metrics))
    write_json(record_file(stage), asdict(record))


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The metrics that have a value; the points of the probe's curve are `probe@0.5` and so on."""
    return {name: value for name, value in points(metrics).items() if value is not None}


def read_record(stage: str) -> Record:
    """The record that `write_record` wrote."""
    record = read_json(record_file(stage))
    return Record(record["metrics"], record["networks"], record["protocol"])

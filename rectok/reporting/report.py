"""The report: everything a person wants to know about a run, as one HTML page without outside references."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from rectok import artifacts
from rectok.evaluation.metrics import NONE, headline_names
from rectok.files import write_text
from rectok.pages import data_uri, filled
from rectok.pipeline.failed_tasks import failed_tasks
from rectok.reporting import check_text
from rectok.reporting.charts import Line, line_svg
from rectok.reporting.check_catalogue import described
from rectok.reporting.comparison import Measured, deltas, measured_now, references, remember
from rectok.reporting.provenance import data_versions, gate_reports, git_commit
from rectok.reporting.summary import duration, metric_rows, read_summary, stage_seconds, training_speed

TRAINED = {
    "tokenizer": "Tokenizer",
    "decoder": "Decoder finetuning",
    "dit": "Generator",
    "autoguidance": "Autoguidance model",
}
PICTURES = {
    "reconstruction": "reconstruction/grid.png",
    "unguided": "generation/unguided.png",
    "guided": "generation/guided.png",
}
TITLES = {
    "kl": "KL divergence",
    "adversary": "loss of the adversary",
    "val_psnr": "validation PSNR, dB",
    "val_semantic_cosine": "validation semantic cosine",
    "val_loss": "validation loss at t = 0.5",
    "val_gfid": "gFID of unguided samples",
    "val_sample_accuracy": "accuracy of unguided samples",
    "grad_norm": "gradient norm",
    "lr": "learning rate",
}
"""Of columns that are no loss of the network, or whose name does not say it."""
RECTOK = "rectok"
"""The kind of the paper's tokenizer."""
WIDE_RANGE = 20.0
"""A loss whose largest value is so many times its smallest is drawn on a logarithmic scale."""


@dataclass(frozen=True)
class Chart:
    """A titled chart and, in words, where it ended."""

    title: str
    svg: Markup
    note: str


@dataclass(frozen=True)
class FailurePicture:
    """A picture as a data: URI, a caption, and a note."""

    uri: str
    caption: str
    note: str


@dataclass(frozen=True)
class StageTime:
    """How long a stage and its gate took, and the stage's share of the longest, in percent."""

    stage: str
    taken: str
    gate: str
    share: float


def write(path: Path, preset: str, params_text: str) -> None:
    """Write the page of this run to `path`, and keep its metrics for the page of the next one."""
    run = measured_now(read_summary(), git_commit())
    write_text(path, render(preset, params_text, run))
    remember(run)


def render(preset: str, params_text: str, run: Measured) -> str:
    """The page of `run`, from the artefacts under data/."""
    summary, gates = read_summary(), gate_reports()
    # What is published is of RecTok's tokenizer.
    points, others = summary.metrics["probe"], references(run, preset if tokenizer_kind() == RECTOK else "")
    classes = artifacts.read_json(artifacts.classes_file(), list)
    return filled(
        "rectok.reporting",
        "report.html",
        project=Path.cwd().name,
        preset=preset,
        params=params_text,
        day=run.day,
        commit=run.commit,
        headlines=metric_rows(summary.metrics, summary.networks, headline_names()),
        metrics=metric_rows(summary.metrics, summary.networks),
        references=others,
        deltas=lambda row: deltas(row.column, run, others),
        probe=points,
        probe_network=summary.networks["probe"],
        probe_chart=_probe_chart(points),
        protocol=summary.protocol,
        networks=networks(),
        trainings=[_training(stage, title) for stage, title in TRAINED.items()],
        pictures={name: data_uri(artifacts.DATA / path) for name, path in PICTURES.items()},
        classes=classes,
        labelled=artifacts.labelled(),
        rows=[classes[label] for label in artifacts.read_json(artifacts.pictures_file("generation"))["rows"]],
        worst=worst_images(classes),
        confused=confused_classes(classes),
        unconfused=summary.networks["sample_accuracy"],
        gates=gates,
        checks=[check for gate in gates for check in gate.checks],
        text=check_text,
        described=described,
        gate_name=gate_name,
        versions=data_versions(),
        failed_tasks=failed_tasks(),
        times=stage_times(stage_seconds()),
        total=duration(sum(stage_seconds().values())),
    )


def worst_images(classes: Sequence[str]) -> list[FailurePicture]:
    """The reconstructions of lowest PSNR."""
    worst = artifacts.read_json(artifacts.pictures_file("reconstruction"))["worst"]
    return [
        FailurePicture(
            _failure("reconstruction", each), f"{classes[each['label']]}, {each['psnr']:.1f} dB", each["key"]
        )
        for each in worst
    ]


def confused_classes(classes: Sequence[str]) -> dict[str, list[FailurePicture] | None]:
    """The most confused classes of samples without and with guidance; None where the metric network knows no labels."""
    confused = artifacts.read_json(artifacts.pictures_file("generation"))["confused"]
    titles = {"unguided": "Without guidance", "guided": "With guidance"}
    return {
        title: None if confused[name] is None else [_confusion(pair, classes) for pair in confused[name]]
        for name, title in titles.items()
        if name in confused
    }


def _confusion(pair: Mapping[str, Any], classes: Sequence[str]) -> FailurePicture:
    caption = f"{classes[pair['label']]} → {classes[pair['predicted']]}"
    return FailurePicture(_failure("generation", pair), caption, f"{pair['count']} of {pair['samples']}")


def _failure(stage: str, record: Mapping[str, Any]) -> str:
    return data_uri(artifacts.failures_dir(stage) / record["picture"])


def _training(stage: str, title: str) -> dict[str, Any]:
    """The losses of a network trained here, or where its weights come from instead."""
    summary = artifacts.read_json(artifacts.summary_file(stage))
    charts = loss_charts(artifacts.log_file(stage)) if summary["trained"] else []
    source, speed = ("", training_speed(stage, summary["steps"])) if summary["trained"] else (summary["source"], "")
    more = {name: summary.get(name) for name in ("evaluation", "rollbacks")}
    return {"title": title, "charts": charts, "source": source, "speed": speed, **more}


def loss_charts(path: Path) -> list[Chart]:
    """A chart for each column of a training log behind step and images (a cell may be empty): losses, validation, then lr."""
    rows = artifacts.read_log(path)
    names = [name for name in rows[0] if name not in artifacts.LOG_COUNTERS]
    names = [*sorted(names, key=lambda name: name.startswith(artifacts.VALIDATION)), "lr"]
    return [chart for name in names if (chart := _loss_chart(name, rows)) is not None]


def _loss_chart(name: str, rows: list[dict[str, str]]) -> Chart | None:
    points = [(float(row["step"]), float(row[name])) for row in rows if row[name]]
    if not points:
        return None
    steps, values = zip(*points, strict=True)
    logarithmic = min(values) > 0 and max(values) > WIDE_RANGE * min(values)
    svg = line_svg(Line(steps, values), x="step", y="", logarithmic=logarithmic)
    note = f"{values[0]:.4g} → {values[-1]:.4g}" + (", logarithmic" if logarithmic else "")
    return Chart(TITLES.get(name, f"{name.replace('_', ' ')} loss"), Markup(svg), note)


def _probe_chart(points: list[dict[str, float]] | None) -> Markup | None:
    if points is None:
        return None
    curve = Line([point["t"] for point in points], [point["accuracy"] for point in points])
    return Markup(line_svg(curve, x="t (0: clean latent, 1: noise)", y="accuracy"))


def networks() -> list[dict[str, Any]]:
    """Metric network, teacher, perceptual network and tokenizer of this run; the description says if one is a proxy."""
    networks = []
    for role in ("metric_network", "teacher"):
        summary = artifacts.read_json(artifacts.summary_file(role))
        described = summary["proxy"] or summary["network"]
        networks.append({"role": role.replace("_", " "), "described": described, "proxy": bool(summary["proxy"])})
    for role in ("tokenizer", "decoder"):
        if perceptual := artifacts.read_json(artifacts.summary_file(role)).get("perceptual"):
            proxy = "proxy" in perceptual
            networks.append({"role": f"perceptual loss, {role}", "described": perceptual, "proxy": proxy})
    return [*networks, {"role": "tokenizer", "described": tokenizer_in_words(), "proxy": False}]


def tokenizer_kind() -> str:
    """`tokenizer.kind` of the parameters with which it was trained; an earlier version had one kind and did not name it."""
    kind: str = artifacts.read_json(artifacts.config_file("tokenizer")).get("kind", RECTOK)
    return kind


def tokenizer_in_words() -> str:
    """Its kind, and the size of its latents."""
    config = artifacts.read_json(artifacts.config_file("tokenizer"))
    sizes = config["sizes"]
    return f"{tokenizer_kind()}: {(config['image_size'] // sizes['patch']) ** 2} tokens of {sizes['channels']} channels"


def gate_name(report: artifacts.GateReport) -> str:
    """`tokenizer`, or `shards 00000` for a gate of one shard."""
    return f"{report.gate} {report.shard}" if report.shard else report.gate


def stage_times(seconds: dict[str, float]) -> list[StageTime]:
    """Times in the pipeline's order, each with its gate's."""
    texts = {name: duration(value) for name, value in seconds.items()}
    longest = max((seconds.get(stage, 0.0) for stage in artifacts.STAGES), default=0.0) or 1.0
    return [
        StageTime(stage, texts[stage], texts.get(f"gate-{stage}", NONE), 100 * seconds[stage] / longest)
        for stage in artifacts.STAGES
        if stage in seconds
    ]

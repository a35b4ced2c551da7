"""A plan as tables for people."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.console import JustifyMethod
from rich.table import Table

from rectok.params import Params
from rectok.planning.plan import Plan
from rectok.planning.schedule import Estimate, total_hours
from rectok.planning.verdict import GB, hours_text, planned_memory
from rectok.train.training_config import FEW_STEPS, LENGTHS_PAGE, too_few

HOURS = (
    "Stages follow each other; GPUs: those that a stage uses. A night is `rectok nightly`, and `rectok promote` takes as long. "
    "Not counted: packing, reading and writing; the metric network and LPIPS; the probe, whose classifiers learn on the CPU; "
    "previews and gates."
)


def overview(plan: Plan, params: Params) -> Table:
    """One row a stage: steps, images, time on the planned GPUs, and memory of one of them."""
    table = Table("stage", "steps", "images", "GPUs", "time", "GB a GPU", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    memory = {row.training: f"{row.total / GB:.3g}" for row in planned_memory(plan, params)}
    for rows, total in ((plan.estimates, "a run"), (plan.night, "a nightly run")):
        for row in rows:
            table.add_row(*_short(row, memory))
        table.add_row(total, "", "", "", hours_text(total_hours(rows)), style="bold")
    return table


def needs(plan: Plan) -> Iterator[str]:
    """Disk and downloads, a line each."""
    largest = ", ".join(f"{name} {size / GB:.3g}" for name, size in plan.disk.items())
    yield f"Disk: {sum(plan.disk.values()) / GB:.3g} GB ({largest})."
    names = dict.fromkeys(row.network for row in plan.downloads)
    yield f"Downloads: {', '.join(names) or 'none, because all networks are trained here'}."


def short_trainings(plan: Plan) -> Iterator[str]:
    """One line that warns of trainings of too few steps; none where all are long enough."""
    counts = {row.workload.stage: row.workload.steps for row in plan.estimates if row.workload.steps}
    short = {stage: steps for stage, steps in counts.items() if too_few(stage, steps)}
    if short:
        names = ", ".join(f"{stage} ({steps}, at least {FEW_STEPS[stage]})" for stage, steps in short.items())
        yield f"Warning: too few steps for {names}; set STAGE.training.min_steps; see {LENGTHS_PAGE}"


def _short(row: Estimate, memory: Mapping[str, str]) -> tuple[str, ...]:
    load = row.workload
    steps = str(load.steps) if load.steps else ""
    return load.stage, steps, _images(load.images), str(load.gpus), hours_text(row.hours), memory.get(load.stage, "")


def _images(count: int) -> str:
    return f"{count / 1e6:.4g}M" if count >= 1e6 else str(count)


def tables(plan: Plan) -> Iterator[Table]:
    """One table a question."""
    counts = {name: "not counted" if count is None else f"{count / 1e6:.2f}" for name, count in plan.parameters.items()}
    yield _table("Parameters", ("part", "millions"), counts.items())
    yield _memory(plan)
    sizes = {name: f"{size / GB:.3f}" for name, size in plan.disk.items()}
    yield _table(f"Disk for {plan.stored} images, GB", ("what", "GB"), sizes.items())
    yield _hours(plan)
    downloads = [(row.what, row.network, row.source, row.licence) for row in plan.downloads]
    nothing = ("nothing: teacher, metric network and perceptual loss are trained here", "", "", "")
    yield _table("To be had before a run", ("what", "network", "from", "licence"), downloads or [nothing], "left")


def _table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]] = (), justify: JustifyMethod = "right"
) -> Table:
    table = Table(*columns, title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = justify
    for row in rows:
        table.add_row(*row)
    return table


def _memory(plan: Plan) -> Table:
    columns = ("training", "ZeRO", "GPUs", "weights", "gradients", "optimizer", "EMA", "activations", "total")
    table = _table("Memory of one GPU, GB", columns)
    for row in plan.memory:
        sizes = (row.weights, row.gradients, row.optimizer, row.ema, row.activations, row.total)
        table.add_row(row.training, str(row.zero_stage), str(row.gpus), *(f"{size / GB:.2f}" for size in sizes))
    return table


def _hours(plan: Plan) -> Table:
    title = f"Work on {plan.gpus} GPU{'s' if plan.gpus > 1 else ''}, {plan.images} images an epoch"
    columns = ("stage", "epochs", "steps", "images", "GFLOP/\nimage", "GPUs", "TFLOP/s\na GPU", "hours")
    table = _table(title, columns)
    table.pad_edge = False  # 80 columns hold it
    for rows, whole in ((plan.estimates, "a run"), (plan.night, "a night")):
        for row in rows:
            table.add_row(*_work(row))
        table.add_row(whole, *[""] * (len(columns) - 2), f"{total_hours(rows):.3g}", end_section=True)
    table.caption, table.caption_justify = HOURS, "left"
    return table


def _work(row: Estimate) -> tuple[str, ...]:
    load = row.workload
    epochs, steps = (f"{load.epochs:.3g}", str(load.steps)) if load.epochs else ("", "")
    gflop = format(load.flops / 1e9, ".0f" if load.flops >= 1e12 else ".4g")
    return (
        load.stage,
        epochs,
        steps,
        _images(load.images),
        gflop,
        str(load.gpus),
        f"{row.tflops:.3g}",
        f"{row.hours:.3g}",
    )

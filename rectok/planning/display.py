"""A plan as tables for people."""

from collections.abc import Iterator

from rich.table import Table

from rectok.planning.plan import Plan
from rectok.planning.schedule import Estimate, total_hours

GB = 1e9
HOURS = (
    "Stages follow each other; GPUs: those that a stage uses. A night is `rectok nightly`, and `rectok promote` takes as long. "
    "Not counted: packing, reading and writing; the metric network and LPIPS; the probe, whose classifiers learn on the CPU; "
    "previews and gates."
)


def tables(plan: Plan) -> Iterator[Table]:
    """One table a question."""
    yield _parameters(plan)
    yield _memory(plan)
    yield _disk(plan)
    yield _hours(plan)
    yield _downloads(plan)


def _table(title: str, *columns: str) -> Table:
    table = Table(*columns, title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _parameters(plan: Plan) -> Table:
    table = _table("Parameters", "part", "millions")
    for name, count in plan.parameters.items():
        table.add_row(name, "not counted" if count is None else f"{count / 1e6:.2f}")
    return table


def _memory(plan: Plan) -> Table:
    title = "Memory of one GPU, GB"
    table = _table(
        title, "training", "ZeRO", "GPUs", "weights", "gradients", "optimizer", "EMA", "activations", "total"
    )
    for row in plan.memory:
        sizes = (row.weights, row.gradients, row.optimizer, row.ema, row.activations, row.total)
        table.add_row(row.training, str(row.zero_stage), str(row.gpus), *(f"{size / GB:.2f}" for size in sizes))
    return table


def _disk(plan: Plan) -> Table:
    table = _table(f"Disk for {plan.stored} images, GB", "what", "GB")
    for name, size in plan.disk.items():
        table.add_row(name, f"{size / GB:.3f}")
    return table


def _hours(plan: Plan) -> Table:
    title = f"Work on {plan.gpus} GPU{'s' if plan.gpus > 1 else ''}, {plan.images} images an epoch"
    columns = ("stage", "epochs", "steps", "images", "GFLOP/\nimage", "GPUs", "TFLOP/s\na GPU", "hours")
    table = _table(title, *columns)
    table.pad_edge = False  # 80 columns hold it
    for rows, whole in ((plan.estimates, "a run"), (plan.night, "a night")):
        for row in rows:
            table.add_row(*_work(row))
        table.add_row(whole, *[""] * (len(columns) - 2), f"{total_hours(rows):.3g}", end_section=True)
    table.caption, table.caption_justify = HOURS, "left"
    return table


def _work(row: Estimate) -> tuple[str, ...]:
    load = row.workload
    epochs, steps = (f"{load.epochs:g}", str(load.steps)) if load.epochs else ("", "")
    images = f"{load.images / 1e6:.4g}M" if load.images >= 1e6 else str(load.images)
    gflop = format(load.flops / 1e9, ".0f" if load.flops >= 1e12 else ".4g")
    return load.stage, epochs, steps, images, gflop, str(load.gpus), f"{row.tflops:.3g}", f"{row.hours:.3g}"


def _downloads(plan: Plan) -> Table:
    table = Table("what", "network", "from", "licence", title="To be had before a run", title_justify="left")
    for row in plan.downloads:
        table.add_row(row.what, row.network, row.source, row.licence)
    if not plan.downloads:
        table.add_row("nothing: teacher, metric network and perceptual loss are trained here", "", "", "")
    return table

"""Sweeps and ablations: a job that prepares one, and a run of its own for each of its rows and seeds."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg
from pydantic import Field

from orchestration.assets.images import inline_images
from orchestration.assets.metadata import Metadata, page_links
from orchestration.assets.progress import Observer
from orchestration.launcher import Launcher, failure, single_op_job
from rectok.artifacts import DATA

COMMAND = ("rectok", "ablate")
ABLATION, CELL, PLANNED = "rectok/ablation", "rectok/run", "rectok/planned"
"""Tags of a run: its ablation, its row and seed, and the names of all planned runs, separated by blanks."""
PREPARED = "prepared "
"""Precedes the name of a run in the output of `rectok ablate --prepare`."""
KEY = "experiments"
SWEEPS = DATA / "ablations"


class Sweep(dg.Config):
    """An ablation that comes with rectok, a YAML file, or, with `vary`, the name of a new sweep."""

    ablation: str = Field(description="e.g. channels, my/ablation.yaml, or with `vary` a name of your own")
    vary: list[str] = Field(default=[], description="all combinations of e.g. dit.training.epochs=10,20")
    target: list[str] = Field(
        default=[], description="stages that every row of a sweep is brought to; evaluation if empty"
    )


class Experiment(dg.Config):
    """One row with one seed of an ablation that the job `sweep` prepared."""

    ablation: str
    run: str


def experiments(root: Path, command: Sequence[str] = COMMAND) -> dg.Definitions:
    """The job `sweep`, the job `experiment`, and the sensor that requests one run of it per row and seed."""
    prepare, run = _sweep(command), _experiment(root, command)
    return dg.Definitions(jobs=[prepare, run], sensors=[_fan_out(prepare, run)])


def _sweep(command: Sequence[str]) -> dg.JobDefinition:
    @dg.op(
        pool="accelerator",  # the artefacts that all rows share may need a training
        description="Check every row's parameters, make what all rows share, and prepare the workspaces",
    )
    def plan(context: dg.OpExecutionContext, config: Sweep, launcher: Launcher) -> None:
        options = [word for setting in config.vary for word in ("--vary", setting)]
        options += [word for stage in config.target for word in ("--target", stage)]
        finished = launcher.run(context, (*command, config.ablation, *options, "--prepare"))
        if finished.code:
            raise failure(finished)
        ablation = (SWEEPS / f"{config.ablation}.yaml").as_posix() if config.vary else config.ablation
        runs = [line.removeprefix(PREPARED) for line in finished.lines if line.startswith(PREPARED)]
        context.instance.add_run_tags(context.run_id, {ABLATION: ablation, PLANNED: " ".join(runs)})

    description = "Prepare an ablation or a sweep; every row and seed then gets a run of `experiment`"
    return single_op_job(plan, "sweep", description)


def _experiment(root: Path, command: Sequence[str]) -> dg.JobDefinition:
    @dg.op(
        out=dg.Out(dg.Nothing),
        pool="accelerator",
        description="`dvc repro` in the run's own workspace, then the table of all",
    )
    def run(
        context: dg.OpExecutionContext, config: Experiment, launcher: Launcher
    ) -> Iterator[dg.AssetMaterialization]:
        name = Path(config.ablation).stem
        key, folder = dg.AssetKey([KEY, name]), root / SWEEPS / name
        observer = Observer(context, folder / config.run, key)
        finished = launcher.run(context, (*command, config.ablation, "--only", config.run), on_message=observer)
        if finished.code:
            raise failure(finished)
        yield dg.AssetMaterialization(key, metadata=_metadata(root, folder, config.run))

    return single_op_job(run, "experiment", "One row with one seed of a prepared ablation or sweep")


def _metadata(root: Path, folder: Path, run: str) -> Metadata:
    """The table of all finished runs, their plot if there are metrics to plot, and the page."""
    table = (folder / "table.md").read_text(encoding="utf-8")
    page = page_links(root, [folder / "index.html"], folder.glob("plot.png"), run)
    return {"run": run, "table": dg.MetadataValue.md(table), **page, **inline_images(folder.glob("plot.png"))}


def _fan_out(prepare: dg.JobDefinition, run: dg.JobDefinition) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        name="sweeps",
        description="Requests one run of `experiment` for every row and seed that a run of `sweep` prepared",
        monitored_jobs=[prepare],
        request_job=run,
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=10,
    )
    def request(context: dg.RunStatusSensorContext) -> Iterator[dg.RunRequest]:
        tags = context.dagster_run.tags
        for name in tags.get(PLANNED, "").split():
            config = dg.RunConfig(ops={"run": Experiment(ablation=tags[ABLATION], run=name)})
            key = f"{context.dagster_run.run_id} {name}"
            yield dg.RunRequest(run_key=key, run_config=config, tags={ABLATION: tags[ABLATION], CELL: name})

    return request

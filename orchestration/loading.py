"""Builds the definitions of one project. A file that cannot be read does not hide the rest."""

import logging
import os
from pathlib import Path

import dagster as dg

from orchestration.assets.stages import assets
from orchestration.experiments import experiments
from orchestration.graph.derive import load as load_graph
from orchestration.jobs import check_results, pipeline
from orchestration.launcher import Launcher
from orchestration.nightly.definitions import nightly
from orchestration.pools import pools
from orchestration.sync.sensor import external
from orchestration.sync.source import source
from orchestration.workers import workers
from rectok.errors import UserError
from rectok.params import load as load_params

SENSOR_SECONDS = "RECTOK_SENSOR_SECONDS"
"""Environment variable: seconds between two ticks of the sensors `external`, `pools` and `workers`, 30 if it is not set."""

VALIDATION = "DAGSTER_IS_DEFS_VALIDATION_CLI"
"""Environment variable that `dg check defs` sets. Only then does a broken file fail the definitions."""


def build(root: Path) -> dg.Definitions:
    """All definitions of the project at `root`. A file that cannot be read becomes an asset that says why.

    Raises what is wrong with it instead under `dg check defs`.
    """
    seconds = sensor_seconds()
    # Each step is a command in a process group of its own. A Dagster process for it would only cost seconds.
    launcher = {"launcher": Launcher(root=str(root))}
    shared = dg.Definitions(
        resources=launcher, executor=dg.in_process_executor, sensors=[pools(seconds), workers(seconds)]
    )
    parts = [shared, experiments(root)]
    parents: dict[str, bool] = {}
    try:
        graph = load_graph(root)
        sharded = {artefact.name: bool(artefact.shards) for artefact in graph.artefacts}
        evaluated = [artefact for artefact in graph.artefacts if artefact.name == "generation"]
        parents = {name: sharded[name] for artefact in evaluated for name in artefact.parents}
        report = check_results(graph, root)
        sensors = [external(graph, root, report, seconds)]
        parts.append(dg.Definitions(assets=assets(graph, root), jobs=[pipeline(graph, root), report], sensors=sensors))
        parts.append(source(graph, root))
    except (UserError, dg.DagsterInvalidDefinitionError) as error:
        parts.append(_broken("dvc_yaml_is_broken", error))
    try:
        parts.append(nightly(load_params(root / "params.yaml").nightly, root, parents))
    except (UserError, dg.DagsterInvalidDefinitionError) as error:
        parts.append(_broken("params_yaml_is_broken", error))
    return dg.Definitions.merge(*parts)


def sensor_seconds() -> int:
    """The setting `SENSOR_SECONDS`. Raises UserError if it is no positive whole number."""
    text = os.environ.get(SENSOR_SECONDS, "30")
    if not text.isdecimal() or not int(text):
        raise UserError(f"{SENSOR_SECONDS} is {text!r}, but must be a positive whole number of seconds")
    return int(text)


def _broken(name: str, error: Exception) -> dg.Definitions:
    if os.environ.get(VALIDATION):
        raise error
    logging.getLogger("dagster").error("%s: %s", name.replace("_", " "), error)
    return dg.Definitions(assets=[dg.AssetSpec(name, description=str(error), group_name="broken", kinds={"error"})])

"""Puts the definitions of one project together, and keeps what cannot be read from hiding the rest."""

import logging
from pathlib import Path

from dagster import AssetSpec, DagsterInvalidDefinitionError, Definitions, in_process_executor

from orchestration.assets.stages import assets
from orchestration.experiments import experiments
from orchestration.graph.derive import load as load_graph
from orchestration.jobs import pipeline, verdicts
from orchestration.launcher import Launcher
from orchestration.nightly.definitions import nightly
from orchestration.pools import pools
from orchestration.sync.sensor import external
from orchestration.sync.source import source
from rectok.errors import UserError
from rectok.params import load as load_params


def build(root: Path) -> Definitions:
    """All definitions of the project at `root`. What cannot be read becomes an asset that says why."""
    # A step is a command in a process group of its own: to give it a Dagster process too would only cost seconds.
    shared = Definitions(
        resources={"launcher": Launcher(root=str(root))}, executor=in_process_executor, sensors=[pools()]
    )
    parts = [shared, experiments(root)]
    parents: list[str] = []
    try:
        graph = load_graph(root)
        parents = [name for artefact in graph.artefacts if artefact.name == "generation" for name in artefact.parents]
        report = verdicts(graph, root)
        sensors = [external(graph, root, report)]
        parts.append(Definitions(assets=assets(graph, root), jobs=[pipeline(graph, root), report], sensors=sensors))
        parts.append(source(graph, root))
    except (UserError, DagsterInvalidDefinitionError) as error:
        parts.append(_broken("dvc_yaml_is_broken", error))
    try:
        parts.append(nightly(load_params(root / "params.yaml").nightly, root, parents))
    except (UserError, DagsterInvalidDefinitionError) as error:
        parts.append(_broken("params_yaml_is_broken", error))
    return Definitions.merge(*parts)


def _broken(name: str, error: Exception) -> Definitions:
    logging.getLogger("dagster").error("%s: %s", name.replace("_", " "), error)
    return Definitions(assets=[AssetSpec(name, description=str(error), group_name="broken", kinds={"error"})])

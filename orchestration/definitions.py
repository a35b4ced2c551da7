"""What `dagster dev` loads: everything comes from dvc.yaml and params.yaml of the project, and is only merged here."""

import logging
import os
from pathlib import Path

from dagster import AssetSpec, DagsterInvalidDefinitionError, Definitions

from orchestration.bridge import assets
from orchestration.jobs import pipeline
from orchestration.launcher import Launcher
from orchestration.reading import load as load_graph
from orchestration.schedules import nightly
from orchestration.sensors import external
from rectok.errors import UserError
from rectok.params import load as load_params

ROOT = "RECTOK_ROOT"
"""Environment variable with the folder of the project, where that is not the current one."""


def build(root: Path) -> Definitions:
    """All definitions of the project at `root`. What cannot be read becomes an asset that says why."""
    launcher = Definitions(resources={"launcher": Launcher(root=str(root))})
    parts = [launcher]
    parents: list[str] = []
    try:
        graph = load_graph(root)
        parents = [name for artefact in graph.artefacts if artefact.name == "generation" for name in artefact.parents]
        parts.append(
            Definitions(assets=assets(graph, root), jobs=[pipeline(graph, root)], sensors=[external(graph, root)])
        )
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


defs = build(Path(os.environ.get(ROOT, ".")).resolve())

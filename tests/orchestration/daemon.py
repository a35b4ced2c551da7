"""Ticks of Dagster's own daemons, and the tests' only imports of Dagster's private modules."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.definitions.freshness import FreshnessState
from dagster._core.instance.config import dagster_instance_config
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.remote_representation.code_location import GrpcServerCodeLocation
from dagster._core.scheduler.instigation import InstigatorTick, TickStatus
from dagster._core.test_utils import (
    create_run_for_test,
    create_test_daemon_workspace_context,
    freeze_time,
    instance_for_test,
)
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import PythonFileTarget
from dagster._daemon.freshness import FreshnessDaemon
from dagster._daemon.sensor import execute_sensor_iteration
from dagster._scheduler.scheduler import launch_scheduled_runs

from tests import forked

__all__ = [
    "AssetCheckEvaluationPlanned",
    "FreshnessState",
    "GrpcServerCodeLocation",
    "InstigatorTick",
    "TickStatus",
    "WorkspaceProcessContext",
    "check_freshness",
    "create_run_for_test",
    "dagster_instance_config",
    "freeze_time",
    "remote_job",
    "served",
    "tick_schedules",
    "tick_sensors",
]


@contextmanager
def served(folder: Path, program: str, overrides: dict[str, Any] | None = None) -> Iterator[WorkspaceProcessContext]:
    """The code location `program` in a process of its own, and an instance of its own."""
    (folder / "location.py").write_text(program)
    target = PythonFileTarget(str(folder / "location.py"), None, str(folder), "here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", f"{forked.commands()}/python")  # which starts at once
        with (
            instance_for_test(overrides=overrides) as instance,
            create_test_daemon_workspace_context(target, instance) as workspace,
        ):
            yield workspace


def tick_schedules(workspace: WorkspaceProcessContext, now: datetime) -> None:
    """One iteration of the scheduler at the time `now`."""
    with freeze_time(now):
        list(launch_scheduled_runs(workspace, logging.getLogger("scheduler"), now, iteration_times={}))


def tick_sensors(workspace: WorkspaceProcessContext, now: datetime) -> None:
    """One iteration of the sensor daemon at the time `now`."""
    with freeze_time(now):
        list(execute_sensor_iteration(workspace, logging.getLogger("sensors"), None, None))


def check_freshness(workspace: WorkspaceProcessContext, now: datetime) -> None:
    """One iteration of the freshness daemon at the time `now`."""
    with freeze_time(now):
        list(FreshnessDaemon(1).run_iteration(workspace))


def remote_job(location: str, name: str) -> RemoteJobOrigin:
    """The origin of a run whose job `name` belongs to the code location `location`."""
    return RemoteJobOrigin(
        RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), "__repository__"), job_name=name
    )

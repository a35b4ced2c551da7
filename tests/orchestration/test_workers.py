"""The process that works on a run, and what becomes of the run when it is gone."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import cast

import psutil
import pytest
from dagster import DagsterInstance

from orchestration.private import WorkerStatus
from orchestration.workers import WORKER, RunLauncher, process_start, tag_run
from tests.orchestration.daemon import GrpcServerCodeLocation, create_run_for_test, served
from tests.orchestration.project import Project
from tests.orchestration.server import LOCATION, serving, wait_for

CODE_SERVER = ".dagster/grpc_info"


def status(instance: DagsterInstance, tags: dict[str, str]) -> WorkerStatus:
    """What the launcher says about a started run with these tags."""
    launcher = RunLauncher()
    launcher.register_instance(instance)
    return launcher.check_run_worker_health(create_run_for_test(instance, tags=tags)).status


def test_a_run_lives_as_long_as_the_process_that_took_it(instance: DagsterInstance) -> None:
    program = "import sys; print(end='', flush=True); sys.stdin.read()"
    with subprocess.Popen((sys.executable, "-c", program), stdin=subprocess.PIPE) as child:
        tags = {WORKER: f"{socket.gethostname()} {child.pid} {process_start(child.pid)}"}
        assert status(instance, tags) is WorkerStatus.RUNNING
        child.kill()
        wait_for(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE, 10)
        assert status(instance, tags) is WorkerStatus.NOT_FOUND
    assert status(instance, tags) is WorkerStatus.NOT_FOUND


def test_another_process_with_the_same_number_is_not_the_worker(instance: DagsterInstance) -> None:
    run = create_run_for_test(instance).run_id
    tag_run(instance, run)
    mine = instance.get_run_by_id(run)
    assert mine and status(instance, {WORKER: mine.tags[WORKER]}) is WorkerStatus.RUNNING
    assert status(instance, {WORKER: f"{socket.gethostname()} {os.getpid()} other-boot-1"}) is WorkerStatus.NOT_FOUND


def test_of_a_worker_elsewhere_its_code_server_knows(tmp_path: Path) -> None:
    elsewhere = {WORKER: "elsewhere 1 boot-1"}
    with served(tmp_path, "import dagster\ndefs = dagster.Definitions()\n") as workspace:
        location = cast(GrpcServerCodeLocation, workspace.create_request_context().code_locations[0])
        alive = {CODE_SERVER: json.dumps({"host": location.client.host, "socket": location.client.socket})}
        assert status(workspace.instance, elsewhere | alive) is WorkerStatus.NOT_FOUND
        # A server out of reach may come back. A run that no process has taken has begun no command.
        gone = {CODE_SERVER: json.dumps({"host": "localhost", "socket": str(tmp_path / "gone")})}
        assert status(workspace.instance, elsewhere | gone) is WorkerStatus.RUNNING
        assert status(workspace.instance, gone) is WorkerStatus.NOT_FOUND
        assert status(workspace.instance, elsewhere) is WorkerStatus.RUNNING  # no code server: `dagster job execute`


class Apart(Project):
    """Its commands are no forks of a server, so that all processes of `dagster dev` are below it."""

    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**super().environment(), "PATH": path}


def power_loss() -> None:
    """Kill `dagster dev` and everything that it started, at once."""
    dev = next(child for child in psutil.Process().children() if LOCATION in child.cmdline())
    for process in [dev, *dev.children(recursive=True)]:
        process.kill()


@pytest.mark.slow
def test_after_a_power_loss_the_run_fails_within_a_minute_and_its_retry_continues(project: Project) -> None:
    project = Apart(project.root)
    project.change("tokenizer.training.epochs", 99)
    project.steps(10_000)
    step = project.root / "data" / "state" / "tokenizer"
    with serving(project) as server:
        run = server.materialize("tokenizer")
        wait_for(lambda: step.exists() and int(step.read_text()) > 2)
        power_loss()
    reached = int(step.read_text())
    project.steps(reached + 1)
    with serving(project) as server:
        wait_for(lambda: server.run_status(run) == "FAILURE", 60)
        assert f"on {socket.gethostname()} is gone" in server.messages(run)
        retried = server.retry(run)  # it needs the slot of the pool that the dead run held
        wait_for(lambda: server.run_status(retried) == "SUCCESS", 50)
        assert f"continuing at step {reached}" in server.messages(retried)

"""The process that works on a run, and what becomes of the run when it is gone."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

import psutil
import pytest
from dagster import DagsterInstance, DagsterRunStatus, SkipReason, build_sensor_context

from orchestration import workers
from orchestration.private import WorkerStatus
from orchestration.workers import WORKER, RunLauncher, end_lost_runs, process_start, tag_run
from tests.orchestration.daemon import GrpcServerCodeLocation, create_run_for_test, served
from tests.orchestration.project import REPOSITORY, Project
from tests.orchestration.server import serving, wait_for

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


def test_of_a_worker_elsewhere_its_code_server_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = {WORKER: "elsewhere 1 boot-1"}
    with served(tmp_path, "import dagster\ndefs = dagster.Definitions()\n") as workspace:
        location = cast(GrpcServerCodeLocation, workspace.create_request_context().code_locations[0])
        alive = {CODE_SERVER: json.dumps({"host": location.client.host, "socket": location.client.socket})}
        assert status(workspace.instance, elsewhere | alive) is WorkerStatus.NOT_FOUND
        # A server out of reach may come back. A run that no process has taken has begun no command.
        gone = {CODE_SERVER: json.dumps({"host": "localhost", "socket": str(tmp_path / "gone")})}
        assert status(workspace.instance, elsewhere | gone) is WorkerStatus.RUNNING
        assert status(workspace.instance, gone) is WorkerStatus.RUNNING  # its process may be about to take it
        with monkeypatch.context() as patch:
            patch.setattr(workers, "LAUNCH_TIME", -workers.LAUNCH_TIME)
            assert status(workspace.instance, gone) is WorkerStatus.NOT_FOUND
        assert status(workspace.instance, elsewhere) is WorkerStatus.RUNNING  # no code server: `dagster job execute`


def test_a_run_that_is_taken_while_run_monitoring_looks_at_it_lives(
    instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "LAUNCH_TIME", -workers.LAUNCH_TIME)
    server = {CODE_SERVER: json.dumps({"host": "localhost", "socket": "/gone"})}
    launcher = RunLauncher()
    launcher.register_instance(instance)
    read = create_run_for_test(instance, tags=server)
    assert launcher.check_run_worker_health(read).status is WorkerStatus.NOT_FOUND
    tag_run(instance, read.run_id)
    assert launcher.check_run_worker_health(read).status is WorkerStatus.RUNNING


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterInstance]:
    """An instance with our dagster.yaml."""
    shutil.copy(REPOSITORY / ".dagster" / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with DagsterInstance.get() as instance:
        yield instance


def test_a_run_whose_process_is_gone_ends_also_while_it_starts_or_is_cancelled(
    ours: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = {WORKER: f"{socket.gethostname()} {os.getpid()} other-boot-1"}
    mine = {WORKER: f"{socket.gethostname()} {os.getpid()} {process_start(os.getpid())}"}
    server = {CODE_SERVER: json.dumps({"host": "localhost", "socket": "/gone"})}
    status = DagsterRunStatus
    runs = {
        create_run_for_test(ours, status=before, tags=tags).run_id: (before, after)
        for before, after, tags in (
            (status.STARTING, status.FAILURE, server),
            (status.CANCELING, status.CANCELED, lost),
            (status.STARTING, status.STARTING, mine),
            (status.CANCELING, status.CANCELING, mine),
        )
    }

    def states() -> list[DagsterRunStatus]:
        return [run.status for run in (ours.get_run_by_id(each) for each in runs) if run]

    assert end_lost_runs(ours) == []  # the code server may still be about to start them
    assert states() == [before for before, _ in runs.values()]
    monkeypatch.setattr(workers, "LAUNCH_TIME", -workers.LAUNCH_TIME)
    ended = [run for run, (before, after) in runs.items() if before is not after]
    reason = workers.workers(30)(build_sensor_context(ours))
    assert isinstance(reason, SkipReason) and reason.skip_message
    assert all(run in reason.skip_message for run in ended)
    assert states() == [after for _, after in runs.values()]
    assert end_lost_runs(ours) == []


def power_loss(project: Project) -> None:
    """Kill `dg dev` and everything that it started. All stop first, so that none sees another one's end."""
    stopped: dict[int, psutil.Process] = {}
    while new := [
        process for process in psutil.process_iter() if process.pid not in stopped and works_in(project, process)
    ]:
        for process in new:
            process.suspend()
            stopped[process.pid] = process
    for process in stopped.values():
        process.kill()


def works_in(project: Project, process: psutil.Process) -> bool:
    """Whether the current folder of the process is the project's. Commands are forks of a server, and so no children of `dg`."""
    with suppress(psutil.Error):
        return Path(process.cwd()) == project.root
    return False


@contextmanager
def unreadable(file: Path) -> Iterator[None]:
    """Meanwhile, who reads `file` waits."""
    aside = file.rename(file.with_suffix(".aside"))
    os.mkfifo(file)
    yield
    aside.replace(file)


@pytest.mark.slow
def test_after_a_power_loss_runs_fail_within_a_minute_and_a_retry_continues(project: Project) -> None:
    project.change("tokenizer.training.epochs", 99)
    project.steps(10_000)
    step = project.root / "data" / "state" / "tokenizer"
    with serving(project) as server:
        run = server.materialize("tokenizer")
        wait_for(lambda: step.exists() and int(step.read_text()) > 2)
        with unreadable(project.root / "params.yaml"):
            starting = server.materialize("index")
            wait_for(lambda: server.run_status(starting) == "STARTING")
            power_loss(project)
    reached = int(step.read_text())
    project.steps(reached + 1)
    with serving(project) as server:
        wait_for(lambda: server.run_status(run) == server.run_status(starting) == "FAILURE", 60)
        assert "its process was gone before it began" in server.messages(starting)
        assert f"on {socket.gethostname()} is gone" in server.messages(run)
        retried = server.retry(run)  # it needs the slot of the pool that the dead run held
        wait_for(lambda: server.run_status(retried) == "SUCCESS", 50)
        assert f"continuing at step {reached}" in server.messages(retried)

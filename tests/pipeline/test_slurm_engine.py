"""Shards as arrays of a real SLURM: what runs, what fails, and what is left when the head process ends."""

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rectok.artifacts import failed_tasks_file
from rectok.pipeline.cluster_config import SlurmConfig
from rectok.pipeline.slurm import Slurm
from tests import command, forked
from tests.errors import user_error
from tests.pipeline.job_stages import Head, stages
from tests.pipeline.job_stages import until as until_holds
from tests.pipeline.slurm_cluster import cluster, slurm
from tests.project import overridden, write_params

pytestmark = pytest.mark.slow
REPOSITORY = Path(__file__).parents[2]
SHARDS = ["00000", "00001", "00002"]
QUEUED = {
    "machine.executor": "slurm",
    "machine.slurm": {"cpu": ["--cpus-per-task=1"], "gpu": [], "tasks": 2, "retries": 1},
}
SMALL = {"index.shards": SHARDS, "index.limit": 90, **QUEUED}
REPRO = ("rectok", "repro", "shards")


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with cluster(tmp_path_factory.mktemp("slurm")) as configuration, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(configuration))
        yield configuration


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, configuration: Path) -> Path:
    """A project whose shards were packed and checked by SLURM."""
    folder = tmp_path_factory.mktemp("cluster")
    for name in ("dvc.yaml", "versions.yaml"):
        shutil.copy(REPOSITORY / name, folder)
    command.must(folder, "dvc", "init", "--quiet", "--no-scm")
    write_params(folder, SMALL)
    output = command.must(folder, "rectok", "repro", "gate-shards")
    for noun in ("shards", "gate-shards"):
        assert re.search(
            rf"^{noun}: queued as the SLURM job rectok-{noun}-\w{{8}} with 2 tasks for 3 stages$", output, re.M
        )
        assert f"\n{noun}: 3 stages done in" in output
    assert not list((folder / "data/state/slurm").iterdir())
    return folder


@pytest.fixture
def held(project: Path, configuration: Path) -> Iterator[Path]:
    """The project with other parameters, while no node takes a job."""
    (project / "params.yaml").write_text(overridden({**SMALL, "image.background": "black"}))
    slurm(configuration, "scontrol", "update", "nodename=n1,n2", "state=drain", "reason=test")
    yield project
    slurm(configuration, "scontrol", "update", "nodename=n1,n2", "state=resume")


def test_dvc_agrees_with_what_jobs_made(project: Path) -> None:
    assert "up to date" in command.must(project, "dvc", "status", "gate-shards")


def test_a_training_is_one_job(project: Path) -> None:
    output = command.must(project, "rectok", "repro", "teacher")
    assert re.search(
        r"^teacher: queued as the SLURM job rectok-teacher-\w{8} with 1 tasks for 1 stages$", output, re.MULTILINE
    )
    assert "\nteacher: done in" in output and (project / "data/teacher/model.safetensors").exists()


def test_a_task_that_fails_is_queued_again_and_its_log_is_shown(project: Path) -> None:
    (project / "params.yaml").write_text(overridden({**SMALL, "image.background": "black"}))
    with (project / "data/state/locks/shards@00001").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)  # as another run of the stage would
        failed = command.run(project, *REPRO)
    assert "shards: 1 of 3 failed and are queued again\n" in failed.stdout
    assert failed.stdout.count("shards@00001: rectok: stage shards@00001 is already running here") == 2
    assert failed.returncode == 1 and "rectok: shards@00001 failed; its message stands above" in failed.stderr
    assert "shards: 2 stages done in" in failed.stdout  # the other results are kept
    records = [json.loads(line) for line in (project / failed_tasks_file()).read_text().splitlines()]
    assert [record["stage"] for record in records] == ["shards@00001"] * 2
    assert all("rectok: stage shards@00001 is already running here" in record["lines"][-1] for record in records)
    assert "4 of 5 stages have not changed\n" in command.must(project, *REPRO)


def test_ctrl_c_cancels_the_jobs(held: Path, configuration: Path) -> None:
    with repro(held) as process:
        job = queued(process)
        assert job in waiting(configuration)
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 130 and job not in waiting(configuration)


def test_after_a_kill_the_jobs_are_found_again(held: Path, configuration: Path) -> None:
    with repro(held) as process:
        job = queued(process)
        process.kill()
    assert job in waiting(configuration)
    with repro(held) as process:
        until(process, f"shards: goes on with the SLURM job {job} of an earlier run")
        slurm(configuration, "scontrol", "update", "nodename=n1,n2", "state=resume")
        rest, _ = process.communicate()
    assert process.returncode == 0 and "queued as" not in rest and "shards: 3 stages did not change\n" in rest
    assert "up to date" in command.must(held, "dvc", "status", "shards")


def test_jobs_of_other_inputs_are_cancelled(held: Path, configuration: Path) -> None:
    with repro(held) as process:
        job = queued(process)
        process.kill()
    (held / "params.yaml").write_text(overridden({**SMALL, "image.background": "white"}))
    output = command.must(held, *REPRO)  # results of these inputs are known
    assert "shards: 3 stages taken from the run cache\n" in output and job not in waiting(configuration)


def test_a_task_that_is_queued_again_goes_on(here: Path, configuration: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As preemption and a node that fails do it: SIGTERM, then two minutes of waiting, which are cut short here."""
    monkeypatch.setenv("DAGSTER_PIPES_CONTEXT", "a file of another machine")
    group = stages("0", "1")
    Path("1.waits").touch()
    head = Head(Slurm(SlurmConfig(cpu=(), gpu=(), tasks=1, retries=0))).start(group)
    until_holds(Path("1.runs").exists)
    name = head.lines[0].split()[6]
    number = slurm(configuration, "squeue", "--noheader", f"--name={name}", "--format=%A")
    slurm(configuration, "scontrol", "requeue", number.strip())
    until_holds(lambda: slurm(configuration, "squeue", "--noheader", f"--name={name}", "--format=%T") == "PENDING\n")
    Path("1.waits").unlink()
    [log] = Path("data/state/slurm").glob("*/0.log")
    slurm(configuration, "scontrol", "update", f"jobid={number.strip()}", "starttime=now")
    until_holds(lambda: log.exists() and "1 begins" in log.read_text())
    text = log.read_text()
    assert head.wait() == ["shards@0", "shards@1"]
    assert Path("made").read_text() == "0\n1\n"  # what had ended was not made again
    assert text.startswith("0 begins\n1 begins\n") and Path("ended").read_text() == "checkpoint\n"
    assert "DAGSTER_PIPES" not in Path("environment").read_text()


def test_ctrl_c_leaves_a_running_task_time_for_its_checkpoint(here: Path, configuration: Path) -> None:
    group = stages("0")
    Path("0.waits").touch()
    head = Head(Slurm(SlurmConfig(cpu=(), gpu=(), tasks=1, retries=3))).start(group)
    until_holds(Path("0.runs").exists)
    head.stopped.set()
    assert head.wait() == [] and Path("ended").read_text() == "checkpoint\n"
    assert not list(Path("data/state/slurm").iterdir())


def test_what_sbatch_refuses_leaves_nothing_behind(here: Path, configuration: Path) -> None:
    queue = Slurm(SlurmConfig(cpu=("--partition=nowhere",), gpu=(), tasks=1, retries=3))
    sentence = (
        r"SLURM rejects rectok-shards-\w{8}: .*invalid partition.*; machine.slurm in params.yaml holds its options"
    )
    with user_error(f"(?s){sentence}"):
        Head(queue).start(stages("0")).wait()
    assert not list(Path("data/state/slurm").iterdir())


def test_the_head_as_a_job_queues_itself_again_and_leaves_its_jobs_alone(here: Path, configuration: Path) -> None:
    program = here / ".venv/bin/rectok"
    program.parent.mkdir(parents=True)
    waiting = "trap 'touch cancelled; exit 1' TERM; [ -e began ] || { touch began; while :; do sleep 0.05; done; }"
    program.write_text(f'#!/bin/sh\necho "$@" >> calls\n{waiting}\n')
    program.chmod(0o755)
    script = REPOSITORY / "deploy/cluster/head.sh"
    number = slurm(configuration, "sbatch", "--parsable", "--mem=0", str(script), "gate-dit").strip()
    until_holds((here / "began").exists)
    slurm(configuration, "scancel", "--batch", "--signal=USR1", number)  # as SLURM does near the end of its time
    state = ("squeue", "--noheader", "--states=all", f"--jobs={number}", "--format=%T")
    until_holds(lambda: slurm(configuration, *state) == "PENDING\n")
    slurm(configuration, "scontrol", "update", f"jobid={number}", "starttime=now")
    until_holds(lambda: slurm(configuration, *state) == "COMPLETED\n")
    assert (here / "calls").read_text() == "repro gate-dit\nrepro gate-dit\n"
    assert not (here / "cancelled").exists()


def repro(folder: Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PATH": forked.path()}
    return subprocess.Popen(REPRO, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE)


def queued(process: "subprocess.Popen[str]") -> str:
    """The name of the job that it has queued."""
    return until(process, "shards: queued as the SLURM job ").split()[6]


def until(process: "subprocess.Popen[str]", words: str) -> str:
    """The line that begins with `words`."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(words):
            return line
    raise AssertionError(f"{words!r} never came, only {lines}")


def waiting(configuration: Path) -> str:
    """Names of the jobs that wait or run. One that is cancelled takes a moment to end."""
    time.sleep(0.5)
    return slurm(configuration, "squeue", "--noheader", "--format=%j", "--states=PENDING,RUNNING")

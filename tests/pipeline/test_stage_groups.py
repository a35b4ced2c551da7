"""`rectok repro` runs the shards of a stage in one process and records them at once, as the real DVC would one by one."""

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from dagster import DagsterInstance, materialize

from orchestration.assets.stages import assets
from orchestration.graph.derive import load
from orchestration.launcher import Launcher
from rectok.artifacts import failed_tasks_file
from rectok.pipeline import lock, recording
from rectok.pipeline.graph import Stage, opened, stages_of
from rectok.pipeline.recording import Recorder
from tests import command, forked
from tests.errors import user_error
from tests.pipeline.kubernetes_cluster import cluster
from tests.project import overridden, write_params

REPOSITORY = Path(__file__).parents[2]
SHARDS = ["00000", "00001", "00002"]
SMALL = {"index.shards": SHARDS, "index.limit": 90}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("batches")
    for name in ("dvc.yaml", "versions.yaml"):
        shutil.copy(REPOSITORY / name, folder)
    command.must(folder, "dvc", "init", "--quiet", "--no-scm")
    write_params(folder, SMALL)
    output = command.must(folder, "rectok", "repro", "gate-shards", "--jobs", "1")
    assert "shards: 3 stages done in" in output and "gate-shards: 3 stages done in" in output
    assert "shards@00001: shard 00001: " in output and "gate-shards@00002: gate shards: all " in output
    return folder


@pytest.mark.slow
def test_dvc_agrees_with_what_was_recorded(project: Path) -> None:
    assert "up to date" in command.must(project, "dvc", "status", "gate-shards")
    recorded = (project / "dvc.lock").read_text()
    (project / "dvc.lock").unlink()
    restored = command.must(project, "dvc", "repro", "gate-shards")  # its run cache knows every result
    assert "Running stage" not in restored
    assert sorted((project / "dvc.lock").read_text().splitlines()) == sorted(recorded.splitlines())


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Dagster's own
def test_a_run_of_dagster_sends_its_shard_to_pods(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip(
        "kubernetes", reason="the client of Kubernetes is not installed (pip install 'rectok[kubernetes]')"
    )
    values = {"image": "rectok", "claim": "project", "mount": str(project), "tasks": 2}
    queued = {"machine.executor": "kubernetes", **{f"machine.kubernetes.{key}": value for key, value in values.items()}}
    (project / "params.yaml").write_text(overridden({**SMALL, **queued, "image.background": "black"}))
    monkeypatch.setenv("PATH", forked.path())
    command.must(project, "rectok", "repro", "gate-index")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    with cluster(tmp_path), DagsterInstance.ephemeral() as instance:
        result = materialize(
            assets(load(project), project),
            selection=["shards"],
            partition_key="00001",
            instance=instance,
            resources={"launcher": Launcher(root=str(project))},
        )
    assert result.success and all(check.passed for check in result.get_asset_check_evaluations())
    logged = capfd.readouterr().err
    for noun in ("shards", "gate-shards"):
        assert f"{noun}: queued as the Kubernetes job rectok-{noun}-" in logged
    assert lock.read(project)["shards@00001"].params["image"]["background"] == "black"
    assert "up to date" in command.must(project, "dvc", "status", "shards@00001")


@pytest.mark.slow
def test_a_shard_that_fails_keeps_what_had_ended_and_the_next_run_goes_on_from_there(project: Path) -> None:
    (project / "params.yaml").write_text(overridden({**SMALL, "image.background": "black"}))
    with (project / "data/state/locks/shards@00001").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)  # as another run of the stage would
        failed = command.run(project, "rectok", "repro", "shards", "--jobs", "1")
    assert (
        failed.returncode == 1 and "shards@00001: rectok: stage shards@00001 is already running here" in failed.stdout
    )
    assert failed.stderr.endswith("rectok: shards@00001 failed; its message stands above, and what had ended is kept\n")
    [record] = map(json.loads, (project / failed_tasks_file()).read_text().splitlines())
    assert record["stage"] == "shards@00001" and record["lines"][-1].startswith("rectok: stage shards@00001 is already")
    backgrounds = {shard: lock.read(project)[f"shards@{shard}"].params["image"]["background"] for shard in SHARDS}
    assert backgrounds == {"00000": "black", "00001": "white", "00002": "white"}
    again = command.must(project, "rectok", "repro", "shards", "--jobs", "1")
    assert "3 of 5 stages have not changed\n" in again and "shards: 2 stages done in" in again


@pytest.mark.slow
def test_shards_that_another_dvc_holds_are_waited_for_and_results_come_from_the_run_cache(project: Path) -> None:
    for shard in SHARDS:
        (project / f"data/shards/{shard}.tar").unlink()
    held = {"pid": os.getpid(), "cmd": "dvc repro shards@00002"}
    locks = project / ".dvc/tmp/rwlock"
    locks.write_text(json.dumps({"read": {}, "write": {f"{project}/data/shards/00002.tar": held}}))
    words = ["rectok", "repro", "shards", "--jobs", "1"]
    environment = {**os.environ, "PATH": forked.path()}
    with subprocess.Popen(words, cwd=project, env=environment, text=True, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line == "shards: another DVC process holds one of its files; trying again in 1 s\n":
                locks.write_text("{}")
                break
        rest, _ = process.communicate()
    assert process.returncode == 0 and "shards: 3 stages taken from the run cache" in rest
    assert all((project / f"data/shards/{shard}.tar").exists() for shard in SHARDS)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # DVC's own use of pygtrie
def test_other_stages_may_write_beside_what_is_held(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features read data/teacher, and beside it a training may write data/metric_network; of many shards the folder is held."""

    def held(recorder: Recorder, stages: list[Stage]) -> set[str]:
        with recorder.holding(stages):
            record = json.loads((project / ".dvc/tmp/rwlock").read_text())
        return {str(Path(path).relative_to(project)) for mode in ("read", "write") for path in record[mode]}

    with opened(project) as repo:
        stages, recorder = stages_of(repo), Recorder(repo)
        features = [stages[f"features@{shard}"] for shard in SHARDS]
        few = held(recorder, features)
        assert {
            "data/teacher",
            "data/passed/teacher",
            "data/shards/00000.tar",
            "data/features/00002.safetensors",
        } <= few
        monkeypatch.setattr(recording, "MANY", 2)
        assert held(recorder, features) == {
            "data/teacher", "data/passed/teacher", "data/passed/shards", "data/shards", "data/features",
            "params.yaml", "versions.yaml",
        }  # fmt: skip


@pytest.mark.slow
def test_what_ran_with_other_parameters_is_not_recorded(project: Path) -> None:
    with opened(project) as repo:
        stages, recorder = stages_of(repo), Recorder(repo)
        shards = [stages[f"shards@{shard}"] for shard in SHARDS]
        before = (project / "dvc.lock").read_text()
        recorder.begin(shards)
        (project / "params.yaml").write_text(overridden({**SMALL, "image.background": "black"}))
        with user_error(
            r"inputs changed while shards@00000, shards@00001, shards@00002 ran, so what it made is not recorded"
        ):
            recorder.record(shards)
        assert (project / "dvc.lock").read_text() == before
        (project / "params.yaml").write_text(
            overridden({**SMALL, "machine.workers": 1})
        )  # no stage's result depends on it
        recorder.record(shards)
        assert (project / "dvc.lock").read_text() == before


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # DVC's own use of pygtrie
def test_what_two_groups_hold_is_held_until_the_last_one_ends(project: Path) -> None:
    def read() -> set[str]:
        record = json.loads((project / ".dvc/tmp/rwlock").read_text())
        return {str(Path(path).relative_to(project)) for path in record.get("read", {})}

    with opened(project) as repo:
        stages, recorder = stages_of(repo), Recorder(repo)
        first, second = recorder.holding([stages["features@00000"]]), recorder.holding([stages["features@00001"]])
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert {"data/teacher", "data/shards/00001.tar", "params.yaml"} <= read()
        second.__exit__(None, None, None)
        assert read() == set()

"""`dg dev` with its daemon, its queue, its sensors and its buttons.

One server and one project of four shards serve all tests, in this order. Each test leaves everything up to date.
"""

import json
from collections.abc import Iterator

import psutil
import pytest

from tests.orchestration.project import Project, make
from tests.orchestration.server import Server, serving, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

SHARDS = 4
OVER = {"SUCCESS", "FAILURE", "CANCELED"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    project = make(tmp_path_factory.mktemp("served") / "project", SHARDS)
    project.walk()
    with serving(project) as server:
        yield server


def ended(server: Server, run: str) -> str:
    return wait_for(lambda: status if (status := server.run_status(run)) in OVER else None)


def changed(project: Project) -> set[str]:
    """Artefacts and shards of which `dvc status` lists the stage or the gate."""
    status = json.loads(project.run("dvc", "status", "--json").stdout)
    return {name.removeprefix("gate-").removeprefix("gate@") for name in status}


def test_the_sensor_reports_what_dvc_made_before(server: Server) -> None:
    versions = wait_for(lambda: server.data_versions() if server.data_versions().get("report") else None)
    lock = (server.project.root / "dvc.lock").read_text(encoding="utf-8")
    assert len(versions["shards"]) == SHARDS
    assert all(f"md5: {versions[name][0]}" in lock for name in ("index", "tokenizer", "report"))
    wait_for(lambda: server.gate("tokenizer") == "SUCCEEDED" and server.gate("shards", "00003") == "SUCCEEDED")
    assert server.stale() == set()


def test_a_broken_pipeline_shows_its_message_and_a_reload_fixes_it(server: Server) -> None:
    path = server.project.root / "dvc.yaml"
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace("outs: [data/report]", "ouputs: [data/report]"), encoding="utf-8")
    server.reload()
    assert "ouputs" in server.descriptions()["dvc_yaml_is_broken"]
    path.write_text(whole, encoding="utf-8")
    server.reload()
    assert server.descriptions().keys() >= {"index", "shards", "tokenizer", "report"}


def test_staleness_is_what_dvc_status_says(server: Server) -> None:
    project = server.project
    project.change("tokenizer.training.epochs", 99)
    server.reload()
    assert server.stale() == changed(project) == {"tokenizer"}

    # The job `source` detects that an external input changed.
    project.rows("a", "b2", "c", "d")
    assert ended(server, server.launch("source")) == "SUCCESS"
    assert server.stale() == changed(project) == {"tokenizer", "index"}

    # One shard's table changed. DVC lists that shard alone, and so does the UI after the next tick of the sensor.
    assert project.repro("index", "gate@index").returncode == 0
    wait_for(lambda: server.stale() == {"tokenizer", "shards@00001"})
    assert changed(project) == {"tokenizer", "shards@00001"}


def test_a_training_shows_its_progress_stops_after_its_checkpoint_and_resumes_beside_another_run(
    server: Server,
) -> None:
    project = server.project
    assert project.repro("gate-shards@00001").returncode == 0
    project.steps(2000)
    pid = project.root / "data" / "state" / "pid"
    pid.unlink()
    run = server.materialize("tokenizer")
    training = int(wait_for(lambda: pid.exists() and pid.read_text(encoding="utf-8")))
    wait_for(lambda: "tokenizer step 3/2000  64 images/s" in server.messages(run))
    newest, first = wait_for(lambda: len(found := server.observed("tokenizer")) > 1 and found)[-2:]
    assert (first["step"], first["images_per_second"], first["total"]) == (1, 64.0, 1.0)
    assert first["ETA"] and newest["picture"].startswith("![tokenizer](data:image/png")
    server.cancel(run)
    wait_for(lambda: server.run_status(run) == "CANCELED")
    assert not psutil.pid_exists(training)
    step = int((project.root / "data" / "state" / "tokenizer").read_text(encoding="utf-8"))
    assert step >= 3
    assert f"tokenizer stopped at step {step} after its checkpoint" in server.messages(run)

    # Meanwhile the index and a shard are made again. The index does not wait for the training, and the shard waits for a lock.
    retried = server.retry(run)
    wait_for(lambda: f"continuing at step {step}" in server.messages(retried))
    project.rows("a", "b3", "c", "d")
    other = server.materialize("index", "shards", shard="00001")
    wait_for(lambda: "another DVC process holds one of its files" in server.messages(other))
    assert server.run_status(retried) == "STARTED" and server.gate("index") == "SUCCEEDED"
    project.steps(1)
    assert ended(server, retried) == "SUCCESS", server.messages(retried)
    assert ended(server, other) == "SUCCESS", server.messages(other)


def test_a_failed_gate_blocks_until_dvc_repro_outside_passes_it(server: Server) -> None:
    project = server.project
    project.rows("a", "bad1", "c", "d")
    assert ended(server, blocked := server.materialize("index", "shards", "tokenizer", shard="00001")) == "FAILURE"
    assert "shard 00001: row bad1 does not decode" in server.messages(blocked)
    assert server.gate("shards", "00001") == "FAILED"
    # The shard is up to date, so its gate stays failed, and the next stage waits for it.
    assert ended(server, server.materialize("shards", shard="00001")) == "FAILURE"
    assert ended(server, alone := server.materialize("tokenizer")) == "FAILURE"
    assert "tokenizer waits for gate-shards@00001" in server.messages(alone)
    assert server.gate("shards", "00001") == "FAILED"

    project.rows("a", "b4", "c", "d")
    assert project.repro().returncode == 0
    wait_for(lambda: server.gate("shards", "00001") == "SUCCEEDED")
    lock = (project.root / "dvc.lock").read_text(encoding="utf-8")
    wait_for(lambda: f"md5: {server.data_versions()['index'][0]}" in lock and server.stale() == set())


def test_runs_make_shards_one_at_a_time_and_materialize_all_makes_them_in_one_run(server: Server) -> None:
    project = server.project
    before = server.data_versions()
    project.rows("m", "n", "o", "p", "q")
    assert ended(server, server.materialize("index")) == "SUCCESS"
    runs = [server.materialize("shards", shard=shard) for shard in ("00000", "00001")]
    assert [ended(server, run) for run in runs] == ["SUCCESS", "SUCCESS"]
    # All shards share a pool of one slot (meta.pool in dvc.yaml, concurrency.pools in dagster.yaml).
    (_, end), (begin, _) = sorted(server.steps(runIds=runs))
    assert end <= begin

    backfill = server.materialize_all("index", "shards", "tokenizer", "report")
    status = wait_for(lambda: (s := server.backfill_status(backfill)) != "REQUESTED" and s, seconds=600)
    assert status == "COMPLETED_SUCCESS"
    assert "Data and pipelines are up to date." in project.repro().stdout
    after = server.data_versions()
    assert before["index"] != after["index"]
    assert not set(before["shards"]) & set(after["shards"])
    assert len(server.steps(tags=[{"key": "dagster/backfill", "value": backfill}])) == 1

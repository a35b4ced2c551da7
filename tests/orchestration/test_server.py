"""What a person gets from `dagster dev`: the daemon, the queue, the sensor and the buttons, all real.

One server and one project of 32 shards serve all tests, in this order; each leaves everything up to date.
"""

import json
from collections.abc import Iterator
from itertools import pairwise

import psutil
import pytest

from tests.orchestration.project import Project, make
from tests.orchestration.server import Server, serving, waited

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

SHARDS = 32
OVER = {"SUCCESS", "FAILURE", "CANCELED"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    project = make(tmp_path_factory.mktemp("served") / "project", SHARDS)
    project.walk()
    with serving(project) as server:
        yield server


def ended(server: Server, run: str) -> str:
    return waited(lambda: status if (status := server.run_status(run)) in OVER else None)


def changed(project: Project) -> set[str]:
    """Artefacts and shards that `dvc status` finds changed, themselves or their gates."""
    told = json.loads(project.run("dvc", "status", "--json").stdout)
    return {name.removeprefix("gate-").removeprefix("gate@") for name in told}


def test_the_sensor_reports_what_dvc_made_before(server: Server) -> None:
    versions = waited(lambda: server.data_versions() if server.data_versions().get("report") else None)
    lock = (server.project.root / "dvc.lock").read_text(encoding="utf-8")
    assert len(versions["shards"]) == SHARDS
    assert all(f"md5: {versions[name][0]}" in lock for name in ("index", "tokenizer", "report"))
    waited(lambda: server.gate("tokenizer") == "SUCCEEDED" and server.gate("shards", "00031") == "SUCCEEDED")
    assert server.stale() == set()


def test_a_broken_pipeline_is_shown_with_its_message_and_mended_by_a_reload(server: Server) -> None:
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

    # Data that changed outside is seen by a look, and not before.
    project.rows("a", "b2", "c", "d")
    assert ended(server, server.launch("source")) == "SUCCESS"
    assert server.stale() == changed(project) == {"tokenizer", "index"}

    # One shard's table changed: DVC asks for that shard alone, and so does the UI once the sensor has looked.
    assert project.repro("index", "gate@index").returncode == 0
    waited(lambda: server.stale() == {"tokenizer", "shards@00001"})
    assert changed(project) == {"tokenizer", "shards@00001"}


def test_a_training_shows_itself_and_is_cancelled_after_its_checkpoint_and_a_retry_goes_on_beside_another_run(
    server: Server,
) -> None:
    project = server.project
    assert project.repro("gate-shards@00001").returncode == 0
    project.steps(2000)
    pid = project.root / "data" / "state" / "pid"
    pid.unlink()
    run = server.materialize("tokenizer")
    training = int(waited(lambda: pid.exists() and pid.read_text(encoding="utf-8")))
    waited(lambda: "tokenizer step 3/2000  64 images/s" in server.messages(run))
    newest, first = waited(lambda: len(found := server.observed("tokenizer")) > 1 and found)[-2:]
    assert (first["step"], first["images_per_second"], first["total"]) == (1, 64.0, 1.0)
    assert first["ETA"] and newest["picture"].startswith("![tokenizer](data:image/png")
    server.cancel(run)
    waited(lambda: server.run_status(run) == "CANCELED")
    assert not psutil.pid_exists(training)
    step = int((project.root / "data" / "state" / "tokenizer").read_text(encoding="utf-8"))
    assert step >= 3
    assert f"tokenizer stopped at step {step} after its checkpoint" in server.messages(run)

    # Meanwhile the index and a shard are made anew: the first beside the training, the second waits for what it reads.
    retried = server.retry(run)
    waited(lambda: f"continuing at step {step}" in server.messages(retried))
    project.rows("a", "b3", "c", "d")
    other = server.materialize("index", "shards", shard="00001")
    waited(lambda: "another DVC process holds a file that" in server.messages(other))
    assert server.run_status(retried) == "STARTED" and server.gate("index") == "SUCCEEDED"
    project.steps(1)
    assert (ended(server, retried), ended(server, other)) == ("SUCCESS", "SUCCESS")


def test_a_failed_gate_blocks_and_is_not_laundered_until_dvc_has_mended_it_outside(server: Server) -> None:
    project = server.project
    project.rows("a", "bad1", "c", "d")
    assert ended(server, blocked := server.materialize("index", "shards", "tokenizer", shard="00001")) == "FAILURE"
    assert "shard 00001: row bad1 does not decode" in server.messages(blocked)
    assert server.gate("shards", "00001") == "FAILED"
    # Nothing is left to do for the shard, and so its gate is what it was; what comes next waits for it.
    assert ended(server, server.materialize("shards", shard="00001")) == "FAILURE"
    assert ended(server, alone := server.materialize("tokenizer")) == "FAILURE"
    assert "tokenizer waits for gate-shards@00001" in server.messages(alone)
    assert server.gate("shards", "00001") == "FAILED"

    project.rows("a", "b4", "c", "d")
    assert project.repro().returncode == 0
    waited(lambda: server.gate("shards", "00001") == "SUCCEEDED")
    lock = (project.root / "dvc.lock").read_text(encoding="utf-8")
    waited(lambda: f"md5: {server.data_versions()['index'][0]}" in lock and server.stale() == set())


def test_materialize_all_does_what_dvc_repro_does_with_its_32_shards_one_at_a_time(server: Server) -> None:
    project = server.project
    project.rows("m", "n", "o", "p", "q")
    before = server.data_versions()
    backfill = server.materialize_all("index", "shards", "tokenizer", "report")
    status = waited(lambda: (s := server.backfill_status(backfill)) != "REQUESTED" and s, seconds=1100)
    assert status == "COMPLETED_SUCCESS"
    assert "Data and pipelines are up to date." in project.repro().stdout
    after = server.data_versions()
    assert before["index"] != after["index"] and before["shards"] != after["shards"]
    steps = sorted(server.steps(backfill))
    assert len(steps) == SHARDS
    # All shards share a pool of one slot (meta.pool in dvc.yaml, concurrency.pools in dagster.yaml).
    assert all(end <= begin for (_, end), (begin, _) in pairwise(steps))

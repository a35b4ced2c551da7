"""What a person gets from `dagster dev`: the daemon, the queue, the sensor and the button, all real."""

from collections.abc import Iterator

import psutil
import pytest

from tests.orchestration.project import make
from tests.orchestration.server import Server, serving, waited

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    project = make(tmp_path_factory.mktemp("served") / "project")
    assert project.repro().returncode == 0
    with serving(project) as server:
        yield server


def test_the_sensor_reports_what_dvc_made_before(server: Server) -> None:
    versions = waited(lambda: server.data_versions() if server.data_versions().get("report") else None)
    lock = (server.project.root / "dvc.lock").read_text(encoding="utf-8")
    assert len(versions["shards"]) == 2
    assert all(f"md5: {versions[name][0]}" in lock for name in ("index", "tokenizer", "report"))
    query = """{ assetNodes { assetKey { path } assetChecksOrError { ... on AssetChecks { checks {
        name blocking executionForLatestMaterialization { status } } } } } }"""

    def judged() -> bool:
        nodes = {
            node["assetKey"]["path"][0]: node["assetChecksOrError"]["checks"]
            for node in server.ask(query)["assetNodes"]
        }
        [gate] = nodes["tokenizer"]
        return gate["blocking"] and (gate["executionForLatestMaterialization"] or {}).get("status") == "SUCCEEDED"

    waited(judged)


def test_cancelling_a_run_stops_the_training_after_its_checkpoint_and_dvc_goes_on_from_there(server: Server) -> None:
    project = server.project
    project.change("tokenizer.training.epochs", 99)
    project.steps(2000)
    pid = project.root / "data" / "state" / "pid"
    pid.unlink()
    run = server.materialize("tokenizer")
    training = int(waited(lambda: pid.exists() and pid.read_text(encoding="utf-8")))
    waited(lambda: "tokenizer step 3/2000  64 images/s" in server.messages(run))
    server.cancel(run)
    waited(lambda: server.run_status(run) == "CANCELED")
    assert not psutil.pid_exists(training)
    step = int((project.root / "data" / "state" / "tokenizer").read_text(encoding="utf-8"))
    assert step >= 3
    assert f"tokenizer stopped at step {step} after its checkpoint" in server.messages(run)

    project.steps(step + 1)
    resumed = project.repro()  # and no lock is left behind
    assert resumed.returncode == 0 and f"continuing at step {step}" in resumed.stdout


def test_materialize_all_does_what_dvc_repro_does(server: Server) -> None:
    project = server.project
    project.rows("m", "n", "o", "p", "q")
    before = server.data_versions()
    backfill = server.materialize_all("index", "shards", "tokenizer", "report")
    status = waited(lambda: (s := server.backfill_status(backfill)) != "REQUESTED" and s, seconds=900)
    assert status == "COMPLETED_SUCCESS"
    assert "Data and pipelines are up to date." in project.repro().stdout
    after = server.data_versions()
    assert before["index"] != after["index"] and before["shards"] != after["shards"]

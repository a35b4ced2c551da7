"""Our own stages under `dg dev`, with tiny parameters: a cancelled training that resumes, and a sweep.

One server serves all tests, in this order.
"""

import json
import re
from collections.abc import Iterator

import pytest

from tests.orchestration.project import make_ours
from tests.orchestration.server import Server, serving, wait_for
from tests.orchestration.test_server import ended
from tests.project import TINY, write_params

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

EPOCHS = 100
CHANGES = {
    "tokenizer.training.epochs": EPOCHS,
    "tokenizer.training.checkpoint_every": 10_000,
    "nightly.cron": "0 0 1 1 *",  # no nightly run starts during a test
}
SWEEP = {"ablation": "lengths", "vary": ["tokenizer.training.epochs=1,2"], "target": ["gate@tokenizer"]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    project = make_ours(tmp_path_factory.mktemp("trained") / "project")
    write_params(project.root, CHANGES)
    made = project.repro("gate-shards", "gate-features", "gate@teacher")
    assert made.returncode == 0, made.stdout + made.stderr
    with serving(project) as server:
        yield server


def test_a_cancelled_training_stops_after_its_checkpoint_and_a_retry_finishes_it(server: Server) -> None:
    data = server.project.root / "data"
    run = server.materialize("tokenizer")
    wait_for(lambda: re.search(r"tokenizer step \d+/\d+", server.messages(run)))
    server.cancel(run)
    assert ended(server, run) == "CANCELED"
    stopped = re.search(r"tokenizer stopped at step (\d+) of \d+ after its checkpoint", server.messages(run))
    assert stopped and (step := int(stopped[1])) > 0
    [checkpoint] = (data / "state" / "tokenizer").glob("*/step-*")
    assert int(checkpoint.name.removeprefix("step-")) == step
    assert not (data / "tokenizer" / "model.safetensors").exists()

    assert ended(server, again := server.retry(run)) == "SUCCESS", server.messages(again)
    assert f"tokenizer goes on at step {step} of" in server.messages(again)
    steps = [int(line.split(",")[0]) for line in (data / "tokenizer" / "log.csv").read_text().splitlines()[1:]]
    assert steps == sorted(set(steps)) and steps[0] < step < steps[-1]  # one curve of both runs
    assert server.gate("tokenizer") == "SUCCEEDED"
    [shown] = server.materialized("tokenizer")
    assert shown["PSNR (dB)"] > 0 and shown["time (s)"] > 0 and "loss, end over start" in shown
    assert json.loads(shown["details"])["runs"] == "rectok tokenizer"
    assert all(shown[picture].startswith("![") for picture in ("loss", "preview.png"))


def test_shards_made_outside_show_their_rows(server: Server) -> None:
    shown = wait_for(lambda: len(found := server.materialized("shards")) == 2 and found)
    assert sum(shard["dagster/row_count"] for shard in shown) == TINY["index.limit"]


def test_a_sweep_gets_a_run_of_each_of_its_rows_from_the_daemon(server: Server) -> None:
    run = server.launch("sweep", {"ops": {"plan": {"config": SWEEP}}})
    assert ended(server, run) == "SUCCESS", server.messages(run)
    rows = wait_for(lambda: len(found := server.runs("experiment")) == 2 and found)
    assert {row["rectok/run"] for row in rows} == {"1-epochs1-s0", "2-epochs2-s0"}
    for row in rows:
        assert ended(server, row["id"]) == "SUCCESS", server.messages(row["id"])
        assert "tokenizer step 1/" in server.messages(row["id"])
    folder = server.project.root / "data" / "ablations" / "lengths"
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "tokenizer.training.epochs = 1" in page and "tokenizer.training.epochs = 2" in page and "not run" not in page
    assert "No target is an evaluation" in page

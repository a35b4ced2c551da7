"""Experiments as people run them: `dvc exp run`, its queue, what DVC compares, and sweeps through Dagster's jobs."""

import csv
import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dagster import (
    DagsterEventType,
    DagsterInstance,
    Definitions,
    ExecuteInProcessResult,
    RunRequest,
    build_run_status_sensor_context,
)
from ruamel.yaml import YAML

from orchestration.experiments import experiments
from orchestration.launcher import Launcher
from rectok.params import preset_text
from tests.command import must
from tests.orchestration.server import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("commands_at_once")]
REPOSITORY = Path(__file__).parents[1]

# One cheap stage in place of the real ones: what it writes has the real names, columns and writers.
WORK = """
import base64, sys
from rectok.artifacts import DATA, log_file
from rectok.evaluation.metrics import metrics_of
from rectok.evaluation.metrics import record_of, write_record
from rectok.files import write_bytes, write_text
from ruamel.yaml import YAML

epochs = YAML(typ="safe").load(open("params.yaml"))["dit"]["training"]["epochs"]
if epochs == 13:
    sys.exit("rectok: thirteen epochs bring bad luck; take another number")
for stage in ("tokenizer", "decoder", "dit", "autoguidance"):
    validated = {1: ",", 2: "20,0.5", 3: "22,0.4"}
    rows = "".join(f"{n},{64 * n},0.001,{epochs / n},{1 / n},{2 / n},{validated[n]}\\n" for n in (1, 2, 3))
    write_text(log_file(stage), f"step,images,lr,total,pixel,semantic,val_psnr,val_loss\\n{rows}")
metrics = {
    "reconstruction": {"psnr": 20.0, "rfid": 1.0},
    "probe": {"probe": [{"t": 0.0, "accuracy": 0.9}, {"t": 0.5, "accuracy": epochs / 100}], "semantic_accuracy": 0.8},
    "generation": {"gfid": 60 / epochs, "gfid_guided": 30 / epochs, "sample_accuracy": None},
}
for stage, measured in metrics.items():
    whole = dict.fromkeys(metrics_of(stage), None) | measured
    write_record(stage, record_of(stage, whole, {"epochs": epochs, "sampler": "euler"}, "a metric network"))
for picture in ("reconstruction/grid.png", "generation/unguided.png", "generation/guided.png"):
    write_bytes(DATA / picture, base64.b64decode(PICTURE))
"""
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg=="
OUTS = ["tokenizer", "decoder", "dit", "autoguidance", "reconstruction", "probe", "generation"]


@dataclass(frozen=True)
class Project:
    """A git repository with DVC, our own metrics and plots, and our own params.yaml."""

    root: Path

    def run(self, *command: str) -> str:
        """What a command printed that had to succeed."""
        return must(self.root, *command)

    def json(self, *command: str) -> Any:
        """The same, where it is JSON."""
        return json.loads(self.run(*command, "--json"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("experiments"))
    ours = YAML(typ="safe", pure=True).load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))
    work = tmp_path_factory.mktemp("work") / "work.py"  # where every workspace finds it
    work.write_text(f"PICTURE = {PICTURE!r}\n{WORK}")
    stage = {"cmd": f"python {work}", "params": ["seed", "dit"], "outs": [f"data/{out}" for out in OUTS]}
    tree = {"stages": {"all": stage}, "metrics": ours["metrics"], "plots": ours["plots"]}
    (project.root / "dvc.yaml").write_text(json.dumps(tree))
    (project.root / "params.yaml").write_text(preset_text("digits"))
    shutil.copy(REPOSITORY / ".gitignore", project.root)
    project.run("git", "init", "-q")
    project.run("git", "config", "user.name", "a person")
    project.run("git", "config", "user.email", "a@here.example")
    project.run("dvc", "init", "-q")
    project.run("dvc", "config", "core.analytics", "false")
    project.run("dvc", "repro", "-q")
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "one")
    return project


def test_an_experiment_and_a_queue_of_them_and_what_dvc_says_of_them(project: Project) -> None:
    project.run("dvc", "exp", "run", "-q", "-n", "half", "-S", "dit.training.epochs=30")
    [changes] = project.json("dvc", "params", "diff").values()
    assert changes == {"dit.training.epochs": {"old": 60, "new": 30, "diff": -30}}
    metrics = project.json("dvc", "metrics", "diff")
    assert metrics.keys() == {"data/generation/metrics.json", "data/probe/metrics.json"}
    assert metrics["data/generation/metrics.json"]["gfid"] == {"old": 1.0, "new": 2.0, "diff": 1.0}
    # Beside what changed there are no words, and the probe is there at every t.
    assert metrics["data/probe/metrics.json"].keys() == {"probe@0.5"}

    plots = project.json("dvc", "plots", "diff", "HEAD")
    assert not plots.get("errors")
    curves = {"Tokenizer", "Decoder", "Generator and autoguidance model", "Linear probe along the flow"}
    lines, pictures = {*curves, "Validation PSNR", "Validation loss"}, 3
    assert lines <= plots["data"].keys() and len(plots["data"]) == len(lines) + pictures
    for name in lines:
        [drawn] = plots["data"][name]
        revisions = {value["rev"] for value in drawn["content"]["data"]["values"]}
        assert revisions == {"workspace", "HEAD"}
    both = plots["data"]["Generator and autoguidance model"][0]["content"]["data"]["values"]
    assert {value["filename"] for value in both} == {"dit/log.csv", "autoguidance/log.csv"}

    project.run("git", "checkout", "-q", "params.yaml", "dvc.lock")
    project.run("dvc", "exp", "run", "-q", "--queue", "-S", "dit.training.epochs=10,20")
    project.run("dvc", "queue", "start")
    wait_for(lambda: project.run("dvc", "queue", "status").count("Success") == 2)
    shown = project.run("dvc", "exp", "show", "--csv", "--drop", ".*", "--keep", "gfid$|dit.training.epochs")
    found = {(row["dit.training.epochs"], row["gfid"]) for row in csv.DictReader(io.StringIO(shown))}
    assert found >= {("60", "1.0"), ("30", "2.0"), ("10", "6.0"), ("20", "3.0")}


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    (tmp_path / "instance").mkdir()
    with DagsterInstance.ephemeral(tempdir=str(tmp_path / "instance")) as instance:
        yield instance


def test_a_sweep_gets_a_run_for_each_of_its_rows_and_one_page(project: Project, instance: DagsterInstance) -> None:
    launcher = Definitions(resources={"launcher": Launcher(root=str(project.root))})
    definitions = Definitions.merge(experiments(project.root), launcher)

    def ran(job: str, config: dict[str, Any]) -> ExecuteInProcessResult:
        found = definitions.resolve_job_def(job)
        return found.execute_in_process(run_config=config, instance=instance, raise_on_error=False)

    vary = {"ablation": "lengths", "vary": ["dit.training.epochs=10,13"], "target": ["all"]}
    planned = ran("sweep", {"ops": {"plan": {"config": vary}}})
    assert planned.success
    run = instance.get_run_by_id(planned.run_id)
    assert run is not None
    [event] = [event for event in planned.all_events if event.event_type is DagsterEventType.RUN_SUCCESS]
    sensor = definitions.get_repository_def().get_sensor_def("sweeps")
    requests = list(sensor(build_run_status_sensor_context("sweeps", event, instance, run)))  # type: ignore[arg-type]
    assert [request.tags["rectok/run"] for request in requests] == ["1-epochs10-s0", "2-epochs13-s0"]

    good, bad = (ran("experiment", dict(request.run_config)) for request in requests if isinstance(request, RunRequest))
    assert good.success and not bad.success
    [failure] = [event for event in bad.all_events if event.is_step_failure]
    assert "thirteen epochs bring bad luck" in failure.step_failure_data.error_display_string
    [made] = good.get_asset_materialization_events()
    assert made.asset_key is not None and made.asset_key.to_user_string() == "experiments/lengths"
    table = str(made.materialization.metadata["table"].value)
    assert "| dit.training.epochs = 10 | 20.00 dB | 1.000 | 6.000 | 3.000 |" in table
    page = (project.root / "data" / "ablations" / "lengths" / "index.html").read_text(encoding="utf-8")
    assert "6.000" in page and "not run" in page and "http" not in page.replace("http-equiv", "")

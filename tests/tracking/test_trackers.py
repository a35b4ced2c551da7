"""TensorBoard, Weights & Biases and MLflow with their real libraries, offline or on loopback."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pytest

from rectok import artifacts
from rectok.params import Params
from rectok.params.editing import changed
from rectok.params.loading import validated
from rectok.reporting.images import write_png
from rectok.tracking.trackers import FOLDER, require_packages, run_name, track_results, tracked_training
from tests.errors import user_error
from tests.ports import free_port
from tests.project import preset

pytestmark = pytest.mark.usefixtures("here")
Points = dict[str, list[tuple[int, float]]]


def settings(**tracking: object) -> Params:
    return changed(
        validated(preset("digits"), "params.yaml"), {f"tracking.{name}": value for name, value in tracking.items()}
    )


def rows(first: int, last: int, shift: float) -> Iterator[Mapping[str, float]]:
    for step in range(first, last + 1):
        yield {"step": step, "images": 64 * step, "lr": 0.1, "total": step + shift}


def follow(params: Params, first: int, last: int, shift: float = 0.0) -> None:
    """The rows of a training from `first` on."""
    with tracked_training(params.tracking, params, "dit") as track:
        assert track is not None
        for row in rows(first, last, shift):
            track(row)


def finish(params: Params, pause: float = 0.0) -> None:
    """A picture of the training, and the metrics of an evaluation."""
    write_png(artifacts.stage_dir("dit") / "preview.png", np.zeros((4, 4, 3), np.uint8))
    artifacts.write_json(artifacts.summary_file("dit"), {"steps": 4})
    artifacts.write_json(artifacts.metrics_file("probe"), {"probe@0.5": 0.75})
    for stage in ("dit", "probe"):
        time.sleep(pause)
        track_results(params.tracking, params, stage)


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an MLflow server that is gone."""
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return f"http://127.0.0.1:{free_port()}"


def test_without_trackers_nothing_is_tracked_or_imported() -> None:
    params = settings()
    with tracked_training(params.tracking, params, "dit") as track:
        assert track is None
    assert not FOLDER.exists()


def test_what_can_change_a_result_names_the_run() -> None:
    params = settings()
    name = run_name(params)
    assert name.startswith(f"{Path.cwd().name}-")
    assert name == run_name(changed(params, {"tracking.tensorboard": True, "machine.workers": 3}))
    assert name != run_name(changed(params, {"dit.training.epochs": 61}))


def test_tensorboard_shows_a_resumed_training_once() -> None:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    params = settings(tensorboard=True)
    follow(params, 1, 3)
    follow(params, 3, 4, shift=0.5)  # from the checkpoint at step 2
    finish(params)
    assert tensorboard_points(params) == [(1, 1.0), (2, 2.0), (3, 3.5), (4, 4.5)]
    accumulator = accumulators.EventAccumulator(str(FOLDER / "tensorboard" / run_name(params) / "dit"))
    accumulator.Reload()
    assert accumulator.Tags()["scalars"] == ["lr", "total"] and accumulator.Tags()["images"] == ["preview"]
    probe = accumulators.EventAccumulator(str(FOLDER / "tensorboard" / run_name(params) / "probe"))
    probe.Reload()
    assert [event.value for event in probe.Scalars("probe@0.5")] == [0.75]


def test_weights_and_biases_keeps_every_stage_offline_under_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    params = settings(wandb=True)
    follow(params, 1, 3)
    finish(params, pause=1.1)  # the folder of a session is named after its second
    files = sorted(FOLDER.glob("wandb/offline-run-*/*.wandb"))
    assert len(files) == 3 and {path.stem for path in files} == {f"run-{run_name(params)}"}
    contents = zip((b"dit/total", b"dit/preview", b"probe/probe@0.5"), files, strict=True)
    assert all(name in path.read_bytes() for name, path in contents)


def test_a_resumed_training_goes_on_without_a_tracker_that_is_gone_and_the_other_tracker_gets_every_row(
    no_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    params = settings(tensorboard=True, mlflow=no_server)
    follow(params, 20, 21)  # a training logs its first row at step 10
    assert capsys.readouterr().out.count("warning: tracking.mlflow cannot begin") == 1
    assert tensorboard_points(params) == [(20, 20.0), (21, 21.0)]


def tensorboard_points(params: Params) -> list[tuple[int, float]]:
    """The loss by step in the event files of `dit`."""
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    accumulator = accumulators.EventAccumulator(str(FOLDER / "tensorboard" / run_name(params) / "dit"))
    accumulator.Reload()
    return [(event.step, event.value) for event in accumulator.Scalars("total")]


def check_mlflow(uri: str) -> None:
    """One run has the numbers and the pictures of all stages, and a second tracker has them, too."""
    from mlflow.tracking import MlflowClient

    params = settings(mlflow=uri, tensorboard=True)
    follow(params, 1, 2)
    time.sleep(1.1)  # TensorBoard reads files of the same second by their names, the tenth before the ninth
    follow(params, 3, 4)
    finish(params)
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(Path.cwd().name)
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == run_name(params) and run.info.status == "FINISHED"
    history = client.get_metric_history(run.info.run_id, "dit/total")
    points = [(step, float(step)) for step in (1, 2, 3, 4)]
    assert sorted((point.step, point.value) for point in history) == points == tensorboard_points(params)
    assert run.data.metrics["probe/probe_at_0.5"] == 0.75
    assert [file.path for file in client.list_artifacts(run.info.run_id, "dit")] == ["dit/preview.png"]


def test_mlflow_writes_to_a_store_without_a_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    check_mlflow((tmp_path / "store").as_uri())


@pytest.fixture
def mlflow_server(tmp_path: Path) -> Iterator[str]:
    """A real server on loopback, from an environment of its own: its packages and ours exclude each other."""
    executable = os.environ.get("RECTOK_MLFLOW")
    if not executable:
        pytest.skip("RECTOK_MLFLOW names no `mlflow` of an environment in which `pip install mlflow` was run")
    port = free_port()
    command = [executable, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    stores = ["--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db", "--artifacts-destination", f"{tmp_path}/files"]
    with (tmp_path / "server.log").open("w") as log:
        server = subprocess.Popen([*command, *stores], stdout=log, stderr=log, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    while True:
        assert server.poll() is None, (tmp_path / "server.log").read_text()
        try:
            with urlopen(f"{address}/health", timeout=5):
                break
        except (URLError, OSError):
            time.sleep(0.2)
    yield address
    os.killpg(server.pid, 15)
    server.wait()


@pytest.mark.slow
def test_an_mlflow_server_keeps_every_stage_under_one_run(mlflow_server: str) -> None:
    pytest.importorskip("mlflow")
    check_mlflow(mlflow_server)


def test_a_package_that_is_missing_is_named_with_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with user_error(r"tracking\.wandb needs a package that is missing .*`pip install 'rectok\[wandb\]'` brings it"):
        follow(settings(wandb=True), 1, 1)


def test_a_missing_package_is_named_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for tracking in ({"tensorboard": True}, {"wandb": True}, {"mlflow": "http://127.0.0.1:5000"}):
        [name] = tracking
        with user_error(
            rf"tracking\.{name} needs a package that is missing; `pip install 'rectok\[{name}\]'` brings it"
        ):
            require_packages(settings(**tracking).tracking)
    require_packages(settings().tracking)


def test_a_server_that_is_gone_when_a_stage_has_ended_is_a_warning(
    no_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(settings(mlflow=no_server))
    assert capsys.readouterr().out.count("goes on without it, and data/ has all that it makes") == 2


def test_the_name_of_a_run_has_letters_digits_and_hyphens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bob's photos: #1"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert run_name(settings()).startswith("bob-s-photos-1-")


def test_a_server_that_is_not_there_is_a_sentence(no_server: str) -> None:
    with user_error(r"tracking\.mlflow cannot begin: .*"):
        follow(settings(mlflow=no_server), 1, 1)


def test_a_tracker_that_fails_later_does_not_end_the_training(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorboard")
    params = settings(tensorboard=True)
    with tracked_training(params.tracking, params, "dit") as track:
        assert track is not None
        track({"step": 1, "images": 64, "lr": 0.1, "total": 1.0})
        track({"step": 2, "images": 64, "lr": 0.1, "total": None})  # type: ignore[dict-item]
        track({"step": 3, "images": 64, "lr": 0.1, "total": 1.0})
    assert capsys.readouterr().out.count("warning: TensorBoard gets no more of this stage") == 1

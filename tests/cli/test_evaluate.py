import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rectok import artifacts
from rectok.alerts import channels
from rectok.cli.main import app
from rectok.errors import UserError
from rectok.files import write_text
from rectok.nightly.history import read_history, write_history
from rectok.params.editing import edited
from tests.alerts.servers import Hook, webhook
from tests.evaluation import project
from tests.nightly.promoting import better

ASKED = {
    "psnr", "ssim", "rfid", "gfid", "gfid_guided", "inception_score", "precision", "recall", "metric_network_accuracy",
    "sample_accuracy", "sample_accuracy_guided", "probe",
}  # fmt: skip


@pytest.fixture(autouse=True)
def finished(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    project.build_results()


def test_summary_is_one_json_object_and_loads_no_torch() -> None:
    code = "import sys; sys.argv = ['rectok', 'summary']\nfrom rectok.cli.main import main\ntry: main()\n"
    code += "except SystemExit as end: sys.exit('torch was loaded' if 'torch' in sys.modules else end.code)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found.keys() > ASKED
    assert found["networks"].keys() >= ASKED
    assert found["probe"] == [{"t": 0.0, "accuracy": 0.9}, {"t": 0.5, "accuracy": 0.75}]
    assert found["seconds"]["shards"] == 3.0


def test_summary_as_text_names_figures_and_the_report() -> None:
    write_text(artifacts.stage_dir("report") / "index.html", "x")
    result = CliRunner().invoke(app, ["summary", "--text"])
    assert result.exit_code == 0
    for text in ("PSNR", "27.50 dB", "Linear probe at t = 0.5", "75.0%", "regnetx_002 (a proxy)", "index.html"):
        assert text in result.stdout


def test_other_spaces_are_those_that_the_parameters_name() -> None:
    project.params()
    np.savez("images.npz", arr_0=np.zeros((2, 4, 4, 3), np.uint8))
    result = CliRunner().invoke(app, ["evaluate", "--samples", "images.npz", "--reference", "images.npz", "--spaces"])
    assert str(result.exception) == "--spaces needs generation.spaces in params.yaml, which names no network"


def test_summary_without_an_evaluation_says_what_to_do() -> None:
    artifacts.record_file("generation").unlink()
    result = CliRunner().invoke(app, ["summary"])
    assert isinstance(result.exception, UserError)
    assert "dvc repro" in str(result.exception)


def test_summary_of_a_part_leaves_out_what_was_not_made() -> None:
    artifacts.record_file("generation").unlink()
    artifacts.record_file("probe").unlink()
    found = json.loads(CliRunner().invoke(app, ["summary", "--partial"]).stdout)
    assert found["psnr"] == 27.5
    assert found["protocol"].keys() == {"reconstruction"}
    assert not found.keys() & {"gfid", "probe"}
    text = CliRunner().invoke(app, ["summary", "--partial", "--text"]).stdout
    assert "27.50 dB" in text and "gFID" not in text and "probe" not in text


def test_nightly_catches_up_on_a_date() -> None:
    project.build()
    for day in ("2026-01-02", "2026-01-01"):
        assert CliRunner().invoke(app, ["nightly", "--date", day]).exit_code == 0
    assert [night.date for night in read_history()] == ["2026-01-01", "2026-01-02"]
    result = CliRunner().invoke(app, ["nightly", "--date", "yesterday"])
    assert str(result.exception) == "--date is 'yesterday', but must be a date such as 2026-01-31"


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    """Where alerts go; one night is evaluated, as if the generator had been much better then."""
    project.build()
    path = Path("params.yaml")
    path.write_text(edited(path.read_text(), {"nightly.alert.webhook": "HOOK"}))
    assert CliRunner().invoke(app, ["nightly", "--date", "2026-01-01"]).exit_code == 0
    write_history([better(run) for run in read_history()])
    monkeypatch.setattr(channels, "FIRST_PAUSE", 0.0)
    with webhook() as hook:
        monkeypatch.setenv("HOOK", hook.url)
        yield hook


def test_nightly_that_finds_a_regression_exits_with_2_and_tells_where_it_is_asked_to(hook: Hook) -> None:
    result = CliRunner().invoke(app, ["nightly", "--date", "2026-01-02"])
    assert result.exit_code == 2 and "regression: gFID is " in result.stderr
    assert not hook.received
    assert CliRunner().invoke(app, ["nightly", "--date", "2026-01-02", "--alert"]).exit_code == 2
    [record] = hook.received
    assert (record["kind"], record["date"]) == ("regression", "2026-01-02")
    assert record["text"].startswith("rectok: the nightly run of 2026-01-02 found a regression\ngFID is ")
    hook.answers = [404]
    undelivered = CliRunner().invoke(app, ["nightly", "--date", "2026-01-02", "--alert"])
    assert undelivered.exit_code == 2 and "not delivered by webhook: the server answered 404" in undelivered.stderr


def test_nightly_that_fails_tells_why_and_still_fails(hook: Hook) -> None:
    artifacts.weights_file("dit").unlink()
    result = CliRunner().invoke(app, ["nightly", "--date", "2026-01-02", "--alert"])
    assert isinstance(result.exception, FileNotFoundError)
    [record] = hook.received
    assert (record["kind"], record["date"]) == ("failed", "2026-01-02")
    assert artifacts.weights_file("dit").as_posix() in record["text"]


def test_nightly_with_alerts_that_go_nowhere_does_not_begin() -> None:
    project.params()
    result = CliRunner().invoke(app, ["nightly", "--alert"])
    assert isinstance(result.exception, UserError) and "nightly.alert.webhook" in str(result.exception)

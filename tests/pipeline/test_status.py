"""Why stages would run again, in words, for a project that the real DVC has walked."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rectok.cli.main import app
from rectok.pipeline.graph import Stage
from rectok.pipeline.reasons import Reason, with_parameters
from rectok.pipeline.status import main as print_changed
from rectok.pipeline.status import status
from tests import forked

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # DVC's own use of pygtrie
STAGES = {
    "index": {"cmd": "cp raw made", "deps": ["raw"], "params": ["seed", {"versions.yaml": ["stages.index"]}], "outs": ["made"]},
    "shards": {"foreach": ["0", "1"], "do": {"cmd": "cp made s${item}", "deps": ["made"], "outs": ["s${item}"]}},
    "report": {"cmd": "touch page", "deps": ["s0", "s1"], "outs": ["page"]},
    "bad": {"cmd": "false", "deps": ["raw"]},
}  # fmt: skip


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("walked")
    for name, text in {
        ".dvc/config": "[core]\n    no_scm = true\n",
        "dvc.yaml": json.dumps({"stages": STAGES}),
        "params.yaml": "seed: 1\n",
        "versions.yaml": "stages: {index: 1}\n",
        "raw": "rows",
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    environment = {**os.environ, "PATH": forked.path()}
    subprocess.run(["dvc", "repro", "-q", "report"], cwd=folder, env=environment, check=True)
    return folder


def test_every_reason_is_a_sentence_and_only_its_own_reasons_make_a_stage_changed(
    walked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(walked)
    assert status(walked).stages == {"bad": [Reason("new", "has not run to its end yet")]}
    assert status(walked, ["report"]).stages == {} and status(walked, ["report"]).due == {}
    run = CliRunner().invoke
    assert run(app, ["status", "report", "--check"]).exit_code == 0
    assert set(status(walked).only(["shards", "index"]).chosen) == {"shards@0", "shards@1", "index"}

    (walked / "params.yaml").write_text("seed: 2\n")
    (walked / "versions.yaml").write_text("stages: {index: 3}\n")
    (walked / "raw").write_text("other rows")
    (walked / "s1").unlink()
    (walked / "dvc.yaml").write_text(json.dumps({"stages": STAGES}).replace("touch page", "touch  page"))
    stages = status(walked).stages
    assert stages["index"] == [
        Reason("parameter", "parameter seed: 1 → 2", "seed", 1, 2),
        Reason("code", "code version stages.index: 1 → 3", "stages.index", 1, 3),
        Reason("data", "raw changed", "raw"),
    ]
    assert stages["shards@0"] == [Reason("upstream", "runs if index makes something new")]
    assert stages["shards@1"] == [Reason("output", "its output s1 is missing", "s1")]
    assert [reason.sentence for reason in stages["report"]] == ["its command is now `touch  page`", "s1 is missing"]
    due = status(walked).due
    assert {name: set(stage.needs) for name, stage in due.items() if stage.needs} == {
        "shards@0": {"index"}, "shards@1": {"index"}, "report": {"shards@0", "shards@1"},
    }  # fmt: skip
    print_changed()
    assert json.loads(capsys.readouterr().out) == ["index", "shards@1", "report", "bad"]

    result = run(app, ["status", "--check"])
    assert result.exit_code == 1 and "index\n  parameter seed: 1 → 2\n  code version" in result.output
    assert "warning: versions.yaml says 3 for stages.index, but the installed rectok has" in result.output
    printed = json.loads(run(app, ["status", "shards", "--json"]).output)
    assert printed["stages"].keys() == {"index", "shards@0", "shards@1"} and len(printed["warnings"]) == 1


def test_of_a_section_only_what_differs_is_shown() -> None:
    before = {"kind": "vae", "sizes": {"patch": 4, "channels": 4}, "rae": {"layers": 1}, "old": 1}
    now = {"kind": "rae", "sizes": {"patch": 4, "channels": 16}, "rae": {"layers": 1}, "new": [1]}
    stage = Stage("tokenizer", frozenset(), params={"params.yaml": {"tokenizer": now}})
    assert with_parameters([], stage, {"params.yaml": {"tokenizer": before}}) == [
        Reason("parameter", 'parameter tokenizer.kind: "vae" → "rae"', "tokenizer.kind", "vae", "rae"),
        Reason("parameter", "parameter tokenizer.sizes.channels: 4 → 16", "tokenizer.sizes.channels", 4, 16),
        Reason("parameter", "parameter tokenizer.new: none → [1]", "tokenizer.new", None, [1]),
        Reason("parameter", "parameter tokenizer.old: 1 → none", "tokenizer.old", 1, None),
    ]


def test_what_runs_every_time_is_always_due(walked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(walked)
    always = {"clock": {"cmd": "date"}, "log": {"cmd": "date > log", "outs": ["log"], "always_changed": True}}
    (walked / "dvc.yaml").write_text(json.dumps({"stages": STAGES | always}))
    environment = {**os.environ, "PATH": forked.path()}
    subprocess.run(["dvc", "repro", "-q", "clock", "log"], cwd=walked, env=environment, check=True)
    reasons = status(walked, ["clock", "log"]).stages
    assert reasons == {name: [Reason("always", "it runs every time")] for name in always}

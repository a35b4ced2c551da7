"""A raised code version, as DVC, its run cache and dvc.lock treat it. The real DVC runs a small pipeline."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from rectok.pipeline.lock import read
from tests import forked

pytestmark = pytest.mark.slow
STAGES = {
    "index": {
        "cmd": "cat code > made",
        "params": ["gates.index", {"versions.yaml": ["stages.index"]}],
        "outs": ["made"],
    },
    "gate": {
        "foreach": ["index"],
        "do": {"cmd": "true", "deps": ["made"], "params": [{"versions.yaml": ["gates.${item}"]}]},
    },
}


def test_a_raised_version_reruns_its_stage_and_brings_back_no_old_output(tmp_path: Path) -> None:
    def dvc(*words: str) -> str:
        environment = {**os.environ, "PATH": forked.path()}
        command = ["dvc", *words]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, text=True, stdout=subprocess.PIPE, check=True
        ).stdout

    def version(number: int) -> None:
        (tmp_path / "versions.yaml").write_text(f"stages: {{index: {number}}}\ngates: {{index: 1}}\n")

    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    no_scm = true\n")
    (tmp_path / "dvc.yaml").write_text(json.dumps({"stages": STAGES}))
    (tmp_path / "params.yaml").write_text("gates: {index: 5}\n")
    (tmp_path / "code").write_text("old")
    version(1)
    dvc("repro", "-q")
    record = read(tmp_path)["index"]
    assert record.code_version == 1 and record.params == {"gates.index": 5}  # the same name in two files

    (tmp_path / "code").write_text("new")
    assert json.loads(dvc("status", "--json")) == {}
    version(2)
    assert json.loads(dvc("status", "--json")) == {
        "index": [{"changed deps": {"versions.yaml": {"stages.index": "modified"}}}]
    }
    dvc("repro", "-q")
    assert (tmp_path / "made").read_text() == "new" and read(tmp_path)["index"].code_version == 2
    version(1)
    dvc("repro", "-q")
    assert (tmp_path / "made").read_text() == "old"  # the run cache knows what version 1 made
    version(3)
    dvc("repro", "-q")
    assert (tmp_path / "made").read_text() == "new"

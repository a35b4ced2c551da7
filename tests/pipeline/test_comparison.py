"""After any change the comparison with dvc.lock is the one that DVC makes of everything, and DVC reads no more than it must."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rectok.pipeline import comparison
from rectok.pipeline.comparison import Comparison, compare
from rectok.pipeline.graph import some_entries, stages_of
from rectok.pipeline.snapshot import FILE
from tests import forked
from tests.errors import user_error

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # DVC's own use of pygtrie
STAGES = {
    "index": {"cmd": "cp raw made", "deps": ["raw"], "params": ["seed", {"versions.yaml": ["stages.index"]}], "outs": ["made"]},
    "shards": {
        "foreach": "${shards}",
        "do": {"cmd": "cp made s/${item}", "deps": ["made"], "params": ["image"], "outs": ["s/${item}"]},
    },
    "report": {"cmd": "mkdir page; touch page/1", "deps": ["s", "raw"], "params": ["seed"], "outs": ["page"], "frozen": True},
    "clock": {"cmd": "date > log", "outs": ["log"], "params": ["seed"], "always_changed": True},
    "bad": {"cmd": "false", "deps": ["raw"], "params": ["seed"]},
}  # fmt: skip
PARAMS = "seed: 1\nimage: {size: 8, fill: 1e-3}\nshards: ['0', '1', '2']\n"


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("walked")
    for name, text in {
        ".dvc/config": "[core]\n    no_scm = true\n",
        "dvc.yaml": json.dumps({"stages": STAGES}).replace('"frozen": true', '"frozen": false'),
        "params.yaml": PARAMS,
        "versions.yaml": "stages: {index: 1}\n",
        "raw": "rows",
        "s/.keep": "",
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    environment = {**os.environ, "PATH": forked.path()}
    subprocess.run(["dvc", "repro", "-q", "shards", "report", "clock"], cwd=folder, env=environment, check=True)
    (folder / "dvc.yaml").write_text(json.dumps({"stages": STAGES}))
    return folder


@pytest.fixture
def project(walked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own, of whose comparison there is a snapshot."""
    folder = shutil.copytree(walked, tmp_path / "project", symlinks=True)
    monkeypatch.chdir(folder)
    monkeypatch.setattr("rectok.pipeline.snapshot.SETTLED_NS", -(10**12))  # no system call sets ctime back
    compare(folder, print)
    assert (folder / FILE).exists()
    return folder


def write(name: str, text: str) -> Callable[[], object]:
    return lambda: Path(name).write_text(text)


def edit(name: str, old: str, new: str) -> Callable[[], object]:
    def change() -> None:
        text = Path(name).read_text()
        assert old in text
        Path(name).write_text(text.replace(old, new))

    return change


def result(of: Comparison) -> tuple[object, object]:
    return dict(of.stages), {name: list(each) for name, each in of.reasons.items()}


@pytest.mark.parametrize(
    ("change", "concerned"),
    [
        (write("other", "is no part of it"), set()),
        (edit("params.yaml", "seed: 1", "seed: 2"), set()),
        (edit("params.yaml", "size: 8", "size: 9"), set()),
        (edit("params.yaml", "seed: 1\n", ""), set()),
        (edit("versions.yaml", "index: 1", "index: 2"), set()),
        (write("s/1", "other"), {"shards@1", "report"}),
        (Path("s/1").unlink, {"shards@1", "report"}),
        (write("page/2", "more"), {"report"}),
        (write("raw", "other rows"), {"index", "report", "bad"}),
        (edit("dvc.lock", "date > log", "date  > log"), {"clock"}),
        (edit("dvc.lock", "seed: 1", "seed: 3"), {"index", "report", "clock"}),
        (edit("params.yaml", "['0', '1', '2']", "['0', '1']"), None),
        (edit("dvc.yaml", "cp raw", "cp  raw"), None),
        (write("raw.dvc", "outs:\n- path: raw\n"), None),
        (edit("params.yaml", "shards: ['0', '1', '2']\n", "shards: ['0', '1', '2']\nnew: [}"), "DVC cannot read"),
        (Path("params.yaml").unlink, "DVC cannot read"),
        (Path("dvc.lock").unlink, {"index", "shards@0", "shards@1", "shards@2", "report", "clock"}),
    ],
)  # fmt: skip
def test_it_is_the_one_that_dvc_makes(
    project: Path, change: Callable[[], object], concerned: set[str] | str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[set[str] | None] = []

    def some(repo: Any, names: set[str], records: Any) -> Any:
        checked.append(names)
        return some_entries(repo, names, records)

    def everything(repo: Any) -> Any:
        checked.append(None)
        return stages_of(repo)

    monkeypatch.setattr(comparison, "some_entries", some)
    monkeypatch.setattr(comparison, "stages_of", everything)
    change()
    if isinstance(concerned, str):
        with user_error(concerned):
            compare(project, print)
        return
    quick = compare(project, print)
    assert checked == ([] if concerned == set() else [concerned])
    again = compare(project, print)  # from the new snapshot
    (project / FILE).unlink()
    assert result(quick) == result(again) == result(compare(project, print))

import subprocess
from pathlib import Path

from rectok.artifacts import Check, GateReport, write_report
from rectok.reporting.provenance import Version, data_versions, gate_reports, git_commit

LOCK = """
schema: '2.0'
stages:
  gate@dit:
    outs: [{path: data/checks/dit.json, hash: md5, md5: '1111', size: 1}]
  dit:
    cmd: rectok dit
    params: {params.yaml: {gates.dit: 5}, versions.yaml: {stages.dit: 3}}
    outs: [{path: data/dit, hash: md5, md5: 2222.dir, size: 1}]
  shards@00000:
    outs:
    - {path: data/shards/00000.tar, hash: md5, md5: '3333', size: 1}
    - {path: data/shards/00000.parquet, hash: md5, md5: '4444', size: 1}
"""


def test_versions_proxy_the_pipelines_order_without_gates(here: Path) -> None:
    assert data_versions() == []
    Path("dvc.lock").write_text(LOCK)
    assert data_versions() == [
        Version("data/shards/00000.parquet", "4444"),
        Version("data/shards/00000.tar", "3333"),
        Version("data/dit", "2222.dir", 3),
    ]


def test_commit_tells_of_uncommitted_changes(here: Path) -> None:
    assert git_commit().startswith("not in a git repository")
    subprocess.run(["git", "init", "--quiet"], check=True)
    Path("file").write_text("one")
    subprocess.run(["git", "add", "file"], check=True)
    author = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
    subprocess.run(["git", *author, "commit", "--quiet", "-m", "one"], check=True)
    assert len(git_commit()) == 40
    Path("file").write_text("two")
    assert git_commit().endswith(" with uncommitted changes")


def test_gate_reports_proxy_the_pipelines_order(here: Path) -> None:
    check = Check("c", True, "ERROR", 1, 1, "")
    for gate, shard in (("report", None), ("dit", None), ("shards", "00001"), ("index", None), ("shards", "00000")):
        write_report(GateReport(gate, shard, (check,)))
    found = [(report.gate, report.shard) for report in gate_reports()]
    assert found == [("index", None), ("shards", "00000"), ("shards", "00001"), ("dit", None)]

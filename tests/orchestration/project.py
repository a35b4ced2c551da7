"""A temporary DVC project of the same shape as ours: cheap stages, gates that can fail, a slow training."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

from rectok.params import preset_text
from tests import forked

REPOSITORY = Path(__file__).parents[2]

PIPELINE = """
stages:
  index:
    desc: The rows of every shard
    meta: {group: data, kinds: [python], owner: "team:data"}
    cmd: python work.py index
    deps: [rows.txt]
    outs: [data/index]
  shards:
    foreach: ${index.shards}
    do:
      desc: One shard's rows
      meta: {group: data, kinds: [python], owner: "team:data", pool: decoders}
      cmd: python work.py shards ${item}
      deps: ["data/index/${item}.txt", data/passed/index]
      outs: ["data/shards/${item}.txt", "data/shards/${item}.count"]
  tokenizer:
    desc: A training that can be stopped and continued
    meta: {group: tokenizer, kinds: [python], tags: [training], owner: "team:models", pool: accelerator}
    cmd: python work.py tokenizer
    deps: [data/shards, data/passed/shards]
    params: [tokenizer.training.epochs]
    outs: [data/tokenizer]
  report:
    desc: The last page
    cmd: python work.py report
    deps: [data/tokenizer, data/checks/shards, data/checks/tokenizer.json, data/passed/tokenizer]
    outs: [data/report]
  gate:
    foreach: [index, tokenizer]
    do:
      cmd: python work.py gate ${item}
      deps: ["data/${item}"]
      params: ["gates.${item}"]
      outs: ["data/checks/${item}.json", "data/passed/${item}"]
  gate-shards:
    foreach: ${index.shards}
    do:
      cmd: python work.py gate shards ${item}
      deps: ["data/shards/${item}.txt"]
      params: [gates.shards]
      outs: ["data/checks/shards/${item}.json", "data/passed/shards/${item}"]
"""

WORK = """
import json, os, signal, sys, time
from pathlib import Path

from rectok.artifacts import Check, GateReport, newest_picture, timing_file, write_json, write_report
from rectok.files import write_bytes, write_text

DATA = Path("data")
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)
signals = []


def index():
    rows = Path("rows.txt").read_text().split()
    for i, item in enumerate(items := Path("shards").read_text().split()):
        write_text(DATA / "index" / f"{item}.txt", "\\n".join(rows[i :: len(items)]))


def shards():
    text = (DATA / "index" / f"{shard}.txt").read_text()
    write_text(DATA / "shards" / f"{shard}.txt", text)
    write_text(DATA / "shards" / f"{shard}.count", str(len(text.split())))


def tokenizer():
    from rectok.train import progress

    progress.PLAIN_EVERY = 0.0
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: signals.append(number))
    state = Path("data/state/tokenizer")
    write_text(Path("data/state/pid"), str(os.getpid()))
    step = int(state.read_text()) if state.exists() else 0
    print(f"continuing at step {step}")
    with progress.reporting("tokenizer", step, steps(), first=True) as reporter:
        while step < steps():
            time.sleep(0.2)
            step += 1
            write_text(state, str(step))
            reporter.report(step, {"lr": 0.1, "total": 1 / step}, 64.0)
            if step == 2:
                write_bytes(newest_picture("tokenizer"), PNG)
                reporter.show(newest_picture("tokenizer"))
            if signals:
                time.sleep(1)
                sys.exit(f"rectok: tokenizer stopped at step {step} after its checkpoint")
    state.unlink(missing_ok=True)
    write_text(DATA / "tokenizer" / "log.csv", "step,lr,pixel\\n" + "".join(f"{i},1,{1 / i}\\n" for i in range(1, 101)))
    write_json(DATA / "tokenizer" / "summary.json", {"psnr": 26.5, "loss": {"first": 1.0, "last": 0.01}})
    measured = {"metrics": {"rfid": 0.5}, "networks": {"rfid": "inception"}, "protocol": {"fingerprint": "0123456789ab"}}
    write_json(DATA / "tokenizer" / "record.json", measured)
    write_bytes(DATA / "tokenizer" / "samples.png", PNG)


def steps():
    return int(Path("steps").read_text())


def report():
    write_text(DATA / "report" / "index.html", "<html></html>")


def gate():
    gate = shard
    checks = [Check("tautology", True, "WARN", 1, 1, "")]
    if gate == "shards":
        bad = [row for row in (DATA / "shards" / f"{item}.txt").read_text().split() if row.startswith("bad")]
        message = f"shard {item}: row {bad[0]} does not decode" if bad else ""
        checks.append(Check("rows", not bad, "ERROR", len(bad), 0, message))
        checks.append(Check("tidy", Path("tidy").exists(), "WARN", 0, 1, "the desk is not tidy"))
    report = GateReport(gate, item, tuple(checks))
    write_report(report)
    if report.errors:
        sys.exit(f"rectok: gate {gate} failed: {report.errors[0].message}")


def run(*arguments):
    global name, shard, item
    name, shard, item = [*arguments, None, None][:3]
    {f.__name__: f for f in (index, shards, tokenizer, report, gate)}[name]()
    if name != "gate":
        write_json(timing_file(name, shard), {"stage": name, "shard": shard, "seconds": 0.5})


def everything():
    items = [(item,) for item in Path("shards").read_text().split()]
    for noun, of in (("index", [()]), ("shards", items), ("tokenizer", [()]), ("report", [()])):
        for one in of:
            run(noun, *one)
            if noun != "report":
                run("gate", noun, *one)


def several(*arguments):
    words = 2 if arguments[0] == "gate" else 1
    for one in arguments[words:] or [None]:
        run(*arguments[:words], one)
        if results := os.environ.get("RECTOK_RESULTS"):
            with open(results, "a") as file:
                print(f"{'-'.join(arguments[:words])}@{one}", file=file)


everything() if sys.argv[1] == "everything" else several(*sys.argv[1:])
"""

CONFIG = """
[core]
    analytics = false
    check_update = false
"""


@dataclass(frozen=True)
class Project:
    """A DVC project at `root`, and how to run its commands."""

    root: Path

    def environment(self) -> dict[str, str]:
        """This environment, with commands that start at once first."""
        return {**os.environ, "PATH": forked.path(), "RECTOK_ROOT": str(self.root)}

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run `command` in the project, to its end."""
        return subprocess.run(
            command, cwd=self.root, env=self.environment(), capture_output=True, text=True, timeout=300
        )

    def repro(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`dvc repro` as a person types it."""
        return self.run("dvc", "repro", *arguments)

    def walk(self) -> None:
        """Make what `dvc repro` makes, without a process for every stage."""
        for command in ((sys.executable, "work.py", "everything"), ("dvc", "commit", "--quiet", "--force")):
            finished = self.run(*command)
            assert finished.returncode == 0, finished.stderr

    def rows(self, *rows: str) -> None:
        """Write the pipeline's input. A row that begins with "bad" fails the gate of its shard."""
        (self.root / "rows.txt").write_text("\n".join(rows), encoding="utf-8")

    def shards(self, count: int) -> None:
        """Change the number of shards. The next `dvc repro` of the index splits the rows."""
        names = [f"{number:05d}" for number in range(count)]
        (self.root / "shards").write_text(" ".join(names), encoding="utf-8")
        self.change("index.shards", names)

    def change(self, key: str, value: object) -> None:
        """Change the parameter with the dotted name `key`, which must exist."""
        path, yaml = self.root / "params.yaml", YAML()
        tree = yaml.load(path.read_text(encoding="utf-8"))
        *sections, name = key.split(".")
        section = tree
        for part in sections:
            section = section[part]
        section[name] = value
        with path.open("w", encoding="utf-8") as file:
            yaml.dump(tree, file)

    def steps(self, steps: int) -> None:
        """Set the length of the training, in steps of a fifth of a second."""
        (self.root / "steps").write_text(str(steps), encoding="utf-8")


def make(root: Path, shards: int = 2) -> Project:
    """Write the project with our default parameters."""
    root.mkdir(exist_ok=True)
    project = Project(root)
    for command in (("git", "init", "-q"), ("dvc", "init", "-q")):
        assert project.run(*command).returncode == 0
    (root / ".dvc" / "config").write_text(CONFIG, encoding="utf-8")
    (root / "dvc.yaml").write_text(PIPELINE, encoding="utf-8")
    (root / "params.yaml").write_text(preset_text("digits"), encoding="utf-8")
    project.change("nightly.cron", "0 0 1 1 *")  # no nightly run starts during a test
    project.shards(shards)
    (root / "work.py").write_text(WORK, encoding="utf-8")
    (root / ".gitignore").write_text("/data/\n/.dagster/\n", encoding="utf-8")
    (root / "tidy").touch()
    project.steps(2)
    project.rows("a", "b", "c", "d")
    return project


def make_ours(root: Path) -> Project:
    """Write this repository's pipeline with its default parameters. No stage has run."""
    root.mkdir()
    for name in ("dvc.yaml", "versions.yaml", ".gitignore"):
        shutil.copy(REPOSITORY / name, root)
    for folder in ("stages", "gates"):
        shutil.copytree(REPOSITORY / "rectok" / folder, root / "rectok" / folder)
    (root / "params.yaml").write_text(preset_text("digits"), encoding="utf-8")
    for name in ("raw", "baseline"):
        shutil.copytree(REPOSITORY / "data" / name, root / "data" / name, ignore=shutil.ignore_patterns("[!R]*"))
    project = Project(root)
    for command in (("git", "init", "-q"), ("dvc", "init", "-q")):
        assert project.run(*command).returncode == 0
    shutil.copy(REPOSITORY / ".dvc" / "config", root / ".dvc")
    return project

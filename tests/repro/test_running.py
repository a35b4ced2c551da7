"""Which stages run at once: threads that wait for each other, and the real DVC."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rectok.repro.graph import Stage
from rectok.repro.running import Limits, reproduce
from tests import forked

REPOSITORY = Path(__file__).parents[2]
SOON = 20.0


def nothing() -> None:
    raise AssertionError("nobody interrupted")


def stage(address: str, needs: str = "", pool: str = "") -> Stage:
    return Stage(address, frozenset(needs.split()), pool)


def named(*stages: Stage) -> dict[str, Stage]:
    return {each.address: each for each in stages}


class Watched:
    """Counts the stages that run, by pool, and notes their order."""

    def __init__(self, *failing: str) -> None:
        self.failing, self.order, self.now, self.most = failing, [], {}, {}
        self.lock = threading.Lock()

    order: list[str]
    now: dict[str, int]
    most: dict[str, int]

    def __call__(self, stage: Stage) -> bool:
        with self.lock:
            self.order.append(stage.address)
            for pool in {"all", stage.pool}:
                self.now[pool] = self.now.get(pool, 0) + 1
                self.most[pool] = max(self.most.get(pool, 0), self.now[pool])
        threading.Event().wait(0.05)
        with self.lock:
            for pool in {"all", stage.pool}:
                self.now[pool] -= 1
        return stage.address not in self.failing


def test_stages_that_do_not_need_each_other_run_at_once() -> None:
    both = threading.Barrier(2)

    def meet(stage: Stage) -> bool:
        if stage.address != "index":
            both.wait(SOON)
        return True

    assert reproduce(named(stage("index"), stage("a", "index"), stage("b", "index")), Limits(2, 1), meet, nothing) == []


def test_a_stage_waits_for_all_that_it_needs_and_long_chains_start_first() -> None:
    run = Watched()
    many = named(stage("short"), stage("a"), stage("b", "a"), stage("c", "short b"))
    assert reproduce(many, Limits(1, 1), run, nothing) == []
    assert run.order == ["a", "short", "b", "c"] or run.order == ["a", "b", "short", "c"]


@pytest.mark.parametrize(("limits", "most"), [(Limits(4, 1), {"": 2, "gpu": 1, "all": 3}), (Limits(3, 2), {"all": 3})])
def test_no_more_run_at_once_than_may(limits: Limits, most: dict[str, int]) -> None:
    run = Watched()
    many = named(*(stage(f"gpu{i}", pool="gpu") for i in range(4)), stage("cpu0"), stage("cpu1"))
    assert reproduce(many, limits, run, nothing) == []
    assert len(run.order) == 6
    assert {pool: run.most[pool] for pool in most} == most
    assert run.most["gpu"] <= limits.pooled


def test_after_a_failure_nothing_new_starts_and_what_runs_goes_on() -> None:
    run = Watched("bad")
    many = named(stage("bad"), stage("good"), stage("after", "bad"), stage("later", "good"))
    assert reproduce(many, Limits(2, 1), run, nothing) == ["bad"]
    assert run.order[:2] == ["bad", "good"] and "after" not in run.order


MEET = """import pathlib, sys, time
mine, other, out = sys.argv[1:]
pathlib.Path(mine).touch()
for _ in range(600):
    if pathlib.Path(other).exists():
        break
    time.sleep(0.1)
else:
    sys.exit("nobody came")
pathlib.Path(out).write_text(out)
print("met", flush=True)
"""


def rectok(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PATH": forked.path(), "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(["rectok", *words], cwd=folder, env=env, text=True, capture_output=True, check=False)


def dvc(folder: Path, *words: str) -> subprocess.Popen[str]:
    env = {**os.environ, "PATH": forked.path()}
    return subprocess.Popen(["dvc", *words], cwd=folder, env=env, text=True, stdout=subprocess.PIPE)


def write_project(folder: Path, **stages: object) -> None:
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text("[core]\n    no_scm = true\n")
    (folder / "dvc.yaml").write_text(json.dumps({"stages": stages}))


@pytest.mark.slow  # DVC itself, ten times
def test_the_command_shares_lock_and_cache_with_dvc(tmp_path: Path) -> None:
    (tmp_path / "meet.py").write_text(MEET)
    python = f"{sys.executable} meet.py"
    write_project(
        tmp_path,
        a={"cmd": f"{python} here.a here.b a", "deps": ["meet.py"], "outs": ["a"]},
        b={"cmd": f"{python} here.b here.a b", "deps": ["meet.py"], "outs": ["b"]},
        c={"cmd": "cat a b > c", "deps": ["a", "b"], "outs": ["c"]},
        bad={"cmd": "echo not today; false", "deps": ["c"], "outs": ["d"]},
    )
    done = rectok(tmp_path, "repro", "c", "--jobs", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a: met" in done.stdout and "3 stages are up to date" in done.stdout
    assert (tmp_path / "c").read_text() == "ab"

    with dvc(tmp_path, "status", "c") as status:
        assert "up to date" in status.communicate()[0]
    (tmp_path / "a").unlink()  # comes back from the cache: nobody is met
    assert "met" not in rectok(tmp_path, "repro", "c").stdout and (tmp_path / "a").read_text() == "a"

    failed = rectok(tmp_path, "repro")
    assert failed.returncode == 1 and "bad: not today" in failed.stdout
    assert "rectok: bad failed; the message stands above, and what had ended is kept" in failed.stderr
    unknown = rectok(tmp_path, "repro", "e")
    assert unknown.stderr == "rectok: there is no stage 'e' in dvc.yaml; its stages are a, b, bad, c\n"


@pytest.mark.slow
def test_a_stage_that_another_dvc_makes_is_waited_for(tmp_path: Path) -> None:
    write_project(tmp_path, slow={"cmd": "touch begun; sleep 5; echo made > slow", "outs": ["slow"]})
    with dvc(tmp_path, "repro") as other:
        while not (tmp_path / "begun").exists():
            assert other.poll() is None
            time.sleep(0.05)
        done = rectok(tmp_path, "repro")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "slow: another DVC process holds one of its files; trying again in 1 s" in done.stdout
        assert "slow: Stage 'slow' didn't change, skipping" in done.stdout
        assert other.wait() == 0


STOPPED = """import signal, sys, time
def stop(*_):
    print("checkpoint written", flush=True)
    sys.exit(1)
signal.signal(signal.SIGINT, stop)
print("training", flush=True)
time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_is_stopped_lets_stages_write_their_checkpoints(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "train.py").write_text(STOPPED)
    write_project(
        tmp_path, train={"cmd": f"{sys.executable} train.py"}, after={"cmd": "touch after", "outs": ["after"]}
    )
    env = {**os.environ, "PATH": forked.path(), "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "rectok.cli.main", "repro", "--jobs", "1"]
    with subprocess.Popen(command, cwd=tmp_path, env=env, text=True, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line == "train: training\n":
                break
        process.send_signal(number)
        rest = process.stdout.read()
    assert "train: checkpoint written" in rest
    assert process.returncode == 130

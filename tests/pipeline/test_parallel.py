"""Which stages run at once: threads that wait for each other, and the real DVC."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from rectok.pipeline.graph import Stage
from rectok.pipeline.parallel import Limits
from rectok.pipeline.parallel import reproduce as reproduce_groups
from tests import forked

REPOSITORY = Path(__file__).parents[2]
SOON = 20.0


def nothing() -> None:
    raise AssertionError("nobody interrupted")


def reproduce(
    stages: Mapping[str, Stage], limits: Limits, run: Callable[[Stage], bool], stop: Callable[[], None]
) -> list[str]:
    """The same, where stages run one by one."""

    def run_group(group: Sequence[Stage]) -> list[str]:
        [stage] = group
        return [] if run(stage) else [stage.address]

    return reproduce_groups(stages, limits, run_group, stop)


def stage(address: str, needs: str = "", pool: str = "") -> Stage:
    return Stage(address, frozenset(needs.split()), pool)


def named(*stages: Stage) -> dict[str, Stage]:
    return {each.address: each for each in stages}


def test_stages_that_do_not_need_each_other_run_at_once() -> None:
    both = threading.Barrier(2)

    def meet(stage: Stage) -> bool:
        if stage.address != "index":
            both.wait(SOON)
        return True

    assert reproduce(named(stage("index"), stage("a", "index"), stage("b", "index")), Limits(2, 1), meet, nothing) == []


def test_a_stage_waits_for_all_that_it_needs_and_long_chains_start_first() -> None:
    order: list[str] = []

    def run(stage: Stage) -> bool:
        order.append(stage.address)
        return True

    many = named(stage("short"), stage("a"), stage("b", "a"), stage("c", "short b"))
    assert reproduce(many, Limits(1, 1), run, nothing) == []
    assert order[0] == "a" and order[-1] == "c" and sorted(order) == ["a", "b", "c", "short"]


def test_of_equal_stages_the_one_that_is_declared_first_starts_first() -> None:
    order: list[str] = []

    def run(stage: Stage) -> bool:
        order.append(stage.address)
        return True

    assert reproduce(named(stage("dit"), stage("autoguidance"), stage("aside")), Limits(1, 1), run, nothing) == []
    assert order == ["dit", "autoguidance", "aside"]


@pytest.mark.parametrize(("limits", "gpu", "cpu"), [(Limits(4, 1), 1, 2), (Limits(4, 2), 2, 2), (Limits(2, 2), 2, 0)])
def test_as_many_run_at_once_as_may(limits: Limits, gpu: int, cpu: int) -> None:
    """All that may run at once meet; with one more of them they would be too many to meet."""
    lock, now, full = threading.Lock(), Counter[str](), threading.Event()

    def run(stage: Stage) -> bool:
        with lock:
            now[stage.pool] += 1
            assert now["gpu"] <= limits.pooled and now.total() <= limits.jobs
            if (now["gpu"], now[""]) == (gpu, cpu):
                full.set()
        full.wait(SOON)
        with lock:
            now[stage.pool] -= 1
        return True

    # The chains behind the pooled ones let those start first.
    many = named(*(stage(f"gpu{i}", pool="gpu") for i in range(4)), stage("cpu0"), stage("cpu1"))
    many |= {f"after{i}": stage(f"after{i}", f"gpu{i}") for i in range(4)}
    assert reproduce(many, limits, run, nothing) == []
    assert full.is_set()


def started(many: dict[str, Stage], limits: Limits, held: dict[str, str]) -> list[str]:
    """The order in which stages start, where each of `held` ends only after another has started."""
    order: list[str] = []
    begun = {address: threading.Event() for address in many}

    def run(stage: Stage) -> bool:
        order.append(stage.address)
        begun[stage.address].set()
        return stage.address not in held or begun[held[stage.address]].wait(SOON)

    assert reproduce(many, limits, run, nothing) == []
    assert sorted(order) == sorted(many)
    return order


def test_of_several_places_in_a_pool_one_is_left_free_for_the_longest_chain() -> None:
    """`first` and `second` come when their gates are done; the others, ready before, would take both places for long."""
    others = [stage(f"other{i}", "index", pool="gpu") for i in range(4)]
    elsewhere = [stage(f"elsewhere{i}", "index", pool="disk") for i in range(2)]
    chain = [stage("index"), stage("gate", "index"), stage("first", "gate", pool="gpu"), stage("next_gate", "first")]
    chain += [stage("second", "next_gate", pool="gpu"), stage("after", "second")]
    held = {"other0": "second", "other1": "second", "first": "other0", "elsewhere0": "second", "elsewhere1": "second"}
    order = started(named(*others, *elsewhere, *chain), Limits(9, 2), held)
    assert order.index("other0") < order.index("first") < order.index("second") < order.index("other1")
    assert order.index("elsewhere1") < order.index("second")  # a pool without a stage of the chain keeps nothing


def test_beside_a_stage_of_the_longest_chain_another_may_run() -> None:
    chain = [
        stage("train", pool="gpu"),
        stage("gate", "train"),
        stage("sample", "gate", pool="gpu"),
        stage("b", "sample"),
    ]
    assert started(named(*chain, stage("other", pool="gpu")), Limits(4, 2), {"train": "other"}).index("other") == 1


def test_no_place_is_kept_from_what_the_longest_chain_itself_waits_for() -> None:
    """`sample` needs metric network and decoder, so both places are theirs until they are done."""
    chain = [stage("train", pool="gpu"), stage("gate", "train"), stage("check", "gate")]
    chain += [stage("sample", "check metric_network decoder", pool="gpu"), stage("report", "sample")]
    sides = [stage("metric_network", "train", pool="gpu"), stage("decoder", "train", pool="gpu")]
    order = started(named(*chain, *sides), Limits(4, 2), {"metric_network": "decoder"})
    assert order[:1] == ["train"] and order.index("decoder") < order.index("sample")


def test_a_pool_of_one_place_keeps_nothing() -> None:
    chain = [stage("index"), stage("gate", "index"), stage("train", "gate", pool="gpu"), stage("after", "train")]
    order = started(named(*chain, stage("other", pool="gpu")), Limits(4, 1), {"gate": "other"})
    assert order.index("other") < order.index("train")


def test_without_a_stage_of_the_longest_chain_in_a_pool_all_its_places_are_taken() -> None:
    both = threading.Barrier(2)

    def meet(stage: Stage) -> bool:
        if stage.pool:
            both.wait(SOON)
        return True

    many = named(stage("a", pool="gpu"), stage("b", pool="gpu"), stage("x"), stage("y", "x"), stage("z", "y"))
    assert reproduce(many, Limits(4, 2), meet, nothing) == []


def test_after_a_failure_nothing_new_starts_and_what_runs_goes_on() -> None:
    ended: list[str] = []
    failed = threading.Event()

    def run(stage: Stage) -> bool:
        if stage.address == "bad":
            failed.set()
            return False
        failed.wait(SOON)
        time.sleep(0.2)  # for the failure to be seen
        ended.append(stage.address)
        return True

    many = named(stage("bad"), stage("good"), stage("x", "bad"), stage("y", "good"), stage("later"), stage("z", "x y"))
    assert reproduce(many, Limits(2, 1), run, nothing) == ["bad"]
    assert ended == ["good"]


def test_what_runs_is_stopped_when_something_unforeseen_happens() -> None:
    stop = threading.Event()

    def run(stage: Stage) -> bool:
        if stage.address == "odd":
            raise OSError("no more processes")
        return stop.wait(SOON)

    with pytest.raises(OSError, match="no more processes"):
        reproduce(named(stage("odd"), stage("other")), Limits(2, 1), run, stop.set)
    assert stop.is_set()


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
    env.pop("CUDA_MPS_CLIENT_PRIORITY", None)
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
    again = rectok(tmp_path, "repro", "c").stdout
    assert again.startswith("3 stages are up to date, after") and again.count("\n") == 1
    (tmp_path / "a").unlink()  # comes back from the cache: nobody is met
    restored = rectok(tmp_path, "repro", "c").stdout
    assert restored.startswith("1 of 3 stages have not changed\n") and "b: " not in restored
    assert "met" not in restored and (tmp_path / "a").read_text() == "a"

    failed = rectok(tmp_path, "repro")
    assert "bad: failed after" in failed.stdout
    assert failed.returncode == 1 and "bad: not today" in failed.stdout
    assert "rectok: bad failed; its message stands above, and what had ended is kept" in failed.stderr
    unknown = rectok(tmp_path, "repro", "e")
    assert unknown.stderr == "rectok: there is no stage 'e' in dvc.yaml; its stages are a, b, bad, c\n"


@pytest.mark.slow
def test_stages_off_the_longest_chain_yield_to_those_on_it(tmp_path: Path) -> None:
    write_project(
        tmp_path,
        **{
            name: {"cmd": f"echo $CUDA_MPS_CLIENT_PRIORITY > {name}", "deps": needs, "outs": [name]}
            for name, needs in {"first": [], "second": ["first"], "beside": [], "last": ["second", "beside"]}.items()
        },
    )
    assert rectok(tmp_path, "repro").returncode == 0
    found = {name: (tmp_path / name).read_text().strip() for name in ("first", "second", "beside", "last")}
    assert found == {"first": "", "second": "", "beside": "1", "last": ""}  # 1 is below normal


@pytest.mark.slow
def test_a_stage_that_another_dvc_makes_is_waited_for(tmp_path: Path) -> None:
    write_project(
        tmp_path,
        slow={"cmd": "touch begun; until [ -e asked ]; do sleep 0.1; done; echo made > slow", "outs": ["slow"]},
    )
    with dvc(tmp_path, "repro") as other:
        while not (tmp_path / "begun").exists():
            assert other.poll() is None
            time.sleep(0.05)
        with repro(tmp_path) as process:
            until(process, "slow: another DVC process holds one of its files; trying again in 1 s")
            (tmp_path / "asked").touch()
            until(process, "slow: Stage 'slow' didn't change, skipping")
            process.communicate()
        assert process.returncode == other.wait() == 0


def repro(folder: Path, *words: str) -> subprocess.Popen[str]:
    env = {**os.environ, "PATH": forked.path(), "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(["rectok", "repro", *words], cwd=folder, env=env, text=True, stdout=subprocess.PIPE)


def until(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    seen = []
    for told in process.stdout:
        seen.append(told.rstrip("\n"))
        if seen[-1] == line:
            return
    raise AssertionError(f"{line!r} never came, only {seen}")


STOPPED = """import signal, sys, time
def stop(*_):
    print("checkpoint written", flush=True)
    sys.exit(1)
signal.signal(signal.SIGINT, stop)
print("training", flush=True)
time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_is_stopped_lets_stages_write_their_checkpoints(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "train.py").write_text(STOPPED)
    write_project(
        tmp_path,
        train={"cmd": f"{sys.executable} train.py", "outs": ["model"]},
        after={"cmd": "touch after", "deps": ["model"], "outs": ["after"]},
    )
    with repro(tmp_path, "--jobs", "1") as process:
        until(process, "train: training")
        process.send_signal(number)
        rest, _ = process.communicate()
    assert "train: checkpoint written" in rest and "stopping; trainings write their checkpoints first" in rest
    assert process.returncode == 130 and not (tmp_path / "after").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("second", "last_word"),
    [(signal.SIGINT, "killed what had not ended"), (signal.SIGHUP, "train: made all the same")],
)
def test_a_second_ctrl_c_kills_what_does_not_end_and_a_second_signal_of_another_kind_does_not(
    tmp_path: Path, second: signal.Signals, last_word: str
) -> None:
    deaf = "trap '' INT; echo training; until [ -e enough ]; do sleep 0.1; done; echo made all the same; touch model"
    write_project(tmp_path, train={"cmd": deaf, "outs": ["model"]})
    first = signal.SIGINT if second == signal.SIGINT else signal.SIGTERM
    with repro(tmp_path, "--jobs", "1") as process:
        until(process, "train: training")
        process.send_signal(first)
        until(process, "stopping; trainings write their checkpoints first, and Ctrl-C once more kills them")
        process.send_signal(second)
        if second != signal.SIGINT:
            time.sleep(0.5)  # for a signal that would kill
            (tmp_path / "enough").touch()
        until(process, last_word)
        process.communicate()
    assert process.returncode == 130 and (tmp_path / "model").exists() == (second != signal.SIGINT)
    (tmp_path / "enough").touch()  # the stage of a `dvc` that was forked is in another process group than its caller

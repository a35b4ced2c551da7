import sys
import time
from pathlib import Path

import psutil
import pytest

from rectok.pipeline.process import ChildProcess, Children, Finished

STUBBORN = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
# As `dvc` above a stage: the parent ignores SIGINT and reports how its child ended.
PARENT = """
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
signal.signal(signal.SIGINT, signal.SIG_IGN)
print(f"child ended with {child.wait()}")
sys.exit(255)
"""
CHILD = """
import os, signal, sys, time
def stop(number, frame):
    time.sleep(0.5)
    print("checkpoint written", flush=True)
    sys.exit(1)
signal.signal(signal.SIGINT, stop)
print(os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("lines", "reason", "stage"),
    [
        (["step 3", "rectok: no room", "ERROR: failed to reproduce 'dit': x"], "no room", "dit"),
        (["dit: step 3", "dit: ERROR: failed to reproduce 'dit': x"], "failed to reproduce 'dit': x", "dit"),
        (
            ["gate-shards@00001: rectok: row 3 is bad", "gate-shards@00001: failed after 0.1 s"],
            "row 3 is bad",
            "gate-shards@00001",
        ),
        ([], "gate-shards@00001 failed; its message stands above, and what had ended is kept", "gate-shards@00001"),
    ],
)
def test_a_failure_is_named_in_the_words_of_its_stage(lines: list[str], reason: str, stage: str) -> None:
    last = (
        []
        if "ERROR" in " ".join(lines)
        else [f"rectok: {stage} failed; its message stands above, and what had ended is kept"]
    )
    finished = Finished((), 1, [*lines, *last])
    assert (finished.reason.removeprefix("rectok: "), finished.failed_at) == (reason, stage)


def started(tmp_path: Path, *arguments: str) -> ChildProcess:
    return ChildProcess((sys.executable, "-c", *arguments), tmp_path)


def first(group: ChildProcess) -> str:
    return next(group.lines())


def test_lines_of_both_outputs_come_as_they_are_printed_without_paint_and_progress_bars(tmp_path: Path) -> None:
    program = "import sys, time; print('one', flush=True); time.sleep(1); print('\\x1b[31mtwo\\x1b[0m\\rthree', file=sys.stderr)"
    began = time.monotonic()
    group = started(tmp_path, program)
    assert first(group) == "one"
    early = time.monotonic() - began
    assert list(group.lines()) == ["two", "three"]
    assert time.monotonic() - began - early > 0.5
    assert group.code == 0


def test_stopping_reaches_the_child_which_may_write_its_checkpoint_before_its_parent_ends(tmp_path: Path) -> None:
    group = started(tmp_path, PARENT, CHILD)
    child = int(first(group))
    assert group.stop(30) == ["checkpoint written", "child ended with 1"]
    assert group.code == 255
    assert not psutil.pid_exists(child)


def test_what_does_not_stop_in_time_is_killed(tmp_path: Path) -> None:
    group = started(tmp_path, STUBBORN)
    assert first(group) == "on"
    assert group.stop(0.5) == ["killed: it had not stopped after 0 s"]
    assert group.code == -9


def test_who_is_killed_is_not_waited_for_though_another_holds_the_output(tmp_path: Path) -> None:
    leave = "print(subprocess.Popen(['sleep', '60'], start_new_session=True).pid, flush=True)"
    group = started(tmp_path, f"import subprocess, time; {leave}; time.sleep(60)")
    other = psutil.Process(int(first(group)))
    group.kill()
    assert list(group.lines()) == [] and group.code == -9
    assert other.is_running()
    other.kill()


def test_stopping_what_has_ended_does_nothing(tmp_path: Path) -> None:
    group = started(tmp_path, "pass")
    assert list(group.lines()) == []
    assert group.stop(1) == []
    assert group.code == 0


def test_a_command_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ChildProcess(("no-such-command",), tmp_path)


def test_a_command_ends_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    starter = f"""
import sys
from pathlib import Path
from rectok.pipeline.process import ChildProcess, Children, Finished
child = ChildProcess((sys.executable, "-c", {STUBBORN!r}), Path.cwd())
print(next(child.lines()), child.process.pid, flush=True)
child.code
"""
    group = started(tmp_path, starter)
    command = psutil.Process(int(first(group).split()[1]))
    group.process.kill()
    command.wait(10)
    assert group.code == -9


def test_children_stop_together_and_one_that_begins_meanwhile_stops_at_once(tmp_path: Path) -> None:
    children, both = Children(), [started(tmp_path, CHILD), started(tmp_path, CHILD)]
    lines = [children.lines(child) for child in both]
    assert [next(each).isdecimal() for each in lines] == [True, True]
    children.stop()
    assert [list(each) for each in lines] == [["checkpoint written"]] * 2
    assert [child.code for child in both] == [1, 1]
    assert children.stopped.is_set() and not children.abandoned.is_set()
    late = started(tmp_path, "import time; time.sleep(60); print('done')")
    assert "done" not in list(children.lines(late)) and late.code != 0


def test_children_that_do_not_stop_are_killed_at_the_second_call(tmp_path: Path) -> None:
    children, child = Children(), started(tmp_path, STUBBORN)
    lines = children.lines(child)
    assert next(lines) == "on"
    children.stop()
    children.stop()
    assert list(lines) == [] and child.code == -9 and children.abandoned.is_set()

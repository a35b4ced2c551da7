"""What holds for all tests."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from execnet.xspec import XSpec

from tests import forked

# What a script starts in the background ignores Ctrl-C, and so does all that it starts itself; tests end servers with it.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Else every `dvc` starts a second process that tries to send a report.
os.environ.setdefault("DVC_NO_ANALYTICS", "1")


LONGEST = (
    "test_server.py", "test_trained.py", "test_pipeline.py", "test_processes.py", "test_workers.py", "test_dagster.py",
    "test_running.py", "test_stages.py", "test_imagenet_preset.py", "test_package.py", "test_recovery.py",
    "test_extending.py", "test_resume.py", "test_experiments.py", "test_inception.py", "test_bench.py", "test_plan.py",
)  # fmt: skip
"""Files of tests that take twenty seconds and more, the longest first."""


def pytest_xdist_setupnodes(specs: list[XSpec]) -> None:
    """Each process among which the tests are divided begins with all libraries imported."""
    for spec in specs:
        spec.python = f"{forked.commands()}/python"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first, so that all processes end at the same time."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (item.get_closest_marker("slow") is None, places.get(item.path.name, len(LONGEST))))


@pytest.fixture(autouse=True)
def _linear_of_torch() -> Iterator[None]:
    """DeepSpeed's ZeRO 3 replaces torch's linear for all networks of the process, and its own rounds otherwise in bfloat16."""
    yield
    partitions = sys.modules.get("deepspeed.runtime.zero.partition_parameters")
    if partitions and (linear := getattr(partitions.InsertPostInitMethodToModuleSubClasses, "linear_bk", None)):
        sys.modules["torch"].nn.functional.linear = linear


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of the test's own, which is the current one and in no git repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return tmp_path


@pytest.fixture
def commands_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our code starts the commands that stand beside this Python. These start at once."""
    monkeypatch.setattr(sys, "executable", f"{forked.commands()}/python")

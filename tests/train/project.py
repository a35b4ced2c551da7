"""Everything that `rectok dit` reads, made quickly: real digits, an untrained tokenizer, its latents."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import chdir, suppress
from pathlib import Path
from typing import Any

import psutil
import torch

from rectok.params import Params
from rectok.stages import index, latents, shards, statistics
from rectok.tokenizer.model import ViTTokenizer
from rectok.workloads.tokenizers import tokenizer_config
from tests import forked
from tests.fork_server import rank_name
from tests.networks import keep
from tests.project import write_params


def make(folder: Path, changes: dict[str, Any]) -> Params:
    """Fill `folder` so that `rectok dit` can run there; its parameters."""
    params = write_params(folder, changes)
    torch.manual_seed(0)
    tokenizer = ViTTokenizer(tokenizer_config(params, teacher_width=16))
    with chdir(folder):
        index.run(params)
        for stage in ("tokenizer", "decoder"):
            keep(stage, tokenizer)
        for shard in params.index.shards:
            shards.run(params, shard)
            latents.run(params, shard)
        statistics.run(params)
    return params


def start(
    folder: Path,
    stage: str = "dit",
    prefix: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    python: str = "",
) -> "subprocess.Popen[str]":
    """Run `rectok <stage>` there as a user would, behind the command `prefix`, with the messages kept.

    It starts at once, and so does all that it starts itself, unless a `python` shall run it.
    """
    rectok = [python, "-m", "rectok.cli.main"] if python else [f"{forked.commands()}/rectok"]
    return subprocess.Popen(
        [*prefix, *rectok, stage],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def finish(process: "subprocess.Popen[str]", timeout: float = 240) -> str:
    """Wait for success; the messages."""
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == 0, out + err
    return out


def wait_for_checkpoint(folder: Path, process: "subprocess.Popen[str]", stage: str = "dit") -> None:
    deadline = time.monotonic() + 120
    while not list(folder.glob(f"data/state/{stage}/*/step-*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def command_of(folder: Path, stage: str = "dit") -> psutil.Process:
    """The `rectok <stage>` that holds the stage's lock, above the processes that it has started."""
    return psutil.Process(int((folder / f"data/state/locks/{stage}").read_text()))


def running(folder: Path) -> dict[psutil.Process, str]:
    """Everything that runs in `folder`, with its name."""
    names = {}
    for process in set(psutil.process_iter()) - {psutil.Process()}:
        with suppress(psutil.Error):
            if process.cwd() == str(folder):
                names[process] = process.name()
    return names


def rank(folder: Path, number: int) -> psutil.Process | None:
    """The process that runs as this rank of a stage of `folder`; None before it has begun."""
    return next((process for process, name in running(folder).items() if name == rank_name(number)), None)

"""Everything that `rectok dit` reads, made quickly: real digits, an untrained tokenizer, its latents."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from rectok import artifacts
from rectok.nn.weights import save_weights
from rectok.stages import index, latents, shards, statistics
from rectok.tokenizer.model import Tokenizer
from tests import forked
from tests.project import write_params


def make(folder: Path, changes: dict[str, Any]) -> None:
    """Fill `folder` (the current one) so that `rectok dit` can run there."""
    params = write_params(folder, changes)
    index.run(params)
    torch.manual_seed(0)
    tokenizer = Tokenizer(params.tokenizer_config(teacher_width=16))
    for stage in ("tokenizer", "decoder"):
        save_weights(artifacts.weights_file(stage), tokenizer.state_dict())
        artifacts.write_json(artifacts.config_file(stage), tokenizer.config.model_dump())
    for shard in params.index.shards:
        shards.run(params, shard)
        latents.run(params, shard)
    statistics.run(params)


def start(
    folder: Path, stage: str = "dit", prefix: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> "subprocess.Popen[str]":
    """Run `rectok <stage>` there as a user would, behind the command `prefix`, with the messages kept."""
    rectok = [*prefix, sys.executable, "-m", "rectok.cli.main"] if prefix else [f"{forked.commands()}/rectok"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})}
    return subprocess.Popen(
        [*rectok, stage],
        cwd=folder,
        env=env,
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

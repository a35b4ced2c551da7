"""A training that is killed, asked to stop, or looked at, goes on to the very same weights."""

import math
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from rectok.artifacts import read_json, read_log
from rectok.data.dataset import LatentBatch, LatentDataset
from rectok.data.loader import Order, TrainingLoader
from rectok.dit.model import load_dit
from rectok.sampling.generator import Generator, LatentStatistics
from rectok.seeds import seed_of
from rectok.stages import dit
from rectok.tokenizer.kinds import load_tokenizer
from rectok.train import loop
from rectok.train.objectives import DiTObjective, LossOutput
from rectok.train.rollback import require_calm
from rectok.train.step_random import StepRandom
from rectok.train.training_config import RollbackConfig
from rectok.trainers.ema_sweep import sweep
from rectok.trainers.sample_quality import evaluation
from rectok.trainers.stage import TrainingStage
from tests import forked
from tests.errors import user_error
from tests.evaluation.project import build_metric_network
from tests.project import write_params
from tests.train.project import finish, make, start, wait_for_checkpoint

pytestmark = pytest.mark.slow
# Rows of the log and checkpoints fall on different steps, and a loader process shares the signals.
STEPS = {
    "dit.training.epochs": 40,
    "dit.training.checkpoint_every": 5,
    "dit.training.log_every": 3,
    "machine.workers": 1,
}


EVALUATED = {
    "dit.evaluate_every": 10,
    "dit.evaluation": {
        "per_class": 2,
        "batch": 8,
        "points": 3,
        "below": 1e9,
        "waits_for": "data/passed/metric_network",
    },
    "dit.posthoc_ema": {"lengths": [0.05, 0.1], "snapshots": 4},
}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two equal projects; the first has been trained without interruption."""
    whole = tmp_path_factory.mktemp("whole")
    make(whole, STEPS)
    interrupted = tmp_path_factory.mktemp("interrupted") / "project"
    shutil.copytree(whole, interrupted)
    finish(start(whole))
    return whole, interrupted


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_training_ends_at_the_same_bytes(projects: tuple[Path, Path], number: signal.Signals) -> None:
    whole, interrupted = projects
    shutil.rmtree(interrupted / "data" / "dit", ignore_errors=True)
    process = start(interrupted)
    wait_for_checkpoint(interrupted, process)
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=120)
    assert process.returncode != 0
    if number != signal.SIGKILL:
        assert "after its checkpoint; run it again to go on" in err
    assert not (interrupted / "data" / "dit").exists()

    finish(start(interrupted))
    for name in ("model.safetensors", "raw.safetensors", "log.csv", "summary.json"):
        assert (interrupted / "data/dit" / name).read_bytes() == (whole / "data/dit" / name).read_bytes(), name
    assert not (interrupted / "data" / "state" / "dit").exists()


@pytest.mark.filterwarnings("default")  # DeepSpeed's own
def test_pictures_and_evaluations_of_a_running_training_change_nothing_that_is_learnt(
    projects: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    whole, watched = projects
    shutil.rmtree(watched / "data" / "dit", ignore_errors=True)
    monkeypatch.chdir(watched)
    monkeypatch.setattr(loop, "PREVIEW_EVERY", 0.0)
    params = write_params(watched, {**STEPS, **EVALUATED})
    build_metric_network(classes=10)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the other training, else sums round otherwise
    dit.run(params)
    torch.set_num_threads(threads)
    assert "dit: newest picture in data/state/pictures/dit.png" in capfd.readouterr().out
    for name in ("model.safetensors", "raw.safetensors"):
        assert (watched / "data/dit" / name).read_bytes() == (whole / "data/dit" / name).read_bytes(), name
    assert not (watched / "data/state/pictures/dit.png").exists()

    rows, plain = read_log(watched / "data/dit/log.csv"), read_log(whole / "data/dit/log.csv")
    evaluated = {int(row["step"]): float(row["val_gfid"]) for row in rows if row.pop("val_sample_accuracy")}
    assert [{name: row[name] for name in row if name != "val_gfid"} for row in rows] == plain
    last = int(rows[-1]["step"])
    assert list(evaluated) == [*range(24, last, 24), last]  # 10 epochs are 24.1 steps, and every third has a row
    summary = read_json(watched / "data/dit/summary.json")
    assert summary["evaluation"]["gfid"] == pytest.approx(evaluated[last], rel=1e-6)
    assert summary["evaluation"]["epochs"] == 24 * 32 / 77

    # The same number again from the weights alone, so it is the same in a training that was resumed.
    with TrainingStage("dit", params) as stage:
        parts = load_dit(stage.folder), load_tokenizer(Path("data/tokenizer")), LatentStatistics.load()
        again = evaluation(stage, Generator(parts[0], None, *parts[1:], CPU), params.dit).measure()
    assert again["val_gfid"] == summary["evaluation"]["gfid"]

    # An average that was kept at the last step is its own combination of all snapshots.
    assert len(list(Path("data/dit/snapshots").iterdir())) == 8
    [kept, other] = sweep(params, [0.1, 0.15], measured=True)
    assert kept.error < 1e-4 < other.error < 0.2 and kept.gfid != other.gfid
    rebuilt, snapshot = (
        load_file("data/ema/0.1/model.safetensors"),
        load_file(f"data/dit/snapshots/{last}-0.1.safetensors"),
    )
    assert all(torch.allclose(rebuilt[name], snapshot[name], atol=1e-5) for name in snapshot)
    assert [row["gfid"] for row in read_json(Path("data/ema/sweep.json"), list)] == [kept.gfid, other.gfid]
    assert Path("data/ema/sweep.png").exists()
    with user_error("--sigma-rel is 0.3, but must be above 0 and at most 0.28"):
        list(sweep(params, [0.3], measured=False))


@pytest.mark.filterwarnings("default")  # DeepSpeed's own
def test_a_loss_that_is_no_number_goes_back_and_skips_its_batches(
    projects: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _, project = projects
    shutil.rmtree(project / "data" / "dit", ignore_errors=True)
    monkeypatch.chdir(project)
    forward, numbers, ends = DiTObjective.forward, {seed_of(0, number, 0): number for number in range(99)}, [99]
    drawn: list[int] = []

    def bad_at_seven(self: DiTObjective, batch: LatentBatch, draws: StepRandom, progress: float) -> LossOutput:
        drawn.append(numbers[draws.generator.initial_seed()])
        if drawn[-1] == ends[0]:
            raise InterruptedError
        assert torch.equal(batch.moments, loader.load(drawn[-1]).moments)
        loss, parts, fake = forward(self, batch, draws, progress)
        return (loss * math.nan if drawn[-1] == 7 else loss), parts, fake

    monkeypatch.setattr(DiTObjective, "forward", bad_at_seven)
    short = {**STEPS, "dit.training.epochs": 8, "machine.workers": 0}
    params = write_params(project, {**short, "dit.training.rollback": {"times": 0, "spike": 0.0}})
    dataset = LatentDataset(params.index.shards, "train")
    loader = TrainingLoader(dataset, Order(len(dataset), params.seed, flip=params.image.flip), 32, 32, 0, 1, 0)
    with user_error("dit: the loss is not a finite number at step 8; the last good checkpoint stays in data/state/dit"):
        dit.run(params)
    params = write_params(project, {**short, "dit.training.rollback": {"times": 1, "spike": 0.0}})
    drawn.clear()
    dit.run(params)
    assert drawn == [*range(9), *range(9, 24)]  # from step 5 on, with what followed the batches 5 to 8
    said = (
        "warning: dit: the loss is not a finite number at step 8; training goes back to step 5 and leaves out the batches up to "
        "step 9 (rollback 1 of 1)\n"
    )
    assert said in capfd.readouterr().out
    assert read_json(Path("data/dit/summary.json"))["rollbacks"] == [{"from": 9, "to": 5}]
    rows = read_log(Path("data/dit/log.csv"))
    assert [(row["step"], row["rollbacks"]) for row in rows[:3]] == [("3", ""), ("6", "1"), ("9", "1")]
    weights = Path("data/dit/model.safetensors").read_bytes()

    # Ended between rollback and checkpoint, then between two later ones, it comes to the same weights.
    shutil.rmtree("data/dit")
    for ends[0] in (10, 18):
        with pytest.raises(InterruptedError):
            dit.run(params)
    ends[0] = 99
    dit.run(params)
    assert Path("data/dit/model.safetensors").read_bytes() == weights


def test_a_jump_of_the_loss_counts_where_a_rollback_is_left() -> None:
    def judge(loss: float, before: Sequence[float], spike: float = 3.0, skipped: int = 0, **parts: float) -> None:
        rows = [{"total": total, "lr": 0.1} for total in before]
        state: Any = SimpleNamespace(rows=rows, step=7, skipped=[[2, 4]] * skipped)
        require_calm("dit", state, {"total": loss, **parts}, RollbackConfig(times=1, spike=spike))

    usual = (9.0, 1.0, 1.0, 2.0, 1.0, 1.0)
    with user_error("dit: the loss is 3.1 at step 7, more than 3 times 1$"):
        judge(3.1, usual)
    judge(2.9, usual)
    judge(3.1, usual[:4])
    judge(3.1, usual, spike=0.0)
    judge(3.1, usual, skipped=1)
    judge(3.1, usual, adversarial=2.0)  # a part that joins the loss
    judge(-0.1, [-0.1] * 6)
    judge(5.0, [0.0] * 6)


def test_a_training_with_workers_ends_by_an_error_of_the_network(projects: tuple[Path, Path]) -> None:
    _, interrupted = projects
    write_params(interrupted, {**STEPS, "machine.device": "cpu", "machine.processes": 1})
    code = (
        "from rectok.params import load; from rectok.stages import dit; from rectok.train.objectives import DiTObjective\n"
        "DiTObjective.forward = lambda *_: 1 / 0; dit.run(load())"
    )
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [f"{forked.commands()}/module", "-c", code],
        cwd=interrupted,
        env=env,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _, err = process.communicate(timeout=240)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # workers that outlive it, too
    assert process.returncode == 1 and "ZeroDivisionError" in err

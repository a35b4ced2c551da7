"""Hours by hand: images · FLOPs / (FLOP/s · GPUs) / 3600."""

from pathlib import Path

import pytest

from rectok.planning.schedule import ASSUMED_PEAK, ASSUMED_SHARE, Estimate, estimates, total_hours
from rectok.planning.stage_work import Workload
from rectok.workloads.speed import read_speeds
from tests.workloads.test_speed import speed

RECORDS = Path(__file__).parents[2] / "docs/results/speed.jsonl"


def work(variant: str, name: str = "tokenizer") -> Workload:
    return Workload("a stage", name, variant, images=1000, flops=1e9)


def test_an_hour_of_one_gpu_is_a_quarter_of_an_hour_of_four() -> None:
    one = Workload("a stage", "dit", "", images=3_600_000, flops=1e12, gpus=1)  # 3.6e18 FLOPs
    four = Workload("a stage", "dit", "", images=3_600_000, flops=1e12, gpus=4)
    assert Estimate(one, 1000.0, "").hours == pytest.approx(1.0)  # at 1e15 FLOP/s
    assert Estimate(four, 1000.0, "").hours == pytest.approx(0.25)
    assert total_hours([Estimate(one, 1000.0, ""), Estimate(four, 1000.0, "")]) == pytest.approx(1.25)


def test_the_nearest_record_wins_over_the_fastest() -> None:
    slow, fast = speed("tokenizer", "online", 100.0), speed("tokenizer", "online+adversary", 300.0)
    (found,) = estimates([work("online")], [slow, fast], compiled=True)
    assert found.tflops == 100.0
    assert found.basis == "measured: tokenizer / online, batch 8, compiled, digits, on a GPU"
    (found,) = estimates([work("cached")], [slow, fast], compiled=True)
    assert found.tflops == 300.0  # of another variant, where none is of its own
    (found,) = estimates([work("encode", "encode")], [slow, fast], compiled=True)
    assert found.tflops == ASSUMED_PEAK * ASSUMED_SHARE == 193.5
    assert found.basis.startswith("assumed")


def test_compiled_records_speak_for_compiled_runs() -> None:
    compiled = speed("tokenizer", "online", 300.0)
    plain = compiled.model_copy(update={"compiled": False, "tflops": 200.0})
    faster = plain.model_copy(update={"tflops": 250.0})
    records = [compiled, plain, faster]
    assert [row.tflops for row in estimates([work("online")], records, compiled=False)] == [250.0]
    assert [row.tflops for row in estimates([work("online")], records, compiled=True)] == [300.0]


def test_what_was_not_measured_counts_for_nothing() -> None:
    (found,) = estimates([work("online")], [speed("tokenizer", "online", None)], compiled=True)
    assert found.basis.startswith("assumed")


def test_samples_without_and_with_guidance_go_at_their_own_recorded_speed() -> None:
    """60 000 of each on one H100 at 3.5659 and 2.6725 images/s (docs/results/speed.md): 4.67 and 6.24 hours."""
    records = [speed for speed in read_speeds([RECORDS]) if "H100" in speed.device]
    flops = {"plain": 47940486987776.0, "autoguidance": 62166082453504.0}  # as the records have them
    loads = [Workload("night", "sample", variant, 60_000, count) for variant, count in flops.items()]
    found = [row.hours for row in estimates(loads, records, compiled=False)]
    assert found == pytest.approx([60_000 / 3.56587 / 3600, 60_000 / 2.67254 / 3600], rel=1e-4)
    assert sum(found) == pytest.approx(10.91, abs=0.01)

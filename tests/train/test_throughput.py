"""What a training says about its speed."""

import json
from itertools import repeat
from pathlib import Path

import pytest
import torch

from rectok.artifacts import throughput_file
from rectok.train import throughput
from rectok.train.throughput import TimedBatches, Work, peak_tflops, record

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("card", "peak"),
    [
        ("NVIDIA H200", 989.4),
        ("NVIDIA H100 80GB HBM3", 989.4),
        ("NVIDIA H100 PCIe", 756.0),
        ("NVIDIA A100-SXM4-80GB", 312.0),
        ("NVIDIA L40S", 362.0),
        ("NVIDIA L4", 121.0),
        ("NVIDIA L40", None),
        ("NVIDIA RTX A4000", None),
    ],
)
def test_a_card_is_known_by_its_whole_name(card: str, peak: float | None) -> None:
    assert peak_tflops(card) == peak


def test_rates_follow_from_images_flops_and_seconds() -> None:
    figures = Work(2e12, "bfloat16", 2, CPU).figures(images=30, seconds=3.0, waited=0.6)
    assert figures == pytest.approx({"images_per_second": 10, "data_wait": 0.2, "tflops": 10})
    assert Work(None, "bfloat16", 1, CPU).figures(30, 3.0, 0.0) == {"images_per_second": 10, "data_wait": 0}


def test_a_share_of_the_peak_is_of_one_card_and_of_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: 3 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA H200")
    figures = Work(1e12, "bfloat16", 2, gpu).figures(1978, 1.0, 0.0)
    assert figures["tflops"] == 989 and figures["mfu"] == pytest.approx(989 / 989.4) and figures["memory_gib"] == 3
    assert "mfu" not in Work(1e12, "float32", 2, gpu).figures(1978, 1.0, 0.0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA of tomorrow")
    assert "mfu" not in Work(1e12, "bfloat16", 2, gpu).figures(1978, 1.0, 0.0)


def test_waiting_counts_from_the_last_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = TimedBatches(repeat(1))
    clock = iter([0.0, 2.0, 5.0, 6.0, 7.0, 7.5])
    monkeypatch.setattr(throughput, "time", type("Clock", (), {"monotonic": staticmethod(lambda: next(clock))}))
    assert next(batches) == 1 and next(batches) == 1 and batches.waited == 3
    batches.restart()
    assert next(batches) == 1 and batches.waited == 0.5


def test_the_file_of_a_training_begins_anew_with_each_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    record("dit", 1, {})
    for step in (2, 3):
        record("dit", step, {"images_per_second": 5.0})
    rows = [json.loads(line) for line in throughput_file("dit").read_text(encoding="utf-8").splitlines()]
    assert rows == [{"step": step, "images_per_second": 5.0} for step in (2, 3)]
    record("dit", 1, {})
    assert not throughput_file("dit").read_text(encoding="utf-8")

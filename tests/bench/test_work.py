"""Timings, their limits, and failures that stop nothing."""

import time
from collections.abc import Iterator
from functools import partial

import pytest
import torch

from rectok.bench.benchmark import WORKS, Target, read_targets
from rectok.bench.work import Bench, Budget, Prepared, Setting, Timer, Variant, matrix_peak, rates
from rectok.params import parse, preset_text
from rectok.train.world import World
from tests.errors import user_error

CPU = torch.device("cpu")
SETTING = Setting(parse(preset_text("digits"), "digits"), World(0, 1, CPU), 10)


def prepared(seconds: float = 0.5, images: int = 4, flops: float | None = None) -> Prepared:
    return Prepared(images, flops, "float32", False, lambda: None, lambda timer: seconds)


def failing() -> Prepared:
    raise torch.OutOfMemoryError("CUDA out of memory.\n Tried to allocate 2 GiB")


def variants() -> Iterator[Variant]:
    yield Variant("huge", 1024, failing)
    yield Variant("small", 4, prepared)


def test_a_failing_variant_is_recorded_and_the_others_go_on() -> None:
    huge, small = Bench(SETTING, Budget(3, 60.0)).measured("dit", variants)
    assert huge.error == "OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"
    assert (huge.work, huge.variant, huge.batch, huge.images_per_second) == ("dit", "huge", 1024, None)
    assert small.error is None
    assert small.images_per_second is not None and small.images_per_second.median == 8.0
    assert small.repeats == 3


def test_speed_times_cost_is_a_share_of_the_peak() -> None:
    def one() -> Iterator[Variant]:
        yield Variant("one", 4, partial(prepared, flops=1e9))

    (found,) = Bench(SETTING, Budget(1, 0.0)).measured("encode", one)
    assert found.tflops == pytest.approx(8 * 1e9 / 1e12)
    assert found.peak_tflops is not None and found.share_of_peak == pytest.approx(0.008 / found.peak_tflops)
    assert found.networks == "random weights"


def test_what_lies_on_disk_is_removed_also_after_a_failure() -> None:
    closed = []

    def broken(timer: Timer) -> float:
        raise RuntimeError("a worker died")

    def one() -> Iterator[Variant]:
        yield Variant(
            "one", 1, lambda: Prepared(1, None, "none", False, lambda: None, broken, lambda: closed.append(1))
        )

    (found,) = Bench(SETTING, Budget(1, 0.0)).measured("loader", one)
    assert found.error == "RuntimeError: a worker died"
    assert closed == [1]


def test_patience_takes_one_timing_at_least_and_no_more_than_asked() -> None:
    assert len(Budget(5, 0.0).timings(prepared(), Timer(CPU))) == 1
    assert len(Budget(2, 60.0).timings(prepared(), Timer(CPU))) == 2


def test_the_watch_waits_and_averages_short_calls() -> None:
    assert Timer(CPU)(lambda: time.sleep(0.15)) >= 0.15
    calls = []
    assert Timer(CPU)(lambda: calls.append(time.sleep(0.01))) >= 0.01
    assert len(calls) > 2


def test_rates_are_sorted_by_speed() -> None:
    found = rates(12, [2.0, 3.0, 4.0])
    assert (found.min, found.median, found.max) == (3.0, 4.0, 6.0)


def test_the_ceiling_is_a_matrix_product() -> None:
    assert matrix_peak(Timer(CPU), "float32", 1) > 0


def test_wishes_name_work_variant_and_batch() -> None:
    assert Target.read("tokenizer/online+adversary:64", None) == Target("tokenizer", "online+adversary", 64)
    assert Target.read("dit", 128) == Target("dit", "", 128)
    assert [target.work for target in read_targets(["all"], None)] == list(WORKS)
    for text, words in (("nothing", "there is no work 'nothing'"), ("dit:0", "the batch of dit:0 is '0'")):
        with user_error(words):
            Target.read(text, None)


def test_an_unknown_variant_is_answered_with_those_there_are() -> None:
    with user_error("tokenizer has no variant 'offline'; choose from cached, "):
        list(Target.read("tokenizer/offline", None).variants(SETTING))

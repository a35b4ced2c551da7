"""Worse by more than the tolerance and by more than chance."""

from math import sqrt

import numpy as np
import pytest

from rectok.nightly.history import NightlyRun
from rectok.nightly.regression import Comparison, Limits, baseline, comparisons
from tests.nightly.test_history import nightly_run

LIMITS = Limits({"gfid_tolerance": 0.25, "accuracy_tolerance": 0.03}, runs=3, sigmas=0.0)
CHANCE = Limits({"gfid_tolerance": 0.0, "accuracy_tolerance": 0.0}, runs=3, sigmas=3.0)


def compared(
    run: NightlyRun, history: list[NightlyRun], limits: Limits = LIMITS, promoted: str = "aaaa"
) -> list[Comparison]:
    return comparisons(run, baseline(history, run, promoted, None, limits), limits)


def worse(run: NightlyRun, history: list[NightlyRun], limits: Limits = LIMITS, promoted: str = "aaaa") -> list[str]:
    return [each.metric for each in compared(run, history, limits, promoted) if each.regressed]


def test_the_first_night_has_no_baseline_and_small_changes_are_no_regression() -> None:
    assert compared(nightly_run(1), []) == []
    assert worse(nightly_run(2, gfid=9.9, sample_accuracy=0.945), [nightly_run(1)]) == []


def test_each_figure_that_got_worse_is_named() -> None:
    found = compared(nightly_run(2, gfid=10.1, sample_accuracy=0.93), [nightly_run(1)])
    assert [each.metric for each in found if each.regressed] == ["gfid", "sample_accuracy"]
    assert found[0].sentence.startswith("gFID is 10.100, above 10.000, the limit")
    assert found[-1].sentence.startswith("Sample accuracy is 93.0%, below 94.0%, the limit")


def test_the_baseline_is_the_first_nights_of_the_promoted_generator_and_no_decline_creeps_into_it() -> None:
    history = [nightly_run(day, gfid=8.0 + 0.3 * day) for day in range(1, 20)]
    [found, *_] = compared(nightly_run(20, gfid=14.0), history)
    assert (found.baseline, found.measurements) == (pytest.approx(8.6), 3)
    assert found.regressed


def test_other_generators_other_protocols_later_nights_and_regressed_ones_are_no_baseline() -> None:
    others = [
        nightly_run(1, generator="bbbb", gfid=1.0),
        nightly_run(2, protocol="q", gfid=1.0),
        nightly_run(3, regressed=True, gfid=30.0),
        nightly_run(9, gfid=1.0),
    ]
    assert compared(nightly_run(5), others) == []
    assert worse(nightly_run(5, gfid=9.0), [*others, nightly_run(4)]) == []


def test_what_was_found_when_it_was_promoted_comes_first() -> None:
    measured = nightly_run(1, gfid=4.0)
    assert baseline([nightly_run(2)], nightly_run(3), "aaaa", measured, LIMITS) == [measured, nightly_run(2)]
    assert baseline([nightly_run(2)], nightly_run(3, protocol="q"), "aaaa", measured, LIMITS) == []


def test_until_something_is_promoted_the_first_generator_stands_for_it() -> None:
    history = [nightly_run(1), nightly_run(2, generator="bbbb", gfid=2.0)]
    assert baseline(history, nightly_run(3, generator="cccc"), "", None, LIMITS) == history[:1]


def test_before_the_baseline_is_whole_the_noise_is_that_of_parts() -> None:
    [found, *_] = compared(nightly_run(2, gfid_noise=1.5), [nightly_run(1, gfid_noise=0.5)], CHANCE)
    assert found.noise == pytest.approx(sqrt((0.5**2 + 1.5**2) / 2))
    assert found.limit == pytest.approx(8 + 3 * found.noise * sqrt(2))
    assert "parts" in found.source


def test_afterwards_it_is_the_spread_of_the_nights_of_the_same_weights() -> None:
    history = [nightly_run(1, gfid=7.0), nightly_run(2, gfid=8.0), nightly_run(3, gfid=9.0)]
    [found, *_] = compared(nightly_run(4), history, CHANCE)
    assert (found.noise, found.source) == (1.0, "spread of 3 nightly runs")
    assert found.limit == pytest.approx(8 + 3 * sqrt(1 + 1 / 3))


def test_chance_alone_seldom_fails_a_night_and_a_real_fall_does() -> None:
    draws = np.random.default_rng(0).normal(8, 1, (400, 4))
    limits = Limits(CHANCE.tolerances, runs=3, sigmas=6.0)
    nights = [[nightly_run(day, gfid=float(value)) for day, value in enumerate(row, 1)] for row in draws]
    false = sum("gfid" in worse(row[-1], row[:-1], limits) for row in nights)
    assert false / len(nights) < 0.05
    real = sum("gfid" in worse(nightly_run(4, gfid=40.0), row[:-1], limits) for row in nights)
    assert real / len(nights) > 0.95

import pytest

from rectok.train.schedule import factor
from rectok.train.training_config import ScheduleConfig


def schedule(**changes: object) -> ScheduleConfig:
    return ScheduleConfig.model_validate({"warmup": 0.1, "hold": 0.5, "decay": "cosine", "final": 0.2, **changes})


def test_warm_up_rises_evenly_to_the_peak_and_is_never_zero() -> None:
    assert [factor(step, 100, schedule()) for step in range(10)] == pytest.approx([(i + 1) / 10 for i in range(10)])


def test_the_peak_is_held() -> None:
    assert {factor(step, 100, schedule()) for step in range(10, 50)} == {1.0}
    assert {factor(step, 100, schedule(hold=1.0)) for step in range(10, 101)} == {1.0}


@pytest.mark.parametrize("decay,middle", [("cosine", 0.6), ("linear", 0.6)])
def test_decay_ends_at_the_final_share(decay: str, middle: float) -> None:
    config = schedule(decay=decay)
    assert factor(50, 100, config) == pytest.approx(1.0)
    assert factor(75, 100, config) == pytest.approx(middle)
    assert factor(100, 100, config) == pytest.approx(0.2)
    assert factor(101, 100, config) == pytest.approx(0.2)
    values = [factor(step, 100, config) for step in range(50, 101)]
    assert values == sorted(values, reverse=True)


def test_cosine_starts_slower_than_linear() -> None:
    assert factor(55, 100, schedule()) > factor(55, 100, schedule(decay="linear"))


def test_a_hold_below_the_warm_up_is_no_hold() -> None:
    assert factor(10, 100, schedule(hold=0.0)) == pytest.approx(1.0)
    assert factor(11, 100, schedule(hold=0.0)) < 1


def test_without_warm_up_the_first_step_has_the_peak() -> None:
    assert factor(0, 10, schedule(warmup=0.0)) == 1.0

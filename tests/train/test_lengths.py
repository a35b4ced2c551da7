"""A training lasts its epochs, and at least its steps."""

import pytest

from rectok.params.editing import changed
from rectok.train.training_config import FEW_STEPS, too_few
from tests.project import tiny

PARAMS = tiny()


@pytest.mark.parametrize(("min_steps", "steps"), [(0, 14), (14, 14), (84, 84)])
def test_few_images_are_seen_more_often(min_steps: int, steps: int) -> None:
    assert changed(PARAMS, {"tokenizer.training.min_steps": min_steps}).tokenizer.training.steps(219) == steps


@pytest.mark.parametrize(("min_steps", "epochs"), [(0, 1), (3, 1), (4, 2), (300, 100)])
def test_a_classifier_sees_whole_epochs(min_steps: int, epochs: int) -> None:
    training = changed(PARAMS, {"teacher.training.min_steps": min_steps}).teacher.training
    assert training.epochs_of(3 * training.batch + 1) == epochs
    assert training.epoch_steps(5) == 1


def test_a_short_training_is_named_with_the_key_that_makes_it_longer() -> None:
    assert too_few("tokenizer", 84) == (
        "84 steps: too few for a tokenizer; set tokenizer.training.min_steps to 400 or more; see docs/guides/images.md#3-train"
    )
    assert too_few("autoguidance", 1).startswith(
        "1 steps: too few for an autoguidance model; set autoguidance.training."
    )
    assert all(too_few(stage, steps) == "" for stage, steps in FEW_STEPS.items())

"""What is wrong with a configuration, in words."""

from typing import Any

import pytest
from pydantic import ValidationError

from rectok.config import first_mistake
from rectok.sampling.sampler_config import GuidanceConfig, SamplingConfig

GUIDANCE: dict[str, Any] = {"kind": "cfg", "scale": 1.0, "low": 0.0, "high": 1.0}
WHOLE: dict[str, Any] = {
    "classes": [],
    "sampler": {"method": "euler", "points": 50, "encoder_every": 1, "fp8": False},
    "guidance": GUIDANCE,
    "rounding": "round",
}


@pytest.mark.parametrize(
    "record,said",
    [
        (WHOLE | {"rounding": "up"}, "rounding is 'up', but must be 'round' or 'truncate'"),
        (
            WHOLE | {"guidance": GUIDANCE | {"scale": -1}},
            "guidance.scale is -1, but must be greater than or equal to 0",
        ),
        (WHOLE | {"guidance": GUIDANCE | {"low": 2}}, "guidance.low is 2, but must be less than or equal to 1"),
        (WHOLE | {"guidance": GUIDANCE | {"low": 0.5, "high": 0.25}}, "guidance: low 0.5 is above high 0.25"),
        (WHOLE | {"classes": [list(range(99))]}, "classes.0 is [0, 1, 2, 3, 4, 5, ...], but must be a valid string"),
        (WHOLE | {"sort": 1}, "sort: extra inputs are not permitted"),
        ({}, "classes: field required"),
        (3, "it is 3, but must be a valid dictionary or instance of SamplingConfig"),
    ],
)
def test_the_first_mistake_names_its_key_and_value(record: Any, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SamplingConfig.model_validate(record, strict=False)
    assert first_mistake(caught.value) == said


def test_a_mistake_of_the_whole_names_no_key() -> None:
    with pytest.raises(ValidationError) as caught:
        GuidanceConfig.model_validate(GUIDANCE | {"low": 0.5, "high": 0.25})
    assert first_mistake(caught.value) == "low 0.5 is above high 0.25"

"""No metric depends on the size of batches, whole or ragged."""

from pathlib import Path

import pytest

from rectok.evaluation.metrics import numbers, read_record
from rectok.params import Params
from rectok.params.editing import changed
from rectok.reporting.summary import EVALUATIONS
from rectok.stages import generation, probe, reconstruction
from tests.evaluation import project

GUIDED = {"generation.guidance": {"kind": "cfg", "scale": 3.0, "low": 0.0, "high": 1.0}}


def measured(params: Params, batch: int) -> dict[str, float]:
    params = changed(params, {f"{stage}.batch": batch for stage in EVALUATIONS} | GUIDED)
    for stage in (reconstruction, probe, generation):
        stage.run(params)
    return {name: value for stage in EVALUATIONS for name, value in numbers(read_record(stage).metrics).items()}


def test_metrics_are_the_same_image_by_image_in_ragged_batches_and_at_once(here: Path) -> None:
    params = project.build()
    at_once = measured(params, 250)
    assert at_once["gfid"] != at_once["gfid_guided"] and at_once["rfid"] > 0
    for batch in (1, 7):  # 15 samples, 8 held-out images
        assert measured(params, batch) == pytest.approx(at_once, rel=1e-3, abs=1e-9)

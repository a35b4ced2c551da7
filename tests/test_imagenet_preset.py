"""The preset of the paper runs from images to samples; cut down in its sizes, with random weights for the published ones."""

import math
from pathlib import Path

import pytest
from PIL import Image

from rectok.artifacts import STAGES, read_json
from tests import imagenet

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # the libraries' own


def test_the_preset_trains_resumes_and_samples(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    found = imagenet.run(folder, full=False)

    assert 1 <= found["resumed_at_step"] < 3
    for stage, losses in found["losses"].items():
        assert len(losses) == 3, stage
        assert all(math.isfinite(loss) for loss in losses), stage
        assert not (folder / "data/state" / stage).exists()
    metrics = found["metrics"]
    assert math.isfinite(metrics["gfid"]) and math.isfinite(metrics["gfid_guided"])
    assert metrics["sample_accuracy"] is None

    assert {path.stem for path in (folder / "data/checks").iterdir()} == set(STAGES)
    assert {path.stem for path in (folder / "data/passed").iterdir()} >= set(STAGES) - found["losses"].keys()
    assert (folder / "data/report/index.html").exists()
    summary = read_json(folder / "data/tokenizer/summary.json")
    assert summary["perceptual"] == "LPIPS-VGG16"
    log = (folder / "data/tokenizer/log.csv").read_text().split()
    assert "adversary" in log[0].split(",")
    assert read_json(folder / "data/generation/record.json")["protocol"]["rounding"] == "truncate to 8 bits"
    with Image.open(folder / "data/generation/guided.png") as image:
        assert image.size == (2 * 64 + 2, 2 * 64 + 2)

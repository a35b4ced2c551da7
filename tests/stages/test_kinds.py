"""The pipeline runs to its report with tokenizers of every kind."""

from pathlib import Path

import pytest

from rectok import artifacts
from tests.project import run_stages, write_params

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.mark.parametrize("kind,channels", [("vae", 4), ("rae", 16)])
def test_a_run_reaches_its_report(kind: str, channels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    changes = {"tokenizer.kind": kind, "tokenizer.sizes.channels": channels, "features.storage": "online"}
    run_stages(write_params(tmp_path, changes), *artifacts.STAGES)
    summary = artifacts.read_json(artifacts.summary_file("tokenizer"))
    assert summary["semantic_cosine"] is None and summary["psnr"] > 0
    checks = {check.name for check in artifacts.read_report(artifacts.check_file("tokenizer")).checks}
    assert "psnr" in checks and "semantic cosine" not in checks
    measured = artifacts.read_json(artifacts.record_file("probe"))["metrics"]
    assert measured["semantic_accuracy"] is None and [point["t"] for point in measured["probe"]] == [0.0, 0.5]
    assert len(artifacts.read_json(artifacts.statistics_file())["mean"]) == channels
    assert "index.html" in {path.name for path in artifacts.outputs("report")}

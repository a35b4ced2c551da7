"""The pipeline runs to its report with tokenizers of every kind."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rectok import artifacts
from rectok.storage.hashing import sha256_file
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


def test_a_published_autoencoder_reaches_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    diffusers = pytest.importorskip("diffusers", reason="the extra `diffusers` is not installed")
    monkeypatch.chdir(tmp_path)
    diffusers.AutoencoderKL(
        block_out_channels=(8, 8, 8), down_block_types=("DownEncoderBlock2D",) * 3, layers_per_block=1,
        up_block_types=("UpDecoderBlock2D",) * 3, norm_num_groups=4, latent_channels=4, scaling_factor=0.5,
    ).save_pretrained(tmp_path / "vae")  # fmt: skip
    config, weights = tmp_path / "vae/config.json", tmp_path / "vae/diffusion_pytorch_model.safetensors"
    changes = {
        "tokenizer.kind": "published",
        "tokenizer.published": {"path": str(config), "sha256": sha256_file(config)},
        "tokenizer.initial": {"path": str(weights), "sha256": sha256_file(weights)},
        "tokenizer.training.epochs": 0,
        "features.storage": "online",
    }
    run_stages(write_params(tmp_path, changes), *artifacts.STAGES)
    before, after = (load_file(artifacts.weights_file(stage)) for stage in ("tokenizer", "decoder"))
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved and all(name.startswith("decoder.") for name in moved)
    assert artifacts.read_json(artifacts.summary_file("tokenizer"))["source"] == str(weights)
    assert "index.html" in {path.name for path in artifacts.outputs("report")}

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rectok import artifacts
from rectok.data.dataset import ImageDataset
from rectok.evaluation.images import stacked
from rectok.evaluation.metrics import psnr
from rectok.evaluation.records import read_record
from rectok.stages import reconstruction
from rectok.tokenizer.loading import load_tokenizer
from tests.evaluation import project


def test_figures_are_those_of_the_rounded_reconstructions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params = project.build()
    reconstruction.run(params)
    record = read_record("reconstruction")

    originals = stacked(ImageDataset(["00000"], "test"))
    tokenizer = load_tokenizer(artifacts.stage_dir("decoder"))
    rebuilt = reconstruction.reconstructed(tokenizer, originals, params.reconstruction, "cpu")
    assert rebuilt.dtype == torch.uint8
    assert record.figures["psnr"] == pytest.approx(float(psnr(rebuilt, originals).mean()))
    assert record.protocol["images"] == 8
    assert record.networks["psnr"] == "no network: pixels"
    assert record.networks["rfid"] == "regnetx_002 (a stand-in)"

    # Eight originals in a row above their eight reconstructions.
    with Image.open(artifacts.stage_dir("reconstruction") / "grid.png") as image:
        pixels = np.asarray(image)
    assert pixels.shape == (2 * 32 + 2, 8 * 32 + 7 * 2, 4)
    assert np.array_equal(pixels[:32, :32, :3], originals[0].permute(1, 2, 0).numpy())
    assert np.array_equal(pixels[34:, -32:, :3], rebuilt[7].permute(1, 2, 0).numpy())


def test_a_second_run_writes_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params = project.build()
    written = []
    for _ in range(2):
        reconstruction.run(params)
        folder = artifacts.stage_dir("reconstruction")
        written.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert written[0] == written[1]
    assert written[0].keys() == {"metrics.json", "grid.png", "preview.png"}

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from rectok import artifacts
from rectok.data.dataset import ImageDataset
from rectok.evaluation.image_quality import psnr
from rectok.evaluation.metrics import read_record
from rectok.losses.loss_config import PerceptualFile
from rectok.losses.perceptual import LPIPS, VGG_WIDTHS, load_lpips
from rectok.params import Params
from rectok.stages import reconstruction
from rectok.storage.hashing import sha256_file
from tests.evaluation import project


def test_figures_are_those_of_the_rounded_reconstructions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params = project.build()
    reconstruction.run(params)
    record = read_record("reconstruction")

    originals, rebuilt = images_of(params)
    assert rebuilt.dtype == torch.uint8
    assert record.metrics["psnr"] == pytest.approx(float(psnr(rebuilt, originals).mean()))
    assert record.protocol["images"] == 8
    assert len(str(record.protocol["fingerprint"])) == 12
    assert record.networks["psnr"] == "no network: pixels"
    assert record.networks["rfid"] == "regnetx_002 (a proxy)"
    assert record.metrics["lpips"] is None
    assert record.networks["lpips"] == "not measured: decoder.losses.perceptual names no weights of LPIPS"

    # Eight originals in a row above their eight reconstructions.
    with Image.open(artifacts.stage_dir("reconstruction") / "grid.png") as image:
        pixels = np.asarray(image)
    assert pixels.shape == (2 * 32 + 2, 8 * 32 + 7 * 2, 4)
    assert np.array_equal(pixels[:32, :32, :3], originals[0].permute(1, 2, 0).numpy())
    assert np.array_equal(pixels[34:, -32:, :3], rebuilt[7].permute(1, 2, 0).numpy())


def images_of(params: Params) -> tuple[torch.Tensor, torch.Tensor]:
    """The test split, and what the tokenizer makes of it in the stage's batches."""
    dataset = ImageDataset(["00000"], "test")
    originals = torch.stack([dataset.image(position) for position in range(len(dataset))])
    networks = reconstruction.Networks.load(params, len(dataset), torch.device("cpu"))
    return originals, torch.cat(
        [networks.reconstructed(batch) for batch in originals.split(params.reconstruction.batch)]
    )


def with_lpips(params: Params) -> Params:
    """LPIPS of random weights for the finetuning of the decoder, from files in the working folder."""
    save_file(LPIPS().vgg.state_dict(), "vgg.safetensors")
    heads = {f"lin{i}.model.1.weight": torch.rand(1, width, 1, 1) for i, width in enumerate(VGG_WIDTHS)}
    save_file(heads, "heads.safetensors")
    named = {
        name: PerceptualFile(path=path, sha256=sha256_file(Path(path)))
        for name, path in (("vgg", "vgg.safetensors"), ("lpips_heads", "heads.safetensors"))
    }
    losses = params.decoder.losses
    perceptual = losses.perceptual.model_copy(update={"logits": 0.0, **named})
    decoder = params.decoder.model_copy(update={"losses": losses.model_copy(update={"perceptual": perceptual})})
    return params.model_copy(update={"decoder": decoder})


def test_lpips_is_measured_where_its_weights_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params = with_lpips(project.build())
    reconstruction.run(params)
    record = read_record("reconstruction")
    assert record.networks["lpips"] == "LPIPS-VGG16"

    originals, rebuilt = images_of(params)
    network = load_lpips(params.decoder.losses.perceptual)
    assert network is not None
    expected = float(network(rebuilt / 255, originals / 255).mean())
    assert record.metrics["lpips"] == pytest.approx(expected, rel=1e-4)
    assert expected > 0


def test_a_second_run_writes_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params = project.build()
    written = []
    for _ in range(2):
        reconstruction.run(params)
        folder = artifacts.stage_dir("reconstruction")
        written.append({path.name: path.read_bytes() for path in folder.rglob("*.*")})
    assert written[0] == written[1]
    failures = {f"{place}.png" for place in range(8)}
    assert written[0].keys() == {"record.json", "metrics.json", "grid.png", "preview.png", "pictures.json", *failures}


def test_the_worst_reconstructions_come_first_each_below_its_original(here: Path) -> None:
    params = project.build()
    reconstruction.run(params)
    dataset = ImageDataset(["00000"], "test")
    originals, rebuilt = images_of(params)
    quality = psnr(rebuilt, originals)
    place = int(quality.argmin())
    worst = artifacts.read_json(artifacts.pictures_file("reconstruction"))["worst"]
    assert [each["psnr"] for each in worst] == quality.sort().values.tolist()
    assert worst[0] == {
        "key": dataset.keys[place], "label": dataset.labels[place], "psnr": float(quality[place]), "picture": "0.png"
    }  # fmt: skip
    with Image.open(artifacts.failures_dir("reconstruction") / "0.png") as image:
        pixels = np.asarray(image)
    assert pixels.shape == (2 * 96 + 2, 96, 4)
    assert np.array_equal(pixels[:96:3, ::3, :3], originals[place].permute(1, 2, 0).numpy())
    assert np.array_equal(pixels[98::3, ::3, :3], rebuilt[place].permute(1, 2, 0).numpy())

"""Held-out images through the tokenizer and back: PSNR, SSIM, LPIPS, rFID, and the metric network's accuracy on them."""

from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from rectok.artifacts import pictures_file, stage_dir, write_json
from rectok.data.dataset import ImageDataset
from rectok.evaluation.evaluation_config import ReconstructionConfig
from rectok.evaluation.fidelity import ReferenceFeatures, extract_features, frechet
from rectok.evaluation.fingerprint import FINGERPRINT, fingerprint, images_of, metric_network_of
from rectok.evaluation.image_quality import lpips, psnr, ssim, to_uint8
from rectok.evaluation.image_sets import TensorImages, collected, stacked
from rectok.evaluation.metric_network import MetricNetwork, load_metric_network
from rectok.evaluation.metrics import record_of, write_record
from rectok.losses.perceptual import load_lpips
from rectok.nn.blocks import compile_blocks
from rectok.nn.counting import products
from rectok.nn.overlap import on_cpu
from rectok.nn.precision import bfloat16_on_gpu, bfloat16_products
from rectok.params import Params
from rectok.reporting.failures import clear, worst_reconstructions
from rectok.reporting.images import COLUMNS, enlarged, grid, side_by_side, write_png
from rectok.tokenizer.model import Tokenizer, from_bytes, load_tokenizer, split_moments, to_unit
from rectok.train.world import compiles, device_of

SHOWN = 40


def run(params: Params) -> None:
    """Write data/reconstruction: record.json, grid.png (originals above reconstructions), preview.png, the worst images."""
    config = params.reconstruction
    device = device_of(params.machine)
    metric_network = load_metric_network(stage_dir("metric_network"), device, config.batch)
    perceptual = load_lpips(params.decoder.losses.perceptual)
    dataset = ImageDataset(params.index.shards, config.split)
    originals = stacked(dataset, params.machine.workers)
    tokenizer = load_tokenizer(stage_dir("decoder")).to(device)
    if device == "cuda":
        bfloat16_products(tokenizer)
    if compiles(params.machine, products(tokenizer, tokenizer.config.tokens) * len(originals)):
        compile_blocks(tokenizer)
    rebuilt = reconstructed(tokenizer, originals, config, device)
    qualities = _psnr(originals, rebuilt, metric_network)
    metrics = _metrics(originals, rebuilt, torch.from_numpy(dataset.labels), metric_network)
    metrics["psnr"], metrics["lpips"] = float(qualities.mean()), None
    if perceptual is not None:
        distances = lpips(rebuilt, originals, perceptual.to(device), config.batch, device)
        metrics["lpips"] = float(distances.mean())
    protocol = {FINGERPRINT: _fingerprint(params), **_protocol(config, metric_network, len(dataset))}
    write_record(
        "reconstruction", record_of("reconstruction", metrics, protocol, metric_network.title, metric_network.labelled)
    )
    _write_pictures(originals, rebuilt)
    clear("reconstruction")
    worst = worst_reconstructions(originals, rebuilt, qualities, dataset.keys, dataset.labels)
    write_json(pictures_file("reconstruction"), {"worst": [asdict(each) for each in worst]})


def reconstructed(tokenizer: Tokenizer, originals: Tensor, config: ReconstructionConfig, device: str) -> Tensor:
    """Decode the posterior means of uint8 images [N, 3, H, W]; uint8 of the same shape."""

    @torch.no_grad()
    def decoded() -> Iterator[Tensor]:
        console = Console(stderr=True)
        for images in track(originals.split(config.batch), description="reconstructions", console=console):
            with bfloat16_on_gpu(device):
                mean, _ = split_moments(tokenizer.encode(from_bytes(images.to(device))))
                rebuilt = tokenizer.decode(mean).float()
            yield to_uint8(to_unit(rebuilt), config.rounding)

    return collected(len(originals), on_cpu(decoded()))


def _psnr(originals: Tensor, rebuilt: Tensor, metric_network: MetricNetwork) -> Tensor:
    """dB of each image, float64 [N]."""
    device, batch = metric_network.device, metric_network.batch
    pairs = zip(rebuilt.split(batch), originals.split(batch), strict=True)
    return torch.cat([psnr(a.to(device), b.to(device)) for a, b in pairs]).cpu()


def _metrics(
    originals: Tensor, rebuilt: Tensor, labels: Tensor, metric_network: MetricNetwork
) -> dict[str, float | None]:
    device, batch = metric_network.device, metric_network.batch
    pairs = list(zip(rebuilt.split(batch), originals.split(batch), strict=True))
    real, fake = (extract_features(TensorImages(images), metric_network) for images in (originals, rebuilt))
    return {
        "ssim": float(torch.cat([ssim(a.to(device), b.to(device)) for a, b in pairs]).mean()),
        "rfid": frechet(fake, ReferenceFeatures.of(real)),
        "metric_network_accuracy": metric_network.accuracy(real.logits, labels),
        "reconstruction_accuracy": metric_network.accuracy(fake.logits, labels),
    }


def _fingerprint(params: Params) -> str:
    perceptual = params.decoder.losses.perceptual
    return fingerprint(
        metric_network=metric_network_of(),
        reconstruction=params.reconstruction.model_dump(mode="json", exclude={"batch"}),
        lpips=[perceptual.vgg.sha256, perceptual.lpips_heads.sha256],
        images=images_of(params.index.shards),
    )


def _protocol(config: ReconstructionConfig, metric_network: MetricNetwork, count: int) -> dict[str, str | int | float]:
    return {
        "metric_network": metric_network.described,
        "split": config.split,
        "images": count,
        "latent": "posterior mean",
        "rounding": f"{config.rounding} to 8 bits",
        "averaging": "PSNR and SSIM (data range 255, float64) and LPIPS per image, then the mean",
        "reference": f"rFID: the same {count} images before the tokenizer",
    }


def _write_pictures(originals: Tensor, rebuilt: Tensor) -> None:
    columns = min(COLUMNS, len(originals))
    count = min(SHOWN, len(originals)) // columns * columns
    chosen = np.linspace(0, len(originals) - 1, count).round().astype(int)
    images = side_by_side((originals.numpy()[chosen], rebuilt.numpy()[chosen]), columns)
    write_png(stage_dir("reconstruction") / "grid.png", grid(images, columns))
    write_png(stage_dir("reconstruction") / "preview.png", grid(enlarged(images), columns))

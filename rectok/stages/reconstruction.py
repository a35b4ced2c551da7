"""Held-out images through the tokenizer and back: PSNR, SSIM, LPIPS, rFID, and the metric network's accuracy on them."""

from dataclasses import asdict, dataclass
from typing import NamedTuple, Self

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from rectok.artifacts import pictures_file, stage_dir, write_json
from rectok.data.dataset import ImageDataset
from rectok.data.loader import image_batches
from rectok.evaluation.evaluation_config import ReconstructionConfig
from rectok.evaluation.fidelity import Features, ReferenceFeatures, frechet
from rectok.evaluation.fingerprint import FINGERPRINT, fingerprint, images_of, metric_network_of
from rectok.evaluation.image_quality import lpips, psnr, ssim, to_uint8
from rectok.evaluation.image_sets import collected
from rectok.evaluation.metric_network import MetricNetwork, load_metric_network
from rectok.evaluation.metrics import record_of, write_record
from rectok.losses.perceptual import LPIPS, load_lpips
from rectok.nn.counting import products
from rectok.nn.overlap import Parts
from rectok.nn.precision import bfloat16_on_gpu
from rectok.nn.spread import batch_sizes
from rectok.nn.weights import Undrawn
from rectok.params import Params
from rectok.reporting.failures import clear, worst_reconstructions
from rectok.reporting.images import COLUMNS, enlarged, grid, side_by_side, write_png
from rectok.tokenizer.kinds import load_tokenizer
from rectok.tokenizer.model import Tokenizer, from_bytes, split_moments, to_unit
from rectok.train.launch import launched, worthwhile
from rectok.train.world import compiles, member, settled

SHOWN = 40


@dataclass(frozen=True)
class Networks:
    """What reconstructs images and measures how well. `perceptual` is LPIPS where it has weights."""

    tokenizer: Tokenizer
    metric_network: MetricNetwork
    perceptual: LPIPS | None
    rounding: str

    @classmethod
    def load(cls, params: Params, images: int, device: torch.device) -> Self:
        """Those of the pipeline, for so many images."""
        config = params.reconstruction
        with Undrawn():
            perceptual = load_lpips(params.decoder.losses.perceptual)
            tokenizer = load_tokenizer(stage_dir("decoder"))
            metric_network = load_metric_network(stage_dir("metric_network"), device, config.batch)
        flops = products(tokenizer, tokenizer.config.tokens) * images
        settled(tokenizer, params.machine, compiles(params.machine, flops))
        return cls(tokenizer, metric_network, perceptual and perceptual.to(device), config.rounding)

    def reconstructed(self, originals: Tensor) -> Tensor:
        """Decode the posterior means of uint8 images [B, 3, H, W]; uint8 of the same shape."""
        with torch.no_grad(), bfloat16_on_gpu(originals.device):
            mean, _ = split_moments(self.tokenizer.encode(from_bytes(originals)))
            rebuilt = self.tokenizer.decode(mean).float()
        return to_uint8(to_unit(rebuilt), self.rounding)

    def measured(self, originals: Tensor) -> Parts:
        """In the order of Measured: of uint8 images [B, 3, H, W], on the device."""
        originals = originals.to(self.metric_network.device, non_blocking=True)
        rebuilt = self.reconstructed(originals)
        features = [part for images in (originals, rebuilt) for part in self.metric_network.features(images)]
        distances = [] if self.perceptual is None else [lpips(rebuilt, originals, self.perceptual)]
        return originals, rebuilt, *features, psnr(rebuilt, originals), ssim(rebuilt, originals), *distances


class Measured(NamedTuple):
    """N images and what was measured of them: uint8 [N, 3, H, W], features [N, …], and float64 [N]."""

    originals: Tensor
    rebuilt: Tensor
    real_pooled: Tensor
    real_logits: Tensor
    fake_pooled: Tensor
    fake_logits: Tensor
    psnr: Tensor
    ssim: Tensor
    lpips: Tensor | None = None


def run(params: Params) -> None:
    """Write data/reconstruction: record.json, grid.png (originals above reconstructions), preview.png, the worst images."""
    config, machine = params.reconstruction, params.machine
    dataset = ImageDataset(params.index.shards, config.split)
    count, sizes = len(dataset), batch_sizes(len(dataset), config.batch)
    if worthwhile(machine, count) and launched(machine, "reconstruction", units=len(sizes)):
        return
    world = member(machine)
    batches = image_batches(dataset, config.batch, machine.workers, world.spread.own(len(sizes)))
    networks = Networks.load(params, count, world.device)
    results = world.spread.results(map(networks.measured, batches), sizes)
    if not world.first:
        assert not list(results)
        return
    shown = track(results, description="reconstructions", total=len(sizes), console=Console(stderr=True))
    measured = Measured(*collected(count, shown))
    metric_network = networks.metric_network
    metrics = _metrics(measured, dataset, metric_network)
    protocol = {FINGERPRINT: _fingerprint(params), **_protocol(config, metric_network, count)}
    write_record(
        "reconstruction", record_of("reconstruction", metrics, protocol, metric_network.title, metric_network.labelled)
    )
    _write_pictures(measured.originals, measured.rebuilt)
    clear("reconstruction")
    worst = worst_reconstructions(measured.originals, measured.rebuilt, measured.psnr, dataset.keys, dataset.labels)
    write_json(pictures_file("reconstruction"), {"worst": [asdict(each) for each in worst]})


def _metrics(measured: Measured, dataset: ImageDataset, metric_network: MetricNetwork) -> dict[str, float | None]:
    real = Features(measured.real_pooled, measured.real_logits)
    fake = Features(measured.fake_pooled, measured.fake_logits)
    labels = torch.from_numpy(dataset.labels)
    return {
        "psnr": float(measured.psnr.mean()),
        "ssim": float(measured.ssim.mean()),
        "lpips": None if measured.lpips is None else float(measured.lpips.mean()),
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

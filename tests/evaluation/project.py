"""A finished project on 32-pixel images: real shards, and real, tiny networks with random weights."""

import json
from typing import Any

import numpy as np
import torch

from rectok import artifacts
from rectok.artifacts import Check, GateReport
from rectok.data.dataset import ImageDataset
from rectok.data.image_decoding import encode_png
from rectok.data.packing import Packed, write_shard
from rectok.dit.dit_config import DiTConfig, DiTSizes
from rectok.dit.model import DiTDH
from rectok.evaluation.metric_network import MetricNetwork, load_metric_network
from rectok.evaluation.metrics import record_of, write_record
from rectok.files import write_text
from rectok.nn.transformer_config import TransformerConfig
from rectok.params import Params
from rectok.params.loading import PARAMS_FILE, validated
from rectok.pipeline.hashes import hashes_of
from rectok.reporting.images import grid, write_png
from rectok.teacher.loading import save_network
from rectok.teacher.network import VisionNetwork
from rectok.teacher.network_config import NetworkConfig
from rectok.tokenizer.model import ViTTokenizer
from rectok.tokenizer.tokenizer_config import SemanticDecoderConfig, TokenizerConfig, TokenizerSizes
from tests.networks import drawn, keep
from tests.project import preset

CLASSES = 3
SIDE = 32
SMALL = TransformerConfig(width=16, depth=1, heads=2)


def params() -> Params:
    """The digits preset with few samples; written to params.yaml too, as the report shows it."""
    tree = preset("digits")
    tree["index"]["shards"] = ["00000"]
    tree["generation"] |= {"per_class": 5, "batch": 4, "neighbours": 3, "reference": ""}
    tree["generation"]["sampler"]["points"] = 3
    tree["reconstruction"] |= {"batch": 3, "split": "test"}
    tree["probe"] |= {"times": [0.0, 0.5], "batch": 7, "views": 2}
    tree["nightly"] |= {"per_class": 5, "gfid_tolerance": 0.25, "accuracy_tolerance": 0.03}
    tree["nightly"]["noise"] = {"parts": 2, "runs": 3, "sigmas": 0.0}
    tree["gates"] |= {
        "reconstruction": {"min_psnr": 24.0, "max_rfid": 50.0},
        "probe": {"at": 0.5, "min_accuracy": 0.5},
        "generation": {"min_accuracy": 0.9, "min_accuracy_guided": 0.95, "max_gfid": 100.0},
    }
    text = json.dumps(tree, indent=1)
    write_text(PARAMS_FILE, text)
    return validated(tree, "params.yaml")


def picture(label: int, seed: int) -> np.ndarray:
    """uint8 [3, H, W] whose brightest channel is its label."""
    noise = np.random.default_rng([label, seed]).integers(0, 60, (3, SIDE, SIDE))
    noise[label] += 150
    return noise.astype(np.uint8)


def pictures(count: int, first: int = 0) -> torch.Tensor:
    """uint8 [count, 3, H, W] of all classes in turn."""
    return torch.from_numpy(np.stack([picture(i % 3, first + i) for i in range(count)]))


def build_shards() -> None:
    """24 images of three classes, every third of them for testing."""
    pictures = [picture(i // 8, i).transpose(1, 2, 0) for i in range(24)]
    splits = ["train" if i % 3 else "test" for i in range(24)]
    write_shard("00000", (Packed(f"{i:08d}", i // 8, splits[i], encode_png(pictures[i])) for i in range(24)))
    artifacts.write_json(artifacts.classes_file(), ["red", "green", "blue"])


def build_metric_network(classes: int = CLASSES) -> MetricNetwork:
    """A network with random weights, kept where the stage `metric_network` keeps its own."""
    half = (0.5, 0.5, 0.5)
    config = NetworkConfig(
        name="regnetx_002", options={}, image_size=SIDE, mean=half, std=half, weights="", sha256="", licence=""
    )
    torch.manual_seed(0)
    folder = artifacts.stage_dir("metric_network")
    save_network(folder, VisionNetwork(config, classes), {})
    summary = {"network": "regnetx_002", "proxy": "a proxy, trained here", "sha256": "0" * 64}
    for role in ("metric_network", "teacher"):
        artifacts.write_json(artifacts.summary_file(role), summary)
    return load_metric_network(folder, "cpu", 8)


def build_models() -> None:
    """Tokenizer, finetuned decoder, generator, autoguidance model and latent statistics."""
    torch.manual_seed(1)
    for stage in ("tokenizer", "decoder"):
        keep(stage, ViTTokenizer(tokenizer_config()))
    dit = DiTConfig(grid=4, channels=4, classes=CLASSES, sizes=DiTSizes(encoder=SMALL, head=SMALL))
    for stage in ("dit", "autoguidance"):
        keep(stage, drawn(DiTDH(dit)))
    statistics = {"mean": [0.0] * 4, "std": [1.0] * 4, "tokenizer": "0" * 64}
    artifacts.write_json(artifacts.stage_dir("statistics") / "statistics.json", statistics)


def tokenizer_config() -> TokenizerConfig:
    """That of a small RecTok."""
    semantic = SemanticDecoderConfig(kind="transformer", transformer=SMALL)
    sizes = TokenizerSizes(patch=8, channels=4, encoder=SMALL, decoder=SMALL, semantic=semantic)
    return TokenizerConfig(image_size=SIDE, teacher_width=8, sizes=sizes)


def build_records() -> None:
    """Logs, summaries, gate reports and times, as training leaves them."""
    artifacts.write_json(artifacts.config_file("tokenizer"), tokenizer_config().model_dump())
    rows = "".join(f"{step},{64 * step},0.001,{1 / step},{0.5 + 1 / step}\n" for step in range(1, 40))
    for stage in ("tokenizer", "decoder", "dit", "autoguidance"):
        write_text(artifacts.log_file(stage), f"step,images,lr,total,pixel\n{rows}")
        summary = {"trained": True, "steps": 9, "perceptual": "layers of the teacher"}
        artifacts.write_json(artifacts.summary_file(stage), summary)
        artifacts.write_json(artifacts.timing_file(stage, None), {"stage": stage, "shard": None, "seconds": 65.0})
    for shard in ("00000", "00001"):
        artifacts.write_json(
            artifacts.timing_file("shards", shard), {"stage": "shards", "shard": shard, "seconds": 1.5}
        )
        check = Check(
            "rows <decode>", shard == "00000", "WARN", 3.0, 3.0, "" if shard == "00000" else "row 2 & 3 do not"
        )
        judged = hashes_of(artifacts.outputs("shards", shard))
        artifacts.write_report(GateReport("shards", shard, (check,), judged))


def build() -> Params:
    """Everything that evaluation reads."""
    build_shards()
    build_metric_network()
    build_models()
    build_records()
    return params()


def train_split() -> ImageDataset:
    """The 16 training images."""
    return ImageDataset(["00000"], "train")


def build_evaluation() -> None:
    """What reconstruction, probe and generation leave: metrics that could be, and pictures."""
    plain = {
        "gfid": 8.25, "kid": 0.01, "inception_score": 8.5, "inception_score_std": 0.0, "precision": 0.75, "recall": 0.5,
    }  # fmt: skip
    both = {f"{name}{suffix}": value for suffix in ("", "_guided") for name, value in plain.items()}
    accuracies = {"sample_accuracy": 0.96, "sample_accuracy_guided": 0.99}
    families = ("fd", "fdr", "space_kid", "space_precision", "space_recall")
    spaces = {"fd_floor": {"a_space": 0.5}}
    spaces |= {f"{name}{suffix}": {"a_space": 0.25} for suffix in ("", "_guided") for name in families}
    metrics: dict[str, dict[str, Any]] = {
        "reconstruction": {
            "psnr": 27.5, "ssim": 0.9, "lpips": 0.1, "rfid": 1.5, "metric_network_accuracy": 0.97,
            "reconstruction_accuracy": 0.95,
        },
        "probe": {"probe": [{"t": 0.0, "accuracy": 0.9}, {"t": 0.5, "accuracy": 0.75}], "semantic_accuracy": 0.8},
        "generation": both | accuracies | {"gfid_floor": 0.5} | spaces,
    }  # fmt: skip
    protocol = {
        "fingerprint": "0123456789ab",
        "split": "test",
        "guidance": "cfg, scale 1.5",
        "metric_network": "regnetx_002",
    }
    for stage, measured in metrics.items():
        write_record(stage, record_of(stage, measured, protocol, "regnetx_002 (a proxy)"))
    pixels = np.stack([picture(label, 0) for label in range(CLASSES)])
    for name in ("reconstruction/grid.png", "generation/unguided.png", "generation/guided.png"):
        write_png(artifacts.DATA / name, grid(pixels, 1))
    build_failures(pixels)


def build_failures(pixels: np.ndarray) -> None:
    """One bad reconstruction, and one confusion of two classes."""
    worst = {"key": "00000001", "label": 1, "psnr": 21.25, "picture": "0.png"}
    pair = {"label": 2, "predicted": 0, "count": 3, "samples": 5, "picture": "unguided-0.png"}
    confused = {"unguided": [pair], "guided": []}
    artifacts.write_json(artifacts.pictures_file("reconstruction"), {"worst": [worst]})
    artifacts.write_json(artifacts.pictures_file("generation"), {"rows": [0, 1, 2], "confused": confused})
    for stage, failure in (("reconstruction", worst), ("generation", pair)):
        write_png(artifacts.failures_dir(stage) / str(failure["picture"]), grid(pixels, 1))


def build_results() -> None:
    """What a finished pipeline says of itself, without its networks and images."""
    build_records()
    build_evaluation()
    for role in ("metric_network", "teacher"):
        summary = {"network": "resnet10t", "proxy": "proxy: resnet10t trained here"}
        artifacts.write_json(artifacts.summary_file(role), summary)
    artifacts.write_json(artifacts.classes_file(), ["red", "green", "blue"])

"""Linear probe along the flow: how much of the label is left in x_t, and in the semantic decoder."""

from math import ceil

import numpy as np

from rectok.artifacts import stage_dir
from rectok.data.dataset import ImageDataset
from rectok.evaluation.fingerprint import FINGERPRINT, fingerprint, images_of
from rectok.evaluation.metrics import record_of, write_record
from rectok.evaluation.probe import ClassSubset, Noising, linear_accuracy, pool
from rectok.files import write_bytes
from rectok.params import Params
from rectok.reporting.charts import Line, line_png
from rectok.tokenizer.kinds import load_tokenizer
from rectok.train.launch import launched, worthwhile
from rectok.train.world import member


def run(params: Params) -> None:
    """Write data/probe: record.json with the accuracy at each t, and curve.png. Unlabelled images have neither."""
    config, machine = params.probe, params.machine
    noising = Noising(config.times, config.views, params.tokenizer.flow.noise_scale, params.seed)
    every_train_image = ImageDataset(params.index.shards, "train")
    train_images = ClassSubset(every_train_image, config.per_class) if config.per_class else every_train_image
    test_images = ImageDataset(params.index.shards, config.split)
    protocol = _protocol(params, len(train_images), len(test_images))
    if len(np.unique(every_train_image.labels)) < 2:
        write_record("probe", record_of("probe", {"probe": None, "semantic_accuracy": None}, protocol, labelled=False))
        return
    if worthwhile(machine, len(train_images)) and launched(
        machine, "probe", units=ceil(len(train_images) / config.batch)
    ):
        return
    world = member(machine)
    tokenizer = load_tokenizer(stage_dir("tokenizer")).to(world.device)
    train, test = (
        pool(tokenizer, images, draws, config.batch, world.device, machine.workers, world.spread)
        for images, draws in ((train_images, noising), (test_images, noising.once()))
    )
    if not world.first:
        return
    strength = config.regularisation
    points = [
        {"t": t, "accuracy": linear_accuracy(training, train.labels, testing, test.labels, strength)}
        for t, training, testing in zip(config.times, train.latent, test.latent, strict=True)
    ]
    semantic = None
    if train.semantic is not None and test.semantic is not None:
        semantic = linear_accuracy(train.semantic, train.labels, test.semantic, test.labels, strength)
        protocol["semantic"] = "the semantic decoder's second-to-last features at t = 0, averaged over tokens"
    write_record("probe", record_of("probe", {"probe": points, "semantic_accuracy": semantic}, protocol))
    line = Line([p["t"] for p in points], [p["accuracy"] for p in points])
    write_bytes(stage_dir("probe") / "curve.png", line_png(line, x="t (0: clean, 1: noise)", y="probe accuracy"))


def _protocol(params: Params, train: int, test: int) -> dict[str, str | int | float]:
    settings = params.probe.model_dump(mode="json", exclude={"batch"})
    scale, images = params.tokenizer.flow.noise_scale, images_of(params.index.shards)
    return {
        FINGERPRINT: fingerprint(probe=settings, noise_scale=scale, images=images),
        "training": f"{train} images of the train split, {params.probe.views} noise draws each",
        "test": f"{test} images of the {params.probe.split} split, one noise draw each",
        "features": "x_t averaged over tokens, z drawn from the posterior, standardised",
        "time": "t is the actual flow time: x_t = (1 − t)·z + t·γ·ε, not shifted",
        "noise_scale": scale,
        "classifier": f"multinomial logistic regression, C = {params.probe.regularisation:g}",
        "seeds": "one per image, view and t",
    }

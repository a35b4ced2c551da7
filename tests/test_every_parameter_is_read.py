"""Every declared parameter changes something: a whole tiny run reads them all, and the run's artefacts are there."""

import importlib
import shutil
import types
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from threading import Event
from typing import Any, get_args

import pytest
from dagster import DagsterInstance, build_sensor_context
from PIL import Image

from orchestration.nightly.definitions import nightly
from rectok import artifacts
from rectok.checks.run import run as run_gate
from rectok.cli.repro import queue_of
from rectok.config import Config
from rectok.params import Params
from rectok.params.editing import changed
from rectok.pipeline.graph import Stage
from rectok.pipeline.job_engine import JobEngine
from rectok.pipeline.jobs import Job
from rectok.pipeline.kubernetes_jobs import Kubernetes, manifest
from rectok.pipeline.slurm import Slurm
from rectok.storage.hashing import sha256_file
from rectok.train import loop
from rectok.workloads.tokenizers import tokenizer_config
from tests.alerts.servers import mail_server, webhook
from tests.errors import user_error
from tests.project import run_stages, write_params

# Every library of the pipeline runs in this process; their warnings are not what is tested.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
HAS_TENSORBOARD = find_spec("tensorboard") is not None
ADVERSARY = {"weight": 0.1, "start": 0.0, "filters": 4, "layers": 1, "lr_per_256": 1e-4}


def declared(model: type[Config]) -> Iterator[tuple[str, str]]:
    """(class, field) of `model` and of every configuration inside it."""
    for name, field in model.model_fields.items():
        yield model.__name__, name
        inner = field.annotation
        for candidate in get_args(inner) if isinstance(inner, types.UnionType) else (inner,):
            if isinstance(candidate, type) and issubclass(candidate, Config):
                yield from declared(candidate)


def run_everything(params: Params) -> None:
    run_stages(params, "index")
    promote_and_compare(params)
    run_stages(params, *artifacts.STAGES[1:])
    importlib.import_module("rectok.nightly.run").run(params, "2026-01-01")
    nightly(params.nightly, Path.cwd(), {"generation": False})
    tell_somebody(params)
    queue(params)


def queue(params: Params) -> None:
    """A shard and a training, where no SLURM is, and as Jobs that are not sent."""
    shard, training = Stage("shards@00000", frozenset()), Stage("teacher", frozenset(), pool="accelerator")
    assert queue_of([shard, training]) is None  # the executor is local
    for stage in (shard, training):
        engine = JobEngine(Slurm(params.machine.slurm), print, lambda stage: stage.address, Event(), Event())
        with pytest.MonkeyPatch.context() as patch, user_error("there is no sbatch here"):
            patch.setenv("PATH", "")
            engine.run([stage], print)
    with user_error("pods find it only below machine.kubernetes.mount, /project"):
        Kubernetes(params.machine.kubernetes)
    for accelerator in (False, True):
        manifest(params.machine.kubernetes, Job(Path("job"), {}, [["teacher"]]), "rectok teacher", accelerator)


def tell_somebody(params: Params) -> None:
    """A night that did not come, by webhook and by mail, to servers of our own."""
    with webhook() as hook, mail_server("secret") as box, pytest.MonkeyPatch.context() as patch:
        for name, value in (("HOOK", hook.url), ("MAIL_USER", "rectok"), ("MAIL_PASSWORD", "secret")):
            patch.setenv(name, value)
        mail = {"host": "127.0.0.1", "port": box.port, "security": "none", "user": "MAIL_USER"}
        mail |= {"sender": "rectok@here.example", "to": ["a@there.example"], "password": "MAIL_PASSWORD"}
        told = changed(params, {"nightly.alert.webhook": "HOOK", "nightly.alert.mail": mail}).nightly
        [missed] = [sensor for sensor in nightly(told, Path.cwd(), {}).sensors or [] if sensor.name == "nightly_missed"]
        with DagsterInstance.ephemeral() as instance:
            missed(build_sensor_context(instance, cursor="2000-01-01"))
        assert hook.received and box.received


def promote_and_compare(params: Params) -> None:
    drift = importlib.import_module("rectok.checks.drift")
    artifacts.write_json(artifacts.baseline_file(), drift.summary(params)[0].model_dump())
    run_gate("index", params)


def run_what_the_digits_do_not_need(folder: Path) -> None:
    """Images in a folder of one's own, and networks whose weights come from a file."""
    weights = folder / "weights.safetensors"
    shutil.copy(artifacts.weights_file("teacher"), weights)
    images = folder / "images"
    for label in "ab":
        (images / label).mkdir(parents=True)
        for brightness in (60, 90, 120):
            Image.new("RGB", (16, 16), (brightness, ord(label), 0)).save(images / label / f"{brightness}.png")
    frames = [Image.new("RGB", (16, 16), (0, 0, brightness)) for brightness in (60, 90)]
    frames[0].save(images / "a" / "moving.webp", save_all=True, append_images=frames[1:])
    file = {"path": str(weights), "sha256": "0" * 64}
    section = {"weight": 1.0, "lpips": 1.0, "logits": 0.0, "vgg": file, "lpips_heads": file, "convnext": file}
    changes = {
        "index.source": str(images),
        "index.watch": str(images),
        "teacher.network.weights": str(weights),
        "teacher.network.sha256": sha256_file(weights),
        "tokenizer.losses.perceptual": section,
        "statistics.file": file,
    }
    params = write_params(folder, changes)
    for stage in ("index", "teacher"):
        importlib.import_module(f"rectok.stages.{stage}").run(params)
    for shard in params.index.shards:
        importlib.import_module("rectok.stages.shards").run(params, shard)
    with user_error("sha256"):
        importlib.import_module("rectok.stages.tokenizer").run(params)


def run_other_kinds(params: Params) -> None:
    """A tokenizer whose encoder is the teacher, and one whose config is that of nothing."""
    run_stages(changed(params, {"tokenizer.kind": "rae", "tokenizer.sizes.channels": 16}), "tokenizer")
    Path("nothing.json").write_text("{}")
    file = {"path": "nothing.json", "sha256": sha256_file(Path("nothing.json"))}
    published = {"tokenizer.kind": "published", "tokenizer.published": file, "tokenizer.initial": file}
    with user_error("nothing.json is the config of None, but tokenizer.published.path must name one of "):
        tokenizer_config(changed(params, published), 16)


def test_every_parameter_is_read(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loop, "PREVIEW_EVERY", 0.0)
    changes = {
        "tokenizer.losses.adversary": ADVERSARY,
        "decoder.losses.adversary": ADVERSARY,
        "dit.evaluate_every": 2,
        "dit.evaluation": {
            "per_class": 1,
            "batch": 16,
            "points": 2,
            "below": 2.0,
            "waits_for": "data/passed/metric_network",
        },
        "dit.alignment": {"block": 1, "weight": 0.5},
        "dit.posthoc_ema.snapshots": 1,
        "dit.training.zero_stage": 0,
        "dit.training.muon": {"lr_per_256": 1e-3, "momentum": 0.9},
    }
    params = write_params(here, {**changes, "tracking.tensorboard": HAS_TENSORBOARD})
    read: set[tuple[str, str]] = set()
    plain = Config.__getattribute__

    def recording(self: Config, name: str) -> Any:
        if name in type(self).model_fields:
            read.add((type(self).__name__, name))
        return plain(self, name)

    monkeypatch.setattr(Config, "__getattribute__", recording)
    run_everything(params)
    printed = capsys.readouterr().out
    assert all(f"{stage}: newest picture in" in printed for stage in ("tokenizer", "decoder", "dit", "autoguidance"))
    events = {path.parent.name for path in here.glob("data/tracking/tensorboard/*/*/events.*")}
    assert events == ({"tokenizer", "decoder", "dit", "autoguidance"} if HAS_TENSORBOARD else set())
    run_what_the_digits_do_not_need(here)
    run_other_kinds(params)
    assert not sorted(set(declared(Params)) - read)

import multiprocessing
import os
import shutil
from contextlib import closing
from functools import reduce
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from rectok import artifacts
from rectok.artifacts import GateReport, write_report
from rectok.cli.stage_run import stage_run
from rectok.data.parallel_map import map_in_processes
from rectok.errors import UserError
from rectok.params.editing import edited
from rectok.pipeline.code_versions import installed_versions
from rectok.pipeline.hashes import hashes_of
from tests.data.test_loader import loader
from tests.errors import user_error
from tests.guides.guide import REPOSITORY
from tests.project import write_params

SAID = (
    "CUDA out of memory. Tried to allocate 936.00 MiB. GPU 0 has a total capacity of 79.18 GiB of which 514.19 MiB is free. "
    "Including non-PyTorch memory, this process has 78.6 GiB memory in use."
)


@pytest.fixture(autouse=True)
def folder(here: Path) -> None:
    write_params(here)


@pytest.mark.parametrize(
    "stage, key",
    [
        ("tokenizer", "tokenizer.training.micro_batch"),
        ("metric_network", "metric_network.training.batch"),
        ("features", "features.batch"),
        ("gate-features", "gates.features.recomputed"),
        ("gate-probe", "probe.batch"),
        ("nightly", "generation.batch"),
    ],
)
def test_a_full_gpu_is_a_sentence_that_names_the_batch_to_halve(stage: str, key: str) -> None:
    with pytest.raises(UserError) as caught, stage_run(stage):
        raise torch.OutOfMemoryError(SAID)
    assert str(caught.value) == f"{stage} ran out of GPU memory (Tried to allocate 936.00 MiB); halve {key}"


def test_a_full_gpu_in_a_training_is_a_sentence_with_the_micro_batch_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=80 * 10**9))
    write_params(Path(), {"dit.training.batch": 32, "dit.training.micro_batch": 32})
    with pytest.raises(UserError) as caught, stage_run("dit"):
        raise torch.OutOfMemoryError(SAID)
    remedy = "set dit.training.micro_batch to 16, which fits by the estimate of rectok plan"
    assert str(caught.value) == f"dit ran out of GPU memory (Tried to allocate 936.00 MiB); {remedy}"


def test_a_stage_refuses_a_project_of_other_code_versions_and_a_nightly_run_does_not(tmp_path: Path) -> None:
    Path("versions.yaml").write_text(f"stages: {{index: {installed_versions()['index']}}}\n")
    for name in ("index", "gate-index"):
        with user_error(r"lacks stages\..*; `rectok init --upgrade` writes"), stage_run(name):
            pytest.fail("it ran")
    with stage_run("nightly"):
        pass


KILLED = r"^a process that loads images for {} was killed, .*; lower machine\.workers and run the command again$"


def test_a_killed_loader_process_is_a_sentence() -> None:
    others = multiprocessing.active_children()
    with (
        pytest.raises(UserError, match=KILLED.format("tokenizer")),
        stage_run("tokenizer"),
        closing(loader(workers=1).iterate(0, 10_000)) as batches,
    ):
        for _ in batches:
            for child in multiprocessing.active_children():
                if child not in others:
                    child.kill()


def test_a_killed_packing_process_is_a_sentence() -> None:
    with pytest.raises(UserError, match=KILLED.format("shards")), stage_run("shards"):
        list(map_in_processes(os._exit, [9], processes=1))


def test_other_errors_keep_their_traceback() -> None:
    with pytest.raises(RuntimeError, match="shapes"), stage_run("tokenizer"):
        raise RuntimeError("shapes do not fit")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="here is no GPU")
def test_a_gpu_that_is_really_full_says_so() -> None:
    with (
        user_error(r"tokenizer ran out of GPU memory \(Tried to allocate .* GiB\)"),
        stage_run("tokenizer"),
    ):
        torch.empty(1 << 50, device="cuda", dtype=torch.uint8)


def edit(file: str, before: str, after: str) -> None:
    text = Path(file).read_text()
    assert before in text
    Path(file).write_text(text.replace(before, after))


@pytest.fixture
def pipeline(tmp_path: Path) -> None:
    for name in ("dvc.yaml", "versions.yaml"):
        shutil.copy(REPOSITORY / name, tmp_path)


@pytest.mark.usefixtures("pipeline")
@pytest.mark.parametrize(
    "stage, shard, outs",
    [
        ("index", None, ["data/index/summary.json"]),
        ("latents", "00001", ["data/latents/00001.safetensors"]),
        ("gate-shards", "00000", ["data/checks/shards/00000.json", "data/passed/shards/00000"]),
    ],
)
@pytest.mark.parametrize("break_it", [False, True])
def test_a_stage_whose_parameters_change_meanwhile_keeps_nothing(
    stage: str, shard: str | None, outs: list[str], break_it: bool
) -> None:
    section = {"index": "index.limit", "latents": "latents.batch", "gate-shards": "gates.shards.max_quarantined"}[stage]
    with (
        user_error(rf"{'.*' if break_it else section} of params.yaml changed while {stage} ran, so what"),
        stage_run(stage, shard) as params,
    ):
        for out in map(Path, outs):
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text("made")
        value = reduce(getattr, section.split("."), params)
        text = edited(Path("params.yaml").read_text(), {section: value + 1})
        Path("params.yaml").write_text("seed: [" if break_it else text)
    assert not any(Path(out).exists() for out in outs)


@pytest.mark.usefixtures("pipeline")
def test_a_stage_whose_code_version_changes_meanwhile_keeps_nothing() -> None:
    with user_error(r"stages\.index of versions\.yaml changed while index ran"), stage_run("index"):
        edit("versions.yaml", "  index: ", "  index: 9")


@pytest.mark.usefixtures("pipeline")
def test_parameters_of_other_stages_and_comments_may_change_meanwhile() -> None:
    made = Path("data/index/summary.json")
    with stage_run("index") as params:
        made.parent.mkdir()
        made.write_text("made")
        text = edited(Path("params.yaml").read_text(), {"latents.batch": params.latents.batch + 1})
        Path("params.yaml").write_text(f"{text}\n# why")
    assert made.read_text() == "made"


@pytest.mark.usefixtures("pipeline")
def test_a_stage_refuses_an_input_that_is_not_what_its_gate_passed() -> None:
    weights = artifacts.weights_file("tokenizer")
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    write_report(GateReport("tokenizer", None, (), hashes_of([weights])))
    with stage_run("latents", "00000"), stage_run("gate-tokenizer"):
        weights.write_bytes(b"Weights")
    message = "data/tokenizer/model.safetensors is not the file that gate tokenizer passed"
    with user_error(message), stage_run("latents", "00000"):
        pytest.fail("it ran")
    with stage_run("gate-tokenizer"):
        pass  # which judges it anew

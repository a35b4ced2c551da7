"""With 0 epochs a stage takes given weights, and everything after it finds what training would have left."""

import csv
import shutil
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from rectok import artifacts
from rectok.gates import decoder as decoder_gate
from rectok.gates import dit as dit_gate
from rectok.gates import tokenizer as tokenizer_gate
from rectok.nn.weights import save_weights
from rectok.params import Params, load
from rectok.params.editing import changed
from rectok.stages import decoder, dit, features, index, latents, shards, statistics, tokenizer
from rectok.storage.hashing import sha256_file
from rectok.teacher.loading import save_network
from rectok.teacher.network import VisionNetwork
from rectok.tokenizer.model import ViTTokenizer
from rectok.workloads.tokenizers import tokenizer_config
from tests.errors import user_error
from tests.networks import drawn, generator
from tests.project import write_params

TEACHER_WIDTH = 16


def given(name: str, weights: dict[str, torch.Tensor], epochs: float = 0) -> dict[str, Any]:
    """The changes to params that let stage `name` begin with `weights`."""
    path = Path(f"{name}.safetensors")
    save_weights(path, weights)
    initial = {"path": str(path), "sha256": sha256_file(path)}
    return {f"{name}.initial": initial, f"{name}.training.epochs": epochs}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with images and a teacher, whose tokenizer is given."""
    folder = tmp_path_factory.mktemp("prepared")
    with chdir(folder):
        plain = write_params(folder)
        index.run(plain)
        for shard in plain.index.shards:
            shards.run(plain, shard)
        torch.manual_seed(0)
        save_network(artifacts.stage_dir("teacher"), VisionNetwork(plain.teacher.network, 10), {})
        changes = given("tokenizer", ViTTokenizer(tokenizer_config(plain, TEACHER_WIDTH)).state_dict())
        write_params(folder, {**changes, "decoder.training.epochs": 0})
    return folder


@pytest.fixture
def params(prepared: Path, here: Path) -> Params:
    shutil.copytree(prepared, here, dirs_exist_ok=True)
    return load()


def same(stage: str, weights: dict[str, torch.Tensor]) -> bool:
    written = load_file(artifacts.weights_file(stage))
    return written.keys() == weights.keys() and all(torch.equal(written[name], weights[name]) for name in weights)


def checks(gate: Any, params: Params) -> dict[str, bool]:
    return {check.name: check.passed for check in gate.check(params)}


def log_columns(stage: str) -> list[str]:
    with artifacts.log_file(stage).open() as file:
        reader = csv.DictReader(file)
        assert not list(reader)
        return list(reader.fieldnames or ())


def test_the_tokenizer_takes_the_weights_that_it_is_given(params: Params) -> None:
    tokenizer.run(params)
    assert same("tokenizer", load_file("tokenizer.safetensors"))
    summary = artifacts.read_json(artifacts.summary_file("tokenizer"))
    assert (summary["trained"], summary["source"], summary["steps"]) == (False, "tokenizer.safetensors", 0)
    assert -1 <= summary["semantic_cosine"] <= 1
    assert log_columns("tokenizer") == ["step", "images", "lr", "total"]
    assert not artifacts.raw_file("tokenizer").exists()
    assert checks(tokenizer_gate, params) == dict.fromkeys(
        ("weights whole", "params", "psnr", "latent std", "semantic cosine"), True
    )


def test_a_gate_still_asks_what_can_be_asked_of_given_weights(params: Params, tmp_path: Path) -> None:
    tokenizer.run(params)
    path = artifacts.weights_file("tokenizer")
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    strict = changed(params, {"gates.tokenizer.min_psnr": 99.0})
    failed = {name for name, passed in checks(tokenizer_gate, strict).items() if not passed}
    assert failed == {"weights whole", "psnr"}


def test_a_tokenizer_of_another_teacher_is_taken_but_not_compared_with_this_one(params: Params) -> None:
    changes = given("tokenizer", ViTTokenizer(tokenizer_config(params, TEACHER_WIDTH + 8)).state_dict())
    other = write_params(Path.cwd(), changes)
    tokenizer.run(other)
    assert artifacts.read_json(artifacts.config_file("tokenizer"))["teacher_width"] == TEACHER_WIDTH + 8
    assert artifacts.read_json(artifacts.summary_file("tokenizer"))["semantic_cosine"] is None
    assert "semantic cosine" not in checks(tokenizer_gate, other)


def test_the_decoder_without_epochs_is_the_tokenizers(params: Params) -> None:
    tokenizer.run(params)
    artifacts.weights_file("teacher").unlink()  # no network that only training needs is asked for
    decoder.run(params)
    assert artifacts.weights_file("decoder").read_bytes() == artifacts.weights_file("tokenizer").read_bytes()
    summary = artifacts.read_json(artifacts.summary_file("decoder"))
    assert (summary["trained"], summary["source"]) == (False, "data/tokenizer")
    assert summary["psnr"] == summary["psnr_before"]
    assert checks(decoder_gate, params) == {"weights whole": True, "params": True, "psnr gain": True}


def test_the_generator_takes_the_weights_that_it_is_given(params: Params) -> None:
    tokenizer.run(params)
    decoder.run(params)
    for shard in params.index.shards:
        latents.run(params, shard)
    statistics.run(params)
    model = drawn(generator(params))
    kept = write_params(Path.cwd(), given("dit", model.state_dict()))
    dit.run(kept)
    assert same("dit", model.state_dict())
    assert checks(dit_gate, kept) == {"weights whole": True, "params": True, "samples vary": True}


@pytest.mark.parametrize("epochs", [0, 2])
def test_weights_of_other_sizes_are_refused(epochs: int, params: Params) -> None:
    changes = given("tokenizer", {**load_file("tokenizer.safetensors"), "encoder.patch.bias": torch.zeros(3)}, epochs)
    with user_error(r"tokenizer\.safetensors: tensor encoder\.patch\.bias has shape \[3\], but"):
        tokenizer.run(write_params(Path.cwd(), changes))
    assert not artifacts.stage_dir("tokenizer").exists()


def test_weights_that_are_not_those_named_are_refused(params: Params) -> None:
    Path("tokenizer.safetensors").write_bytes(b"other")
    with user_error(r"tokenizer\.safetensors has sha256 .*, but .* was expected"):
        tokenizer.run(params)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # DeepSpeed's own
def test_training_begins_with_the_given_weights(params: Params) -> None:
    """So small a learning rate leaves them nearly where they were, unlike a random beginning."""
    for shard in params.index.shards:
        features.run(params, shard)
    initial = load_file("tokenizer.safetensors")
    changes = {**given("tokenizer", initial, epochs=1), "tokenizer.training.lr_per_256": 1e-9, "seed": 7}
    tokenizer.run(write_params(Path.cwd(), changes))
    written = load_file(artifacts.weights_file("tokenizer"))
    for name, tensor in initial.items():
        torch.testing.assert_close(written[name], tensor, atol=1e-6, rtol=0)
    assert artifacts.read_json(artifacts.summary_file("tokenizer"))["trained"] is True

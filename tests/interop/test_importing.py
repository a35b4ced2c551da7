"""Published files become artefacts that load and compute as the released implementation does; others are refused."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from rectok.artifacts import read_json
from rectok.dit.model import load_dit
from rectok.errors import UserError
from rectok.interop.loading import convert, keep
from rectok.interop.reading import Kind
from rectok.interop.sizes import Heads
from rectok.storage.hashing import sha256_file
from rectok.tokenizer.kinds import load_tokenizer
from rectok.tokenizer.tokenizer_config import TokenizerConfig
from tests.interop import files
from tests.interop.files import HEADS, checkpoint
from tests.reference import assert_parity, needs_reference, tensors

pytestmark = needs_reference


def imported(path: Path, kind: Kind, heads: Heads | None = None, which: Any = "ema") -> Path:
    folder = path.parent / kind
    sha256 = keep(convert(path, kind, which, heads), folder)
    assert sha256 == sha256_file(folder / "model.safetensors")
    return folder


def test_the_tokenizer_computes_what_it_did(tmp_path: Path) -> None:
    io = tensors("tokenizer.io")
    weights = files.with_teacher(tensors("tokenizer.weights"))
    folder = imported(checkpoint(tmp_path / "t.pth", weights), "tokenizer", HEADS)
    model = load_tokenizer(folder)
    moments = model.encode(io["image"])
    mean = moments.chunk(2, dim=-1)[0]
    assert_parity(moments, io["moments"])
    assert_parity(model.decode(mean), io["reconstruction"])
    assert_parity(model.semantic(mean), io["semantic_clean"])
    source = read_json(folder / "source.json")
    assert source["dropped"] == [key for key in weights if key.startswith("sem_foundation_models.")]
    assert len(source["dropped"]) == 2
    assert (source["file"], source["weights"], source["teacher"]) == ("t.pth", "model_ema", "dinov3")
    assert source["sha256"] == sha256_file(tmp_path / "t.pth")


@pytest.mark.parametrize("kind,name,output", [("dit", "dit", "velocity"), ("autoguidance", "guide", "guide_velocity")])
def test_generators_compute_what_they_did(kind: Kind, name: str, output: str, tmp_path: Path) -> None:
    io = tensors("dit.io")
    model = load_dit(imported(files.generator(tmp_path / "g.pth", name), kind))
    assert_parity(model(io["z"], io["t"], io["y"]), io[output])


def test_plain_weights_are_taken_where_they_are_asked_for(tmp_path: Path) -> None:
    average = tensors("guide.weights")
    last = {**average, "final_layer.linear.bias": torch.full_like(average["final_layer.linear.bias"], 3)}
    path = checkpoint(tmp_path / "g.pth", average, last)
    for which, expected in (("ema", average), ("plain", last)):
        bias = load_dit(imported(path, "autoguidance", which=which)).final.out.bias
        assert torch.equal(bias, expected["final_layer.linear.bias"])


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_may_hold_nothing_but_the_weights(suffix: str, tmp_path: Path) -> None:
    path, weights = tmp_path / f"g{suffix}", tensors("guide.weights")
    save_file(weights, path) if suffix == ".safetensors" else torch.save(weights, path)
    load_dit(imported(path, "autoguidance"))
    assert read_json(tmp_path / "autoguidance" / "source.json")["weights"] == "the only ones"


def test_a_generator_may_come_without_its_tables(tmp_path: Path) -> None:
    whole = load_dit(imported(files.generator(tmp_path / "whole.pth"), "dit")).state_dict()
    without = files.generator(tmp_path / "g.pth", **{"dec_feat_rope.freqs_sin": None})
    found = load_dit(imported(without, "dit")).state_dict()
    assert found.keys() == whole.keys() and all(torch.equal(found[name], whole[name]) for name in whole)


def test_the_sizes_of_the_published_tokenizer(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "t.pth", files.empty("rectok_BB_ch128"))
    config = convert(path, "tokenizer", "ema", None).config
    assert isinstance(config, TokenizerConfig)
    vit_b, light = {"width": 768, "depth": 12, "heads": 12}, {"width": 192, "depth": 3, "heads": 4}
    sizes = {"patch": 16, "channels": 128, "encoder": vit_b, "decoder": vit_b}
    sizes["semantic"] = {"kind": "transformer", "transformer": light}
    kind = {"kind": "rectok", "teacher": None, "autoencoder": None}
    assert config.model_dump() == {"image_size": 256, "teacher_width": 1024, "sizes": sizes, **kind}


@pytest.mark.parametrize("size", files.ENCODERS)
def test_the_sizes_of_the_published_generators(size: str, tmp_path: Path) -> None:
    assert convert(files.full_generator(tmp_path / "g.pth", size), "dit", "ema", None).config == files.full_config(size)


# What is refused


def refused(path: Path, kind: Kind = "dit", heads: Heads | None = None, which: Any = "ema") -> str:
    with pytest.raises(UserError) as error:
        convert(path, kind, which, heads)
    sentence = str(error.value)
    assert sentence.startswith(str(path)) and "\n" not in sentence
    return sentence.removeprefix(str(path)).lstrip(": ")


@pytest.mark.parametrize(
    "changes,said",
    [
        ({"blocks.0.attn.qkv.bias": None}, "lacks the tensor blocks.0.attn.qkv.bias, which this model needs"),
        ({"pos_embed": None}, "lacks the tensor pos_embed, from which the sizes are read"),
        ({"blocks.0.new": torch.ones(1)}, "holds the tensor blocks.0.new, which this model does not have"),
        ({"t_embedder.W": torch.ones(9)}, "tensor t_embedder.W has shape [9], but [256] goes with the others"),
        (
            {"x_embedder.proj.weight": torch.ones(3)},
            "tensor x_embedder.proj.weight has shape [3], but 4 dimensions are expected",
        ),
        ({"pos_embed": torch.ones(1, 60, 48)}, "tensor pos_embed is for 60 tokens, which is no square of a grid"),
        (
            {"pos_embed": torch.ones(1, 64, 48)},
            "the table pos_embed is not the one this model computes; was it made with another grid?",
        ),
        (
            {"enc_feat_rope.freqs_cos": torch.ones(64, 7)},
            "heads of 7 channels, as enc_feat_rope.freqs_cos has, do not fit a width of 48",
        ),
        (
            {"t_embedder.W": torch.ones(256, dtype=torch.int32)},
            "tensor t_embedder.W is of torch.int32, but weights are",
        ),
        ({"x_embedder.proj.weight": None}, "is no published dit: it lacks the tensor x_embedder.proj.weight"),
        ({"sem_foundation_models.dinov3.norm": torch.ones(1)}, "holds the tensor sem_foundation_models.dinov3.norm"),
    ],
)
def test_a_generator_that_does_not_fit(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    assert refused(files.generator(tmp_path / "g.pth", **changes)).startswith(said)


def test_blocks_must_be_an_encoder_and_a_head(tmp_path: Path) -> None:
    norm = {"blocks.0.norm1.weight": torch.ones(96)}
    found = refused(files.generator(tmp_path / "g.pth", **norm))
    assert found.startswith("does not hold an encoder of width 48 before a head of width 96")
    gap = {key: None for key in tensors("dit.weights") if key.startswith("blocks.1.")}
    assert refused(files.generator(tmp_path / "g.pth", **gap)).startswith("does not hold the blocks blocks.0, blocks.1")


def test_a_tokenizer_that_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "t.pth"
    assert refused(files.tokenizer(path), "tokenizer").startswith(
        "is 64, 64, 32 channels wide, which heads of 64, 64, 48 do not divide; say how many there are with --heads"
    )
    assert refused(path, "tokenizer", Heads(3, 4, 2)).startswith("width 64 with 3 heads does not fit")
    second = {"sem_decoders.dinov2.out.bias": torch.ones(24)}
    assert refused(files.tokenizer(path, **second), "tokenizer", HEADS) == (
        "holds semantic decoders of 2 teachers (dinov2, dinov3), but a tokenizer here has exactly one"
    )
    none = {key: None for key in tensors("tokenizer.weights") if key.startswith("sem_decoders.")}
    for changes, said in (
        (none, "holds semantic decoders of 0 teachers,"),
        ({"sem_teacher.norm": torch.ones(1)}, "holds the tensor sem_teacher.norm"),
    ):
        assert refused(files.tokenizer(path, **changes), "tokenizer", HEADS).startswith(said)


def test_another_kind_is_named(tmp_path: Path) -> None:
    path = files.tokenizer(tmp_path / "t.pth")
    for kind in ("dit", "autoguidance"):
        assert refused(path, kind) == f"is a tokenizer, but --kind is {kind}; use --kind tokenizer"
    assert refused(files.generator(path), "tokenizer") == "is a dit, but --kind is tokenizer; use --kind dit"


class Code:
    """Pickles to a call."""

    def __reduce__(self) -> Any:
        return (print, ("this must never run",))


@pytest.mark.parametrize(
    "tree,said",
    [
        ({"model_ema": Code()}, "holds more than tensors, numbers and text; code in a checkpoint is never run"),
        ([1, 2], "holds a list instead of a mapping with the key model_ema"),
        ({"epoch": 3}, "holds no weights under the key model_ema"),
        ({"model_ema": None, "epoch": 3}, "holds no weights under the key model_ema"),
        ({"model_ema": {"a": 1}}, "holds no weights under the key model_ema"),
        (
            {"model": {"a": torch.ones(1)}, "epoch": 3},
            "holds no weights under the key model_ema; it has model, so choose the other --weights",
        ),
        ({"model_ema": {"a": torch.ones(1)}, "epoch": 3}, "is no published dit: it lacks the tensor x_embedder"),
    ],
)
def test_what_is_no_checkpoint(tree: Any, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(tree, tmp_path / "x.pth")
    assert refused(tmp_path / "x.pth").startswith(said)
    assert capsys.readouterr().out == ""


def test_what_is_no_file_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    assert refused(path) == "does not exist"
    assert refused(tmp_path) == "is not a file"
    whole = files.generator(tmp_path / "g.pth").read_bytes()
    for content in (b"", b"no zip", whole[: len(whole) // 2], pickle.dumps({"model_ema": {}}), pickle.dumps(Code())):
        path.write_bytes(content)
        assert refused(path).startswith(("is damaged or not a checkpoint", "holds more than tensors"))
    safe = tmp_path / "x.safetensors"
    safe.write_bytes(b"no")
    assert refused(safe).startswith("is damaged or not a safetensors file")


def test_an_import_that_fails_leaves_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = files.generator(tmp_path / "g.pth", "guide")
    folder = imported(path, "autoguidance")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    converted = convert(path, "autoguidance", "ema", None)
    path.rename(tmp_path / "moved.pth")  # its hash can no longer be taken
    with pytest.raises(FileNotFoundError):
        keep(converted, folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["autoguidance", "moved.pth"]

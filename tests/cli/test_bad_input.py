"""What is wrong is said in one sentence, with a code that is not zero, and earlier artefacts stay whole."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from rectok import artifacts
from rectok.dit.dit_config import DiTConfig
from rectok.dit.model import DiTDH
from rectok.params import preset_text
from tests.cli.project import contents, rectok, refused, sentence
from tests.data.files import image_folder
from tests.networks import keep
from tests.project import overridden, write_params

pytestmark = pytest.mark.slow


def with_source(folder: Path, source: str) -> None:
    write_params(folder, {"index.source": source, "index.watch": source})


# Parameters


def test_no_parameters(tmp_path: Path) -> None:
    assert refused(tmp_path, "index") == "params.yaml does not exist; write it with `rectok init digits`"


def test_an_unknown_parameter(tmp_path: Path) -> None:
    text = preset_text("digits").replace("  checkpoint_every", "  checkpoint_evry")
    (tmp_path / "params.yaml").write_text(text)
    assert refused(tmp_path, "index") == (
        "params.yaml: unknown parameter tokenizer.training.checkpoint_evry; "
        "the nearest valid name is tokenizer.training.checkpoint_every"
    )


@pytest.mark.parametrize(
    "changes,said",
    [
        ({"seed": "one"}, 'parameter seed is "one", but must be a whole number'),
        ({"tokenizer.sizes.patch": 5}, "image.size 16 is not a multiple of tokenizer.sizes.patch 5"),
        ({"tokenizer.sizes.channels": 0}, "parameter tokenizer.sizes.channels is 0, but must be greater than 0"),
        (
            {"dit.sizes.head": {"width": 10, "depth": 1, "heads": 2}},
            "dit.sizes.head.width 10 with 2 heads does not fit: the 2-D rotary embedding needs a head width that is a "
            "multiple of 4, so width must be a multiple of 8",
        ),
    ],
)
def test_an_impossible_parameter(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(overridden(changes))
    assert refused(tmp_path, "index") == f"params.yaml: {said}"


def test_names_that_do_not_exist(project: Path) -> None:
    assert refused(project, "shards", "9") == "there is no shard '9'; index.shards holds 00000, 00001"
    assert refused(project, "gate", "nope").startswith("there is no gate 'nope'; choose one of index, shards, teacher")
    assert refused(project, "gate", "shards") == "gate shards needs a shard name"
    assert refused(project, "gate", "dit", "00000") == "gate dit takes no shard name"


def test_init_replaces_nothing_unasked(project: Path) -> None:
    before = (project / "params.yaml").read_bytes()
    assert refused(project, "init", "digitz") == "there is no preset 'digitz'; the nearest valid name is digits"
    expected = "params.yaml exists and differs from preset digits; add --force to replace it"
    assert refused(project, "init", "digits") == expected
    assert (project / "params.yaml").read_bytes() == before
    for arguments in (["--force"], []):
        assert rectok(project, "init", "digits", *arguments).returncode == 0
        assert (project / "params.yaml").read_text() == preset_text("digits")


def test_shards_are_counted(project: Path) -> None:
    path = project / "params.yaml"
    path.write_text(preset_text("digits").replace('["00000", "00001"]', "2  # as many as before"))
    assert rectok(project, "shards-count", "3").stdout.startswith(
        "index.shards in params.yaml lists 3 names, 00000 to 00002;"
    )
    assert path.read_text() == preset_text("digits").replace('"00001"]', '"00001", "00002"] # as many as before')
    for wrong in ("0", "-1", "two", "1.5", "100001"):
        sentence = f"shards-count is {wrong!r}, but must be a whole number from 1 to 100000"
        assert refused(project, "shards-count", *(["--"] if wrong == "-1" else []), wrong) == sentence
    path.write_text("index: [")
    assert refused(project, "shards-count", "3").startswith("params.yaml is not valid YAML in line 1")
    path.write_text("[]")
    assert refused(project, "shards-count", "3").startswith("unknown parameter index.shards")


# Sources


@pytest.mark.parametrize(
    "counts,said",
    [
        (None, "index.source pets does not exist"),
        ({}, "index.source pets holds no images"),
        ({"cat": 3}, "index.source pets holds only one class (cat)"),
        ({"cat": 3, "dog": 1}, "class dog of index.source pets has a single image"),
    ],
)
def test_a_source_of_no_use(counts: dict[str, int] | None, said: str, project: Path) -> None:
    with_source(project, "pets")
    if counts is not None:
        image_folder(project / "pets", counts).mkdir(exist_ok=True)
    assert refused(project, "index").startswith(said)


# Artefacts


@pytest.mark.parametrize(
    "arguments,missing",
    [
        ("shards 00000", "index/00000.parquet"),
        ("latents 00000", "decoder/config.json"),
        ("dit", "statistics/statistics.json"),
        ("dit", "latents/00001.safetensors"),
        ("dit", "tokenizer/model.safetensors"),
        ("latents 00000", "shards/00000.parquet"),
        ("latents 00000", "shards/00000.tar"),
        ("sample --label 3 --out grid.png", "dit/model.safetensors"),
        ("sample --label 3 --out grid.png", "dit/config.json"),
        ("sample --label 3 --out grid.png", "statistics/statistics.json"),
    ],
)
def test_a_missing_artefact_says_what_makes_it(arguments: str, missing: str, project: Path) -> None:
    if arguments == "latents 00000":
        missing = missing.replace("decoder", "tokenizer")
    (project / "data" / missing).unlink()
    assert refused(project, *arguments.split()) == f"data/{missing} is missing; `dvc repro` makes it"


def test_a_gate_whose_artefact_is_missing_fails_and_keeps_its_report(project: Path) -> None:
    (project / "data/shards/00000.quarantine.json").unlink()
    done = rectok(project, "gate", "shards", "00000")
    assert done.returncode == 1
    assert sentence(done.stderr) == (
        "gate shards failed (data/checks/shards/00000.json): readable: "
        "data/shards/00000.quarantine.json is missing; `dvc repro` makes it"
    )
    report = json.loads((project / "data/checks/shards/00000.json").read_text())
    assert not report["passed"] and [check["name"] for check in report["checks"]] == ["readable"]
    assert not (project / "data/passed/shards/00000").exists()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def scribble(path: Path) -> None:
    path.write_bytes(b"\x93\xff not what was written" * 50)


@pytest.mark.parametrize(
    "arguments,damaged,damage",
    [
        ("shards 00000", "index/00000.parquet", truncate),
        ("shards 00000", "index/00000.parquet", empty),
        ("latents 00000", "shards/00000.parquet", scribble),
        ("latents 00000", "shards/00000.tar", truncate),
        ("latents 00000", "shards/00000.tar", empty),
        ("latents 00000", "tokenizer/config.json", scribble),
        ("latents 00000", "tokenizer/model.safetensors", truncate),
        ("latents 00000", "tokenizer/model.safetensors", empty),
        ("dit", "latents/00000.safetensors", scribble),
        ("dit", "statistics/statistics.json", truncate),
        ("dit", "index/classes.json", empty),
    ],
)
def test_a_damaged_artefact_is_named(
    arguments: str, damaged: str, damage: Callable[[Path], None], project: Path
) -> None:
    damage(project / "data" / damaged)
    assert refused(project, *arguments.split()).startswith(f"data/{damaged} is damaged")


def rewrite(path: Path, change: Callable[[Any], object]) -> None:
    """Change what a JSON file holds."""
    record = artifacts.read_json(path)
    change(record)
    artifacts.write_json(path, record)


def test_a_config_that_lacks_a_field_is_damaged(project: Path) -> None:
    rewrite(project / "data/tokenizer/config.json", lambda record: record["sizes"].pop("patch"))
    assert refused(project, "latents", "00000") == "data/tokenizer/config.json is damaged: sizes.patch: field required"


def test_statistics_without_a_mean_are_damaged(project: Path) -> None:
    rewrite(project / "data/statistics/statistics.json", lambda record: record.pop("mean"))
    assert refused(project, "dit").startswith("data/statistics/statistics.json is damaged")


def test_latents_of_another_kind_are_damaged(project: Path) -> None:
    save_file({"x": torch.zeros(3)}, project / "data/latents/00000.safetensors")
    assert refused(project, "dit").startswith("data/latents/00000.safetensors is damaged")


# Weights


def test_tokenizer_weights_of_other_sizes(project: Path) -> None:
    path = project / "data/tokenizer/model.safetensors"
    weights = load_file(path)
    weights["encoder.trunk.position"] = torch.zeros(1, 9, 16)
    save_file(weights, path)
    found = refused(project, "latents", "00000")
    assert found.startswith("data/tokenizer/model.safetensors: tensor ") and found.endswith("of other sizes")


def test_a_generator_of_other_sizes(project: Path) -> None:
    rewrite(project / "data/dit/config.json", lambda record: record.update(classes=12))
    found = refused(project, "sample", "--label", "3", "--out", "grid.png")
    assert found.startswith("data/dit/model.safetensors: tensor label.weight has shape [11, 16]") and found.endswith(
        "the checkpoint is of other sizes"
    )
    assert not (project / "grid.png").exists()


def test_a_generator_for_another_tokenizer(project: Path) -> None:
    """Whole in itself, but its latents have other channels than the decoder's."""
    record = artifacts.read_json(project / "data/dit/config.json")
    keep("dit", DiTDH(DiTConfig.model_validate({**record, "channels": 6})), project / "data")
    found = refused(project, "sample", "--label", "3", "--out", "grid.png")
    assert found == (
        "data/dit makes latents of 6 channels on a side of 4 tokens, but data/decoder reads 4 channels on 4; "
        "`dvc repro` trains them for each other"
    )


def test_a_deeper_generator_lacks_tensors(project: Path) -> None:
    rewrite(project / "data/dit/config.json", lambda record: record["sizes"]["head"].update(depth=2))
    found = refused(project, "sample", "--label", "3", "--out", "grid.png")
    assert found.startswith("data/dit/model.safetensors lacks the tensor head.1.")


@pytest.mark.parametrize("stage", ["teacher", "metric_network"])
def test_weights_whose_sha256_differs(stage: str, project: Path) -> None:
    save_file({"x": torch.zeros(1)}, project / "weights.safetensors")
    write_params(project, {f"{stage}.network.weights": "weights.safetensors", f"{stage}.network.sha256": "0" * 64})
    found = refused(project, stage)
    assert found.startswith("weights.safetensors has sha256 ") and found.endswith(f"but {'0' * 64} was expected")


def test_a_network_that_nobody_knows(project: Path) -> None:
    write_params(project, {"teacher.network.name": "resnet10tt"})
    assert "resnet10t" in refused(project, "teacher")


# Places to write to


def test_a_place_that_cannot_be_written(project: Path) -> None:
    (project / "file").write_text("in the way")
    found = refused(project, "sample", "--label", "3", "--out", "file/grid.png")
    assert found == "file cannot be used: file exists"
    assert (project / "file").read_text() == "in the way"


def test_a_misspelt_option_is_a_usage_error(project: Path) -> None:
    before = contents(project / "data")
    done = rectok(project, "dit", "--what")
    assert done.returncode == 2 and "No such option: --what" in done.stderr and "Traceback" not in done.stderr
    assert contents(project / "data") == before


def test_a_sentence_is_one_line() -> None:
    with pytest.raises(AssertionError):
        sentence("Traceback\nrectok: no")

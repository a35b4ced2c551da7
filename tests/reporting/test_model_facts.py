"""What a model card says is what the stages recorded."""

from pathlib import Path
from typing import Any, get_args

from rectok import Generator
from rectok.artifacts import DATA, passed_file, shard_table, stage_dir, write_json
from rectok.data.tables import ShardRow, write_table
from rectok.evaluation.metrics import metrics_of, record_of, write_record
from rectok.interop.exporting import read_network
from rectok.pipeline.damage import md5_of
from rectok.reporting.model_facts import METHODS, distinct_images, generator_facts, network_facts
from rectok.tokenizer.kinds import build_tokenizer
from rectok.tokenizer.tokenizer_config import Kind
from rectok.workloads.tokenizers import tokenizer_config
from tests.networks import keep, random_generator
from tests.project import tiny


def trained(steps: int, **more: Any) -> dict[str, Any]:
    return {"trained": True, "steps": steps, "images": 64 * steps, "final_loss": 0.123456, **more}


def summarise(**stages: dict[str, Any]) -> None:
    for stage, summary in stages.items():
        write_json(stage_dir(stage) / "summary.json", summary)


def packed(name: str, *splits: str) -> None:
    write_table(shard_table(name), [ShardRow(str(n), 0, split, 0, 1, "") for n, split in enumerate(splits)], ShardRow)


def histories(here: Path) -> dict[str, str]:
    facts = generator_facts(Generator.load(random_generator(here / DATA), device="cpu").parts, DATA)
    return {part.title: part.history for part in facts.parts}


def test_every_kind_of_tokenizer_has_words() -> None:
    assert METHODS.keys() == set(get_args(Kind))


def test_each_part_has_the_steps_of_its_own_training(here: Path) -> None:
    summarise(
        index={"shards": {"00000": 3, "00001": 2}},
        tokenizer=trained(700, perceptual="LPIPS"),
        decoder=trained(20),
        dit=trained(9),
    )
    packed("00000", "train", "train", "test")
    packed("00001", "val", "train")
    end = "; these are the exponential moving averages of the weights, and the last training loss was 0.1235"
    assert histories(here) == {
        "The tokenizer": "trained in this project for 700 steps on 44800 images, drawn from 3 distinct ones, with the perceptual "
        f"loss LPIPS{end}",
        "Its pixel decoder, after that": "trained in this project for 20 steps on 1280 images, drawn from 3 distinct ones"
        + end,
        "The generator": f"trained in this project for 9 steps on 576 images, drawn from 3 distinct ones{end}",
        "The autoguidance model": "nothing is recorded about its training",
    }
    facts = network_facts(read_network(stage_dir("decoder"), "tokenizer"), stage_dir("decoder"), of_pipeline=True)
    assert [part.history for part in facts.parts] == list(histories(here).values())[:2]


def test_distinct_images_are_unknown_without_the_tables(here: Path) -> None:
    assert distinct_images(DATA) is None
    summarise(index={"shards": {"00000": 1, "00001": 1}}, dit=trained(9))
    packed("00000", "train")
    assert distinct_images(DATA) is None
    assert histories(here)["The generator"].startswith("trained in this project for 9 steps on 576 images; these are")


def test_weights_from_elsewhere_are_named(here: Path) -> None:
    source = {"file": "x.pth", "sha256": "00", "weights": "model_ema", "teacher": "dinov3"}
    write_json(stage_dir("tokenizer") / "source.json", source)
    untrained = {"trained": False, "steps": 0, "images": 0}
    summarise(dit={**untrained, "source": "s3://w/dit"}, decoder={**untrained, "source": "data/tokenizer"})
    found = histories(here)
    assert "Its pixel decoder, after that" not in found
    assert found["The tokenizer"] == (
        "imported from the published checkpoint `x.pth` (sha256 `00`; weights: `model_ema`), distilled from dinov3, as the "
        "checkpoint names it"
    )
    assert found["The generator"] == "not trained in this project; the weights were taken from `s3://w/dit`"


def test_the_card_of_an_rae_names_the_teacher_in_it_and_its_licence(here: Path) -> None:
    params = tiny(tokenizer__kind="rae", tokenizer__sizes__channels=16)
    keep("decoder", build_tokenizer(tokenizer_config(params, 16)))
    facts = network_facts(read_network(stage_dir("decoder"), "tokenizer"), stage_dir("decoder"), of_pipeline=True)
    assert {part.title: part.history for part in facts.parts}["Its encoder"] == (
        "the frozen teacher resnet10t, whose weights are among these, under its licence (trained here)"
    )


def test_nothing_is_said_of_the_helpers_of_a_network_from_elsewhere(here: Path) -> None:
    random_generator(here / "other")
    summarise(teacher={"proxy": "proxy: resnet", "network": "", "licence": "ours"})
    for folder, roles in ((DATA, ["Teacher"]), (here / "other", [])):
        random_generator(here / DATA)
        facts = network_facts(read_network(folder / "dit", "dit"), folder / "dit", of_pipeline=folder == DATA)
        assert [helper.role for helper in facts.helpers] == roles
        assert facts.sizes == "Latents of 4 channels on 4×4 tokens, 10 classes" and facts.metrics == []


def test_metrics_of_other_networks_are_left_out(here: Path) -> None:
    """dvc.lock says which verdicts an evaluation depended on, and a verdict holds the hashes of what it judged."""
    names = metrics_of("reconstruction")
    write_record("reconstruction", record_of("reconstruction", dict.fromkeys(names, 1.0), {"images": 2}))
    write_record("probe", record_of("probe", {"probe": None, "semantic_accuracy": 0.5}, {}))
    marker = passed_file("metric_network")
    marker.parent.mkdir(parents=True)
    marker.write_text("passed\n00  data/metric_network/model.safetensors\n")
    dependency = f"{{path: {marker}, hash: md5, md5: {md5_of(marker)}, size: 1}}"
    Path("dvc.lock").write_text(f"schema: '2.0'\nstages:\n  reconstruction:\n    cmd: x\n    deps: [{dependency}]\n")
    random_generator(DATA)

    def evaluated() -> set[str]:
        network = read_network(stage_dir("decoder"), "tokenizer")
        return set(network_facts(network, stage_dir("decoder"), of_pipeline=True).protocol)

    assert evaluated() == {"reconstruction", "probe"}  # of the latter nothing is recorded
    marker.write_text("passed\n11  data/metric_network/model.safetensors\n")
    assert evaluated() == {"probe"}
    marker.unlink()  # its gate failed, or is to come
    assert evaluated() == {"probe"}

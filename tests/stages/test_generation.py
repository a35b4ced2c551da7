from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from rectok import artifacts
from rectok.errors import UserError
from rectok.evaluation.fingerprint import generation_fingerprint
from rectok.evaluation.metrics import read_record
from rectok.params.editing import changed
from rectok.stages import generation
from tests.evaluation import project

PLAIN = {"gfid", "kid", "inception_score", "inception_score_std", "precision", "recall", "sample_accuracy"}


def test_figures_of_both_sets_with_protocol_and_grids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params = project.build()
    generation.run(params)
    record = read_record("generation")
    assert (
        record.metrics.keys() == PLAIN | {f"{name}_guided" for name in PLAIN} | {"gfid_floor"} == record.networks.keys()
    )
    fingerprint = generation_fingerprint(params.generation, params.index.shards, "test", per_class=5)
    assert record.protocol["fingerprint"] == fingerprint
    assert record.protocol["samples"].startswith("15, 5 of each of 3 classes")
    assert record.protocol["reference"] == "16 of 16 images of the train split"
    assert "trained here" in record.protocol["metric_network"]
    pictures = artifacts.read_json(artifacts.pictures_file("generation"))
    assert pictures["rows"] == [0, 1, 2]
    for name, suffix in (("unguided", ""), ("guided", "_guided")):
        wrong = sum(pair["count"] for pair in pictures["confused"][name])
        assert wrong == round(15 * (1 - record.metrics[f"sample_accuracy{suffix}"])) > 0
        for pair in pictures["confused"][name]:
            assert pair["label"] != pair["predicted"] and pair["samples"] == 5
            assert (artifacts.failures_dir("generation") / pair["picture"]).exists()
        with Image.open(artifacts.stage_dir("generation") / f"{name}.png") as image:
            assert image.size == (5 * 32 + 4 * 2, 3 * 32 + 2 * 2)


def test_samples_depend_on_the_seed_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params = project.build()
    written = []
    for seed in (0, 0, 1):
        generation.run(params.model_copy(update={"seed": seed}))
        folder = artifacts.stage_dir("generation")
        written.append({path.name: path.read_bytes() for path in folder.rglob("*.*")})
    assert written[0] == written[1] != written[2]


def test_the_kind_of_labels_stands_in_the_protocol_and_beside_every_number_of_samples(here: Path) -> None:
    generation.run(changed(project.build(), {"generation.labels": "random"}))
    record = read_record("generation")
    assert record.protocol["samples"] == "15, each of a label drawn from 3 classes, from EMA weights"
    assert {name for name, network in record.networks.items() if not network.endswith("random labels")} == {
        "gfid_floor"
    }


def test_a_metric_that_is_no_number_is_named_with_the_likely_cause(here: Path) -> None:
    params = project.build()
    path = artifacts.weights_file("metric_network")
    weights = load_file(path)
    classifier = next(name for name in weights if name.endswith("fc.weight"))
    save_file({**weights, classifier: weights[classifier] * 1e30}, path)
    sentence = (
        "the metric Inception Score of generation is nan; most likely one of the networks .* has diverged, and `rectok"
    )
    with pytest.raises(UserError, match=sentence):
        generation.run(params)
    assert not artifacts.record_file("generation").exists() and not artifacts.metrics_file("generation").exists()

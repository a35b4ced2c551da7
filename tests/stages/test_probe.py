from pathlib import Path

import pytest

from rectok import artifacts
from rectok.evaluation.metrics import read_record
from rectok.stages import probe
from rectok.tokenizer.vae import VAETokenizer
from tests.evaluation import project
from tests.networks import keep


def test_accuracy_at_every_time_and_in_the_semantic_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    probe.run(project.build())
    record = read_record("probe")
    assert [point["t"] for point in record.metrics["probe"]] == [0.0, 0.5]
    shares = [*(point["accuracy"] for point in record.metrics["probe"]), record.metrics["semantic_accuracy"]]
    assert all((8 * share).is_integer() and 0 <= share <= 1 for share in shares)
    assert len(str(record.protocol["fingerprint"])) == 12
    assert record.protocol["training"] == "16 images of the train split, 2 noise draws each"
    assert "semantic" in record.protocol
    assert (artifacts.stage_dir("probe") / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_tokenizer_without_a_semantic_decoder_has_no_accuracy_and_no_words_about_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    params = project.build()
    keep("tokenizer", VAETokenizer(project.tokenizer_config().model_copy(update={"kind": "vae"})))
    probe.run(params)
    record = read_record("probe")
    assert record.metrics["semantic_accuracy"] is None and "semantic" not in record.protocol

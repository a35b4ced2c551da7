from pathlib import Path

import pytest
import torch

from rectok.cli.stage_run import stage_run
from rectok.errors import UserError
from rectok.pipeline.code_versions import installed_versions
from tests.project import write_params

SAID = (
    "CUDA out of memory. Tried to allocate 936.00 MiB. GPU 0 has a total capacity of 79.18 GiB of which 514.19 MiB is free. "
    "Including non-PyTorch memory, this process has 78.6 GiB memory in use."
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path)


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


def test_a_stage_refuses_a_project_of_other_code_versions_and_a_nightly_run_does_not(tmp_path: Path) -> None:
    Path("versions.yaml").write_text(f"stages: {{index: {installed_versions()['index']}}}\n")
    for name in ("index", "gate-index"):
        with pytest.raises(UserError, match=r"lacks stages\..*; `rectok init --upgrade` writes"), stage_run(name):
            pytest.fail("it ran")
    with stage_run("nightly"):
        pass


def test_other_errors_keep_their_traceback() -> None:
    with pytest.raises(RuntimeError, match="shapes"), stage_run("tokenizer"):
        raise RuntimeError("shapes do not fit")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="here is no GPU")
def test_a_gpu_that_is_really_full_says_so() -> None:
    with (
        pytest.raises(UserError, match=r"tokenizer ran out of GPU memory \(Tried to allocate .* GiB\)"),
        stage_run("tokenizer"),
    ):
        torch.empty(1 << 50, device="cuda", dtype=torch.uint8)

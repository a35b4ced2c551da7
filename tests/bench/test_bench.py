"""The real command on a tiny project: every work in one process, JSON on standard output alone."""

import json
import re
from pathlib import Path

import pytest

from rectok.bench.against import REPOSITORY
from rectok.workloads.speed import Speed
from tests.cli.project import rectok, refused
from tests.project import write_params

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "works",
    [("tokenizer/online+adversary", "dit", "loader"), ("sample", "encode", "features/to the host", "perceptual")],
)
def test_works_are_timed(works: tuple[str, ...], tmp_path: Path) -> None:
    write_params(tmp_path, {"generation.guidance.kind": "autoguidance", "machine.workers": 1})
    before = sorted(tmp_path.rglob("*"))
    done = rectok(tmp_path, "bench", *works, "--batch", "4", "--repeats", "1", "--json")
    assert done.returncode == 0, done.stderr
    found = [Speed(**json.loads(line)) for line in done.stdout.splitlines()]
    assert {(speed.work, speed.error) for speed in found} == {(work.split("/")[0], None) for work in works}
    assert all(s.images_per_second is not None and s.images_per_second.median > 0 for s in found)
    assert all((s.share_of_peak or 0) > 0 for s in found if s.work != "loader")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(not (REPOSITORY / ".git").exists(), reason="needs a clone")
def test_another_commit_is_timed_beside_with_other_parameters_and_a_profile(tmp_path: Path) -> None:
    write_params(tmp_path)
    few = ("--batch", "2", "--repeats", "1", "--set", "tokenizer.sizes.encoder.depth=2")
    done = rectok(tmp_path, "bench", "encode/encode", *few, "--against", "HEAD", "--profile")
    assert done.returncode == 0, done.stderr
    earlier, now = done.stderr.split("with this code:")
    assert "with the code of HEAD:" in earlier and all(
        part.count("encode / encode, batch 2: ") == 1 for part in (earlier, now)
    )
    assert re.search(r"images/s, [0-9.]+ times HEAD\n", now)
    product = "mkldnn::_linear_pointwise"
    assert product in now and product not in earlier


def test_the_profile_of_a_training_has_its_parts(tmp_path: Path) -> None:
    write_params(tmp_path)
    done = rectok(tmp_path, "bench", "dit", "--batch", "4", "--repeats", "1", "--profile", "--json")
    assert done.returncode == 0 and done.stdout.count("\n") == 1, done.stderr
    places = [done.stderr.index(f" {part} ") for part in ("forward", "backward", "optimizer", "average of weights")]
    assert places == sorted(places)


def test_an_index_tells_its_files_and_its_own_peak_memory(tmp_path: Path) -> None:
    write_params(tmp_path)
    done = rectok(tmp_path, "bench", "index:2000", "--repeats", "1", "--json")
    assert done.returncode == 0, done.stderr
    found = [Speed(**json.loads(line)) for line in done.stdout.splitlines()]
    assert [(speed.variant, speed.batch, speed.error) for speed in found] == [
        (variant, 2000, None) for variant in ("folders", "table", "tar")
    ]
    assert all(0.02 < (speed.peak_memory_gib or 0) < 0.5 for speed in found)


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    write_params(tmp_path)
    words = {
        ("--set", "machine.compile"): "--set machine.compile must be KEY=VALUE, as in --set machine.compile=true",
        ("--set", "machine.compil=1"): "unknown parameter machine.compil; the nearest valid name is machine.compile",
        ("--set", "seed=["): "--set seed is not valid YAML in line 1: ",
        ("--against", "0" * 40): f"--against {'0' * 40}: git cannot read it in ",
    }
    for options, sentence in words.items():
        assert refused(tmp_path, "bench", "dit", *options).startswith(sentence)
    assert refused(tmp_path, "bench", "speed").startswith(
        "there is no work 'speed' to bench; choose from tokenizer, dit"
    )
    write_params(tmp_path, {f"{stage}.losses.perceptual.weight": 0.0 for stage in ("tokenizer", "decoder")})
    assert "nothing to time: no stage has perceptual with these" in refused(tmp_path, "bench", "perceptual")
    assert "there is no preset" in refused(tmp_path, "bench", "dit", "--preset", "digit")

import hashlib
from pathlib import Path

import pytest

from rectok import artifacts
from rectok.nightly.generator_copy import PROMOTED, content
from rectok.nightly.promotion import current_promotion, promote_again, promote_current, promotions
from rectok.params import Params
from rectok.pipeline.damage import md5_of
from tests.errors import user_error
from tests.evaluation import project
from tests.nightly.promoting import passed

LOCK = """
schema: '2.0'
stages:
  dit:
    outs: [{path: data/dit, hash: md5, md5: NEWER.dir, size: 1}]
  generation:
    deps: [{path: data/dit, hash: md5, md5: 2222.dir, size: 1}]
"""


@pytest.fixture
def params(here: Path) -> Params:
    params = project.build()
    project.build_evaluation()
    passed()
    return params


def test_a_record_says_who_when_why_and_from_what(params: Params, tmp_path: Path) -> None:
    lock = LOCK.replace("NEWER", "2222").replace("2222.dir", md5_of(tmp_path / "data/dit"))
    (tmp_path / "dvc.lock").write_text(lock)
    made = promote_current(params, "a person", "gFID fell", measured=False)
    assert current_promotion() == made
    assert (made.number, made.who, made.why, made.preset) == (1, "a person", "gFID fell", "digits")
    assert made.commit.startswith("not in a git repository")
    assert made.lock == hashlib.sha256(lock.encode()).hexdigest()
    assert (PROMOTED / "records" / f"{made.lock}.lock").read_text() == lock
    assert made.params == (tmp_path / "params.yaml").read_text()
    assert made.metrics["gfid"] == 8.25
    assert made.time.endswith("+00:00")
    assert content(made.folder) == made.files == content(artifacts.DATA)
    assert not list(PROMOTED.rglob("*.tmp"))


def test_to_go_back_is_to_promote_an_earlier_one_again(params: Params) -> None:
    first = promote_current(params, "a", "one", measured=False)
    artifacts.weights_file("dit").write_bytes(artifacts.weights_file("autoguidance").read_bytes())
    passed()
    second = promote_current(params, "b", "two", measured=False)
    assert second.generator != first.generator
    third = promote_again(1, "c", "two draws badly")
    assert (third.number, third.generator, third.who, third.why) == (3, first.generator, "c", "two draws badly")
    assert (third.metrics, third.files, third.measured) == (first.metrics, first.files, first.measured)
    assert current_promotion() == third
    assert promotions() == [first, second, third]
    assert len(list((PROMOTED / "generators").iterdir())) == 2


def test_a_copy_that_is_damaged_is_not_promoted_again_but_renewed_from_the_pipeline(params: Params) -> None:
    made = promote_current(params, "a", "one", measured=False)
    (made.folder / "dit" / "model.safetensors").write_bytes(b"damaged")
    with user_error(rf"{made.folder} is not what was promoted as 1"):
        promote_again(1, "a", "again")
    with user_error("there is no promotion 7"):
        promote_again(7, "a", "again")
    assert promote_current(params, "a", "anew", measured=False).generator == made.generator
    assert promote_again(1, "a", "again").number == 3


def test_what_a_gate_refused_or_nobody_measured_is_not_promoted(params: Params, tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text(LOCK)
    with user_error(r"data/generation was measured on another data/dit"):
        promote_current(params, "a", "one", measured=False)
    (tmp_path / "dvc.lock").unlink()
    artifacts.passed_file("metric_network").unlink()
    with user_error("gate metric_network has not passed"):
        promote_current(params, "a", "one", measured=False)
    passed()
    artifacts.weights_file("autoguidance").unlink()
    with user_error(r"data/autoguidance/model.safetensors is missing"):
        promote_current(params, "a", "one", measured=False)
    assert not PROMOTED.exists()


def test_files_that_are_not_what_their_gate_passed_or_dvc_recorded_are_not_accepted(
    params: Params, tmp_path: Path
) -> None:
    config = artifacts.config_file("autoguidance")
    whole = config.read_bytes()
    config.write_bytes(whole + b" ")
    with user_error(r"data/autoguidance/config\.json is not the file that gate autoguidance passed"):
        promote_current(params, "a", "why", measured=False)
    config.write_bytes(whole)
    (tmp_path / "dvc.lock").write_text(LOCK.replace("NEWER", "2222"))
    with user_error(r"^data/dit is not what dvc\.lock records; `rectok verify` says what to do$"):
        promote_current(params, "a", "why", measured=False)

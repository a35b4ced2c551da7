"""`rectok repair` against real DVC: after damage, an experiment takes what was made again."""

import re
import shutil
from pathlib import Path

import pytest

from rectok.cli.repair import repair
from rectok.errors import UserError
from rectok.pipeline import lock
from rectok.pipeline.damage import cached_files, damages
from rectok.pipeline.graph import read_cache
from tests.pipeline.test_damage import dvc, flip

PIPELINE = """
stages:
  shards:
    foreach: [a, b]
    do:
      cmd: mkdir -p data/${item} && tr a-z A-Z < source > data/${item}/tar
      deps: [source]
      params: [width]
      outs: ["data/${item}"]
"""
OUT = Path("data/a/tar")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose run cache has the results of two experiments. The cache is not where DVC puts it by default."""
    folder = tmp_path_factory.mktemp("made")
    dvc(folder, "init", "--no-scm", "--quiet")
    dvc(folder, "cache", "dir", "elsewhere")
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "source").write_text("images")
    for width in (2, 1):
        (folder / "params.yaml").write_text(f"width: {width}")
        dvc(folder, "repro", "--quiet")
    return folder


def cached_results() -> set[Path]:
    return {path for path in read_cache().runs.rglob("*") if path.is_file()}


def experiment(project: Path) -> str:
    """What DVC takes from its cache where it knows nothing but the inputs, as in an experiment's own folder."""
    Path("dvc.lock").unlink()
    shutil.rmtree("data")
    dvc(project, "repro", "--quiet", "shards@a")
    return OUT.read_text()


def test_damage_that_was_recorded_does_not_come_back(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    OUT.unlink()
    OUT.write_text("DAMAGE")
    dvc(project, "commit", "--force", "--quiet", "shards@a")
    assert len(cached_results()) == 5  # two shards of two widths, and the damage
    repair("shards@a")
    assert OUT.read_text() == "IMAGES"
    assert "shards@a was made again; 2 results were dropped from the run cache\n" in capsys.readouterr().out
    assert len(cached_results()) == 4  # that of the other width stays
    assert experiment(project) == "IMAGES"


def test_what_a_remote_keeps_of_it_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    OUT.unlink()
    OUT.write_text("DAMAGE")
    dvc(project, "commit", "--force", "--quiet", "shards@a")
    dvc(project, "remote", "add", "--quiet", "--default", "backup", "backup")
    dvc(project, "push", "--quiet", "--run-cache")
    repair("shards@a")
    named = re.search(
        r"a remote \(backup\) keeps what .* sent there; remove (.+) in it, or `dvc pull", capsys.readouterr().out
    )
    assert named
    for name in named[1].split(", "):
        (project / "backup" / name).unlink()
    dvc(project, "pull", "--quiet", "--run-cache", "--force")
    assert len(cached_results()) == 4
    assert experiment(project) == "IMAGES"


def test_a_damaged_file_of_the_cache_is_replaced(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [record] = [record for stage, record in lock.read().items() if stage == "shards@a"]
    file = cached_files(read_cache().files, record.outs[0].md5)[-1]
    file.chmod(0o644)
    flip(file)
    assert damages(lock.read(), read_cache().files)[0].sentence.endswith(
        "where no remote has it `rectok repair shards@a` makes it"
    )
    repair("shards@a")
    # Both widths have the same bytes, so both results were damaged.
    assert "2 results were dropped from the run cache and 1 damaged files" in capsys.readouterr().out
    assert damages(lock.read(), read_cache().files) == []
    assert experiment(project) == "IMAGES"


def test_a_stage_that_fails_or_does_not_exist_is_a_sentence(project: Path) -> None:
    with pytest.raises(UserError, match=r"there is no stage 'nothing' in dvc\.yaml; its stages are shards"):
        repair("nothing")
    Path("source").unlink()
    with pytest.raises(UserError, match="shards@a failed; its message stands above"):
        repair("shards@a")

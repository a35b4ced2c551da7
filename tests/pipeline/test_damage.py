"""`rectok verify` against real DVC: what it records, and every way to damage it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rectok.pipeline import lock
from rectok.pipeline.damage import Damage, damages, md5_of
from rectok.pipeline.graph import read_cache
from rectok.pipeline.process import run_to_end
from tests import forked

PIPELINE = """
stages:
  folder:
    cmd: mkdir -p data/dit/deep && printf 1 > data/dit/a && printf 2 > data/dit/deep/é && printf 3 > data/dit/.hidden
    outs: [data/dit]
  file:
    cmd: mkdir -p data && printf 4 > data/latents
    outs: [data/latents]
"""


def dvc(folder: Path, *arguments: str) -> None:
    done = run_to_end(("dvc", *arguments), folder, {"PATH": forked.path()}, capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    dvc(folder, "init", "--no-scm", "--quiet")
    (folder / "dvc.yaml").write_text(PIPELINE)
    dvc(folder, "repro", "--quiet")
    return folder


def flip(path: Path) -> None:
    """Change one bit in place and keep size, time and mode, as a disk may."""
    before = path.stat()
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def found() -> list[Damage]:
    return damages(lock.read(), read_cache().files)


def test_hashes_are_those_of_dvc(project: Path) -> None:
    outs = [out for record in lock.read().values() for out in record.outs]
    assert {out.path: out.md5 for out in outs} == {out.path: md5_of(Path(out.path)) for out in outs}
    assert found() == []


@pytest.mark.parametrize("path", ["data/dit/a", "data/dit/deep/é", "data/latents"])
@pytest.mark.parametrize("damage", [flip, lambda path: path.write_bytes(b""), Path.unlink])
def test_damage_in_data_is_named_and_the_sentence_mends_it(
    project: Path, path: str, damage: Callable[[Path], object]
) -> None:
    file = Path(path)
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content)  # a copy, else the cache might be damaged with it
    damage(file)
    if not Path("data/latents").exists():
        assert found() == []  # an output that is not there is no damage
        return
    [one] = found()
    output = "data/dit" if path.startswith("data/dit") else path
    assert (one.path, one.here, one.cached) == (output, True, ())
    assert one.sentence == f"{output} is not what dvc.lock records; remove it, then `dvc checkout {output}`"
    shutil.rmtree(output) if Path(output).is_dir() else Path(output).unlink()
    dvc(project, "checkout", output)
    assert found() == []


def test_damage_in_the_cache_is_named(project: Path) -> None:
    for file in sorted(path for path in read_cache().files.rglob("*") if path.is_file()):
        whole = file.read_bytes()
        file.chmod(0o644)
        linked = [path for path in Path("data").rglob("*") if path.is_file() and path.samefile(file)]
        assert not linked  # the copy of the fixture broke the links
        flip(file)
        [one] = found()
        assert one.cached == (file,) and not one.here
        assert one.sentence.startswith(
            f"{file} ({one.path}) is damaged; remove it, then `dvc pull {one.stage}` fetches it"
        )
        file.write_bytes(whole)
    assert found() == []

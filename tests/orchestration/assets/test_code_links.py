import subprocess
from pathlib import Path

import pytest

from orchestration.assets.stages import browse_url, description
from orchestration.graph.model import Artefact, Unit


@pytest.fixture
def artefact(tmp_path: Path) -> Artefact:
    for folder in ("stages", "gates"):
        (tmp_path / "rectok" / folder).mkdir(parents=True)
        (tmp_path / "rectok" / folder / "features.py").touch()
    unit = Unit("00000", "features@00000", "rectok features 00000", (), "gate-features@00000", None, None, ())
    return Artefact("features", "What the teacher sees", "teacher", (), (), None, "1", (), None, (), (unit,))


def test_a_description_names_the_commands_and_links_the_files_that_do_the_work(
    artefact: Artefact, tmp_path: Path
) -> None:
    text = description(artefact, tmp_path, "https://example.com/team/project/blob/HEAD")
    assert text.startswith("What the teacher sees\n\n")
    assert "Made by `rectok features SHARD` for every shard, checked by `dvc repro gate-features@SHARD`." in text
    assert "[rectok/gates/features.py](https://example.com/team/project/blob/HEAD/rectok/gates/features.py)" in text
    assert "`rectok/stages/features.py`" in description(artefact, tmp_path, None)


@pytest.mark.parametrize(
    "remote, page",
    [
        ("git@example.com:team/project.git", "https://example.com/team/project/blob/HEAD"),
        ("ssh://git@example.com/team/project", "https://example.com/team/project/blob/HEAD"),
        ("https://user:secret@example.com/team/project.git", "https://example.com/team/project/blob/HEAD"),
        ("/srv/git/project", None),
        (None, None),
    ],
)
def test_files_are_linked_where_the_remote_has_pages(tmp_path: Path, remote: str | None, page: str | None) -> None:
    subprocess.run(("git", "init", "-q"), cwd=tmp_path, check=True)
    if remote:
        subprocess.run(("git", "remote", "add", "origin", remote), cwd=tmp_path, check=True)
    assert browse_url(tmp_path) == page

"""dvc.lock, which DVC does not write at once."""

from collections import Counter
from pathlib import Path

import pytest

from rectok.errors import UserError
from rectok.pipeline import lock
from rectok.pipeline.graph import read_stages
from tests.pipeline.test_damage import dvc

PIPELINE = """
stages:
  copy:
    foreach: [a, b]
    do:
      cmd: cp source ${item} && echo made ${item} >> made
      deps: [source]
      params: [width]
      outs: ["${item}"]
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    dvc(folder, "init", "--no-scm", "--quiet")
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text("width: 1")
    (folder / "source").write_text("images")
    dvc(folder, "repro", "--quiet")
    return folder


def test_a_lock_file_that_is_cut_off_is_one_sentence_and_nothing_runs_again(project: Path) -> None:
    whole, made, refused = lock.LOCK_FILE.read_text(), Path("made").read_text(), Counter[str]()
    for end in range(len(whole)):
        lock.LOCK_FILE.write_text(whole[:end])
        for read in (lock.read, read_stages) if end % 30 == 0 else (lock.read,):
            try:
                assert read().keys() <= {"copy@a", "copy@b"}
            except UserError as error:
                refused[read.__name__] += 1
                assert str(error).startswith(
                    "dvc.lock is damaged, as where DVC was killed while it wrote it; restore it"
                )
    assert refused["read"] > 100 and refused["read_stages"] > 4
    lock.LOCK_FILE.unlink()
    dvc(project, "repro", "--quiet")
    assert lock.LOCK_FILE.read_text() == whole
    assert Path("made").read_text() == made


@pytest.mark.parametrize(
    "text", ["[", "[1]", "a", "stages: [1]", "stages: {a: 1}", "stages: {a: {outs: [{md5: 1}]}}", "[" * 1000]
)
def test_a_lock_file_of_other_contents_is_the_same_sentence(here: Path, text: str) -> None:
    (here / "dvc.lock").write_text(text)
    with pytest.raises(UserError, match=r"^dvc\.lock is damaged"):
        lock.read()


def test_entries_replace_those_of_the_same_stage_or_follow_the_others() -> None:
    first, second = "  a:\n    cmd: one\n", "  b@0:\n    cmd: two\n"
    text = lock.spliced("", {"  a:": first, "  b@0:": second})
    assert text == f"{lock.HEADER}{first}{second}"
    newer, third = "  a:\n    cmd: other\n    outs:\n    - path: x\n", "  c:\n    cmd: three\n"
    assert lock.spliced(text, {"  c:": third, "  a:": newer}) == f"{lock.HEADER}{newer}{second}{third}"


@pytest.mark.parametrize(
    "text", ["stages: {}\n", "schema: '2.0'\nstages:\n  a:\n    cmd: b\ndatasets: []\n", lock.HEADER + "  a:"]
)
def test_a_lock_that_dvc_did_not_lay_out_is_left_to_dvc(text: str) -> None:
    assert lock.spliced(text, {"  a:": "  a:\n    cmd: one\n"}) is None

"""The command line as a whole: its version, its completion, and the help of a stage."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from rectok.artifacts import STAGES
from rectok.cli.parameters import template
from tests.cli.project import printed, rectok, refused
from tests.command import run
from tests.guides.guide import REPOSITORY


def test_the_version_is_that_of_the_package() -> None:
    assert printed("--version") == f"rectok {version('rectok')}\n"


@pytest.mark.parametrize(("line", "words"), [("rectok gate t", {"teacher", "tokenizer"}), ("rectok pl", {"plan"})])
def test_a_shell_completes_commands_and_stages(line: str, words: set[str], tmp_path: Path) -> None:
    shell = {"_RECTOK_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    assert set(run(tmp_path, "rectok", **shell).stdout.split()) == words


def test_the_help_of_a_stage_is_what_dvc_yaml_says_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    for folder in (REPOSITORY, tmp_path):  # a folder that is no project has the package's dvc.yaml
        monkeypatch.chdir(folder)
        text = printed("features", "--help")
        assert "The teacher's features of one shard, per token" in text
        assert "Parameters: features, image, tokenizer.sizes.patch" in text
        assert "Reads: data/shards/SHARD.tar" in text and "Writes: data/features/SHARD.safetensors" in text
    everything = printed("--help")
    assert all(stage in everything for stage in STAGES) and "Posterior moments of one shard" in everything
    own = "stages:\n  dit:\n    desc: Another generator\n    cmd: rectok dit\n"
    (tmp_path / "dvc.yaml").write_text(own)
    assert "Another generator." in printed("dit", "--help")
    assert "Make data/teacher." in printed("teacher", "--help")


def test_the_page_on_installation_names_every_file_that_init_writes() -> None:
    page = (REPOSITORY / "docs" / "install.md").read_text(encoding="utf-8")
    table = "".join(line for line in page.splitlines() if line.startswith("| `"))
    assert {str(path) for path in template() if f"`{path}`" not in table} == {".dvc/config"}  # it names all of .dvc/


def test_init_explains_how_images_of_your_own_are_taken(tmp_path: Path) -> None:
    done = rectok(tmp_path, "init", "photos")
    assert "`rectok init --from FOLDER --force` looks at your images" in done.stdout
    (tmp_path / "holiday").mkdir()
    hint = "holiday is a folder and no preset; `rectok init --from holiday` looks at its images"
    assert refused(tmp_path, "init", "holiday") == hint


def test_a_command_that_compiles_ends_without_a_word_about_leaks() -> None:
    code = (
        "import sys, triton._C.libtriton; from rectok.cli.main import main; sys.argv = ['rectok', '--version']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"rectok {version('rectok')}\n" and "leaked" not in done.stderr


def test_help_imports_nothing_heavy() -> None:
    """`rectok --help` must take a third of a second; time is measured elsewhere, but these are what made it slow."""
    heavy = {"torch", "numpy", "pandas", "PIL", "jinja2", "matplotlib", "dvc", "starlette", "uvicorn", "rich"}
    code = (
        "import sys; from rectok.cli.main import app; app(['--help'], standalone_mode=False); print(*sys.modules);"
        "import rectok.params.schema; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    helped, parameters = (set(line.split()) for line in done.stdout.splitlines()[-2:])
    assert "serve" in done.stdout and not {*heavy, "pydantic"} & helped
    assert not heavy & parameters, "every stage and gate reads the parameters"

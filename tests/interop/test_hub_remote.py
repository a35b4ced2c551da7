"""Folders go to the hub and come back, and what it refuses is one sentence."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

from rectok import Generator, Tokenizer
from rectok.cli.publish import push as push_command
from rectok.interop.hub_remote import push
from tests.errors import user_error
from tests.interop import hub_server
from tests.interop.hub_server import TOKEN, Hub, Repository
from tests.interop.test_hub import exported
from tests.networks import random_generator
from tests.ports import free_port
from tests.project import write_params

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")  # of huggingface_hub when it uploads


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("networks")
    return exported(random_generator(root / "data"), root / "hub")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The stand-in, with a token for it in its usual place, and an empty cache."""
    with hub_server.running() as server:
        at(monkeypatch, server.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        (tmp_path / "token").write_text(TOKEN)
        disable_progress_bars()
        yield server
        enable_progress_bars()


def at(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


def test_what_was_pushed_is_what_comes_back(hub: Hub, folder: Path, tmp_path: Path) -> None:
    assert push(folder, "org/name", private=True) == f"{hub.url}/org/name"
    repository = hub.repositories["org/name"]
    assert repository.private
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert repository.files == files
    sample = Generator.from_pretrained(folder).sample(3)
    for revision in (None, "main", repository.sha):
        assert torch.equal(Generator.from_pretrained("org/name", revision=revision).sample(3), sample)
    fetched = {path.name for path in (tmp_path / "cache").rglob("snapshots/*/**/*") if path.is_file()}
    assert not any(name.endswith(".py") for name in fetched) and "model.safetensors" in fetched


def test_a_tokenizer_comes_alone(hub: Hub, folder: Path, tmp_path: Path) -> None:
    push(folder, "org/name", private=False)
    assert Tokenizer.from_pretrained("org/name").config == Tokenizer.from_pretrained(folder).config
    assert not list((tmp_path / "cache").rglob("dit"))


def test_a_push_replaces_networks_and_nothing_else(hub: Hub, folder: Path) -> None:
    others = {"pictures/cat.png": b"cat", ".gitattributes": b"lfs", "demo.py": b"", "more/config.json": b"{}"}
    old = {"model.safetensors": b"the tokenizer alone", "dit/model.safetensors": b"", "dit/part-2.safetensors": b""}
    hub.repositories["org/name"] = Repository(files={**others, **old})
    push(folder, "org/name", private=False)
    pushed = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert hub.repositories["org/name"].files == {**others, **pushed}


def test_the_cache_serves_without_a_network(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    push(folder, "org/name", private=False)
    sample = Generator.from_pretrained("org/name").sample(3)
    nowhere = f"http://127.0.0.1:{free_port()}"
    at(monkeypatch, nowhere)
    assert torch.equal(Generator.from_pretrained("org/name").sample(3), sample)
    with user_error(f"^{nowhere} cannot be reached, and there is no whole copy of org/other in the cache$"):
        Generator.from_pretrained("org/other")
    with user_error(f"^{nowhere} cannot be reached$"):
        push(folder, "org/name", private=False)


def test_what_cannot_be_fetched(hub: Hub, folder: Path, tmp_path: Path) -> None:
    hub.repositories |= {"org/gated": Repository(gated=True), "org/secret": Repository(True), "org/empty": Repository()}
    with user_error(
        f"^there is no folder org/none here, and {hub.url} has no such repository or does not show it to your token; "
        "`hf auth login` keeps a token$"
    ):
        Tokenizer.from_pretrained("org/none")
    with user_error(r"^org/gated is gated; ask for access on its page at .*, and `hf auth login` keeps a token$"):
        Tokenizer.from_pretrained("org/gated")
    with user_error("^org/empty at .* has no such revision$"):
        Tokenizer.from_pretrained("org/empty", revision="v9")
    with user_error("holds no generator as `rectok export --format hub` writes it"):
        Generator.from_pretrained("org/empty")
    for name in ("none", "a/b/c", "s3://bucket/x"):
        with user_error(f"^{name} is neither a folder here nor a repository of the hub such as org/name$"):
            Tokenizer.from_pretrained(name)
    with user_error("^org/a--b cannot be the name of a repository: "):
        Tokenizer.from_pretrained("org/a--b")
    hub.failing = 418
    with user_error("answered 418 for org/name; try again later$"):
        Tokenizer.from_pretrained("org/name")


def test_a_token_that_is_refused(hub: Hub, folder: Path, tmp_path: Path) -> None:
    login = "; `hf auth login` keeps a token$"
    with user_error(rf"refuses your token for readonly/name \(You don't have the rights .*\){login}"):
        push(folder, "readonly/name", private=False)
    (tmp_path / "token").write_text("hf_wrong")
    for attempt in (lambda: push(folder, "org/name", private=False), lambda: Tokenizer.from_pretrained("org/name")):
        with user_error(rf"refuses your token for org/name \(Invalid credentials in Authorization header\){login}"):
            attempt()
    (tmp_path / "token").unlink()
    with user_error(rf"refuses your token for org/name \(Invalid username or password\.\){login}"):
        push(folder, "org/name", private=False)
    assert not hub.repositories


def test_an_upload_that_breaks_off(hub: Hub, folder: Path) -> None:
    hub.full = True
    with user_error(r"^the transfer of org/name broke off \(.*507.*\); run the command again$"):
        push(folder, "org/name", private=False)
    assert not hub.repositories["org/name"].files


def test_the_command_exports_and_pushes(hub: Hub, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_params(here)
    random_generator(here / "data")
    push_command("org/name", private=True)
    assert capsys.readouterr().out == f"pushed to {hub.url}/org/name\n"
    files = hub.repositories["org/name"].files
    assert b'Generator.from_pretrained("org/name")' in files["README.md"] and "pipeline.py" in files
    with user_error("^name must be the name of a repository such as org/name$"):
        push_command("name")
    Path("README.md").touch()
    with user_error(r"^\. is no folder that `rectok export --format hub` wrote: it has no config\.json$"):
        push_command("org/name", folder=Path())
    with user_error(r"^data/dit is no folder that `rectok export --format hub` wrote: it has no README\.md$"):
        push_command("org/name", folder=Path("data/dit"))


def test_half_an_export_is_not_pushed(hub: Hub, folder: Path, tmp_path: Path) -> None:
    """It would remove from the repository what it lacks."""
    half = shutil.copytree(folder, tmp_path / "half")
    shutil.rmtree(half / "tokenizer")
    with user_error(r"half/tokenizer/model\.safetensors does not exist$"):
        push_command("org/name", folder=half)
    assert not hub.repositories


LOAD = """
import torch
from diffusers import DiffusionPipeline
from rectok import Generator

pipeline = DiffusionPipeline.from_pretrained("org/name", trust_remote_code=True)
assert torch.equal(pipeline([3, 3], output_type="pt").images, Generator.from_pretrained("org/name", device="cpu").sample(3, 2))
"""


@pytest.mark.slow
def test_processes_of_their_own_push_and_load(folder: Path, tmp_path: Path) -> None:
    """All that tells them where the hub is, and where the token, are the variables that its users set."""
    pytest.importorskip("diffusers")
    with hub_server.running() as server:
        variables = {
            "HF_ENDPOINT": server.url,
            "HF_HOME": str(tmp_path / "home"),
            "HF_TOKEN": TOKEN,
            "HF_HUB_DISABLE_XET": "1",
        }
        for arguments in (["-m", "rectok.cli.main", "push", "org/name", "--from", str(folder)], ["-c", LOAD]):
            command = [sys.executable, *arguments]
            environment = {**os.environ, **variables}
            done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr

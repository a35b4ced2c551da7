import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rectok.errors import DamagedError, UserError
from rectok.storage.folder import damaged_file, fetch_folder, is_whole, publish_folder, write_list
from rectok.storage.objects import list_files, publish, remove
from tests.storage.proxy import Fault, Proxy
from tests.storage.server import BUCKET


@pytest.fixture(params=["local", "s3"])
def uri(request: pytest.FixtureRequest, tmp_path: Path, proxy: Proxy) -> str:
    return str(tmp_path / "there" / "x") if request.param == "local" else f"s3://{BUCKET}/{tmp_path.name}/x"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "here" / "deep").mkdir(parents=True)
    (tmp_path / "here" / "deep" / "a").write_bytes(b"1")
    (tmp_path / "here" / "b").write_bytes(b"")
    write_list(tmp_path / "here")
    return tmp_path / "here"


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_folder_comes_back_whole(uri: str, folder: Path, tmp_path: Path) -> None:
    publish_folder(folder, uri)
    (folder / "b").rename(folder / "c")
    write_list(folder)
    publish_folder(folder, uri)
    assert is_whole(uri)
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "old").touch()
    fetch_folder(uri, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(folder) | {"deep/a": b"1", "c": b""}
    assert damaged_file(tmp_path / "back") is None
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "there") == ["back", "here"]


def test_what_was_not_written_to_its_end_is_not_whole(proxy: Proxy, folder: Path, tmp_path: Path) -> None:
    uri = f"s3://{BUCKET}/half"
    publish_folder(folder, uri)
    proxy.spoil(Fault("503", "PUT", "/deep/a", 1000))
    with pytest.raises(UserError, match="half/deep/a cannot be written"):
        publish_folder(folder, uri)
    proxy.spoil()
    assert not is_whole(uri)
    assert [file.name for file in list_files(uri)] == ["b"]


def test_a_file_that_differs_is_refused_and_what_was_here_stays(uri: str, folder: Path, tmp_path: Path) -> None:
    publish_folder(folder, uri)
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "old").touch()
    listed = tmp_path / "list"
    listed.write_text(json.dumps({"deep/a": "0" * 64, "b": hashlib.sha256().hexdigest()}))
    publish(listed, f"{uri}/files.json")
    with pytest.raises(UserError, match="deep/a has sha256"):
        fetch_folder(uri, tmp_path / "back")
    assert contents(tmp_path / "back") == {"old": b""}


def relisted(uri: str, text: str, tmp_path: Path) -> None:
    """Replace the list of the copy `uri`."""
    (tmp_path / "list").write_text(text)
    publish(tmp_path / "list", f"{uri}/files.json")


@pytest.mark.parametrize(
    "name",
    ["/tmp/escaped", "../escaped", "deep/../../escaped", "..", ".", "", "./b", "deep//a", "files.json", "a\\b", "a\0b"],
)
def test_a_name_that_leads_out_of_the_folder_is_refused_before_anything_is_written(
    uri: str, folder: Path, tmp_path: Path, name: str
) -> None:
    publish_folder(folder, uri)
    relisted(uri, json.dumps({"b": hashlib.sha256().hexdigest(), name: "0" * 64}), tmp_path)
    before = contents(tmp_path)
    with pytest.raises(DamagedError, match=r"files\.json names .*, which is no file inside its folder"):
        fetch_folder(uri, tmp_path / "back")
    assert contents(tmp_path) == before and not Path("/tmp/escaped").exists()


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"b": 1}', '{"b": "x"}', '{"b": null}', "[" * 100_000])
def test_a_list_that_is_none_is_damaged(uri: str, folder: Path, tmp_path: Path, text: str) -> None:
    publish_folder(folder, uri)
    relisted(uri, text, tmp_path)
    with pytest.raises(DamagedError, match=r"files\.json is damaged[:,] .*; remove "):
        fetch_folder(uri, tmp_path / "back")


def test_a_copy_that_lost_a_file_is_damaged(uri: str, folder: Path, tmp_path: Path) -> None:
    publish_folder(folder, uri)
    remove(f"{uri}/deep/a")
    with pytest.raises(DamagedError, match="deep/a is missing"):
        fetch_folder(uri, tmp_path / "back")


@pytest.mark.parametrize(
    "damage, name",
    [
        (lambda folder: (folder / "deep/a").write_bytes(b"2"), "deep/a"),
        (lambda folder: (folder / "deep/a").write_bytes(b""), "deep/a"),
        (lambda folder: (folder / "b").unlink(), "b"),
        (lambda folder: (folder / "new").touch(), "new"),
        (lambda folder: (folder / "files.json").unlink(), "files.json"),
        (lambda folder: (folder / "files.json").write_bytes(b"{"), "files.json"),
    ],
)
def test_every_damage_names_its_file(folder: Path, damage: Callable[[Path], object], name: str) -> None:
    assert damaged_file(folder) is None
    damage(folder)
    assert damaged_file(folder) == name

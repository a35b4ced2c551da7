import json
from pathlib import Path

import pytest

from rectok.errors import UserError
from rectok.storage.folder import fetch_folder, is_whole, publish_folder
from rectok.storage.objects import list_files, publish
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
    return tmp_path / "here"


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_folder_comes_back_whole(uri: str, folder: Path, tmp_path: Path) -> None:
    publish_folder(folder, uri)
    (folder / "b").rename(folder / "c")
    publish_folder(folder, uri)
    assert is_whole(uri)
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "old").touch()
    fetch_folder(uri, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(folder) == {"deep/a": b"1", "c": b""}
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
    listed.write_text(json.dumps({"deep/a": "0" * 64}))
    publish(listed, f"{uri}/files.json")
    with pytest.raises(UserError, match="deep/a has sha256"):
        fetch_folder(uri, tmp_path / "back")
    assert contents(tmp_path / "back") == {"old": b""}

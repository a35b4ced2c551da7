import hashlib
import io
import pickle
from pathlib import Path
from typing import Any

import pytest

from rectok.errors import UserError
from rectok.storage.objects import (
    Ranges,
    direct_files,
    fetch,
    list_files,
    open_binary,
    publish,
    read_bytes,
    remove,
    remove_below,
    verified,
)
from tests.storage.server import BUCKET

CONTENT = bytes(range(256)) * 8192
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(params=["local", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder or prefix that holds a/1, a/2, b/c/3 and a neighbour whose name starts alike."""
    files = {"set/a/1": CONTENT, "set/a/2": b"2", "set/b/c/3": b"", "set2/x": b"no"}
    if request.param == "local":
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
        return str(tmp_path / "set")
    client = request.getfixturevalue("bucket")
    for name, content in {**files, "set/folder/": b""}.items():
        client.put_object(Bucket=BUCKET, Key=name, Body=content)
    return f"s3://{BUCKET}/set"


def test_files_are_listed_below_a_prefix_and_not_beside_it(root: str) -> None:
    for prefix in (root, f"{root}/"):
        assert [(f.name, f.size) for f in list_files(prefix)] == [("a/1", len(CONTENT)), ("a/2", 1), ("b/c/3", 0)]


def test_direct_files_are_those_of_no_further_folder(root: str) -> None:
    assert sorted(direct_files(root)) == []
    assert sorted(direct_files(f"{root}/a/")) == ["1", "2"]


def test_content_is_read_whole_and_as_a_stream(root: str) -> None:
    assert read_bytes(f"{root}/a/1") == CONTENT
    with open_binary(f"{root}/a/1") as file:
        assert file.read(3) + file.read(2) == CONTENT[:5]


def test_fetch_copies_what_has_the_right_hash(root: str, tmp_path: Path) -> None:
    target = tmp_path / "new" / "weights"
    fetch(f"{root}/a/1", DIGEST.upper(), target)
    assert target.read_bytes() == CONTENT


def test_fetch_refuses_another_hash_and_leaves_the_old_file(root: str, tmp_path: Path) -> None:
    target = tmp_path / "weights"
    target.write_bytes(b"old")
    expected = "0" * 64
    with pytest.raises(UserError) as error:
        fetch(f"{root}/a/1", expected, target)
    assert all(part in str(error.value) for part in (f"{root}/a/1", DIGEST, expected))
    assert target.read_bytes() == b"old"
    assert not list(tmp_path.glob(".weights*"))


def test_a_verified_file_is_the_local_one_or_a_copy_that_goes_away(root: str) -> None:
    with verified(f"{root}/a/1", DIGEST.upper()) as path:
        assert path.read_bytes() == CONTENT
    assert path.exists() == (not root.startswith("s3"))


@pytest.mark.parametrize(
    "name,message", [("a/1", f"has sha256 {DIGEST}, but {'0' * 64} was expected"), ("none", "cannot be read")]
)
def test_a_file_of_another_hash_is_not_verified(root: str, name: str, message: str) -> None:
    with pytest.raises(UserError, match=f"{root}/{name} {message}"), verified(f"{root}/{name}", "0" * 64):
        pytest.fail("it was read")


def test_what_is_missing_is_named(root: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{root}/none cannot be read"):
        read_bytes(f"{root}/none")
    with pytest.raises(UserError, match="none"):
        fetch(f"{root}/none", DIGEST, tmp_path / "x")
    with pytest.raises(UserError, match="no-such"):
        list(list_files("s3://no-such-bucket/x" if root.startswith("s3") else str(tmp_path / "no-such")))


def test_many_objects_come_in_pages(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "5")
    for number in range(12):
        bucket.put_object(Bucket=BUCKET, Key=f"many/{number:04d}", Body=b"")
    names = [f"{n:04d}" for n in range(12)]
    assert [f.name for f in list_files(f"s3://{BUCKET}/many")] == names
    assert sorted(direct_files(f"s3://{BUCKET}/many")) == names


def test_the_order_is_that_of_whole_names_and_links_are_followed(tmp_path: Path) -> None:
    names = ["a-b/1", "a.txt", "a/1", "a/b/2", "a0"]
    for name in names:
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "dangling").symlink_to(tmp_path / "none")
    for root in ("set", "link"):
        assert [f.name for f in list_files(str(tmp_path / root))] == names == sorted(names)
    assert sorted(direct_files(str(tmp_path / "set"))) == ["a.txt", "a0"]
    assert sorted(direct_files(str(tmp_path / "none"))) == []
    (tmp_path / "set" / "z").symlink_to(tmp_path / "set", target_is_directory=True)
    with pytest.raises(UserError, match="cannot be listed"):
        list(list_files(str(tmp_path / "set")))


def test_a_stream_is_seekable_and_reads_ahead_only_while_it_is_read_on(root: str) -> None:
    with open_binary(f"{root}/a/1") as file:
        assert file.seek(-4, io.SEEK_END) == len(CONTENT) - 4
        assert file.read() == CONTENT[-4:]
        assert file.seek(1000) == file.tell() == 1000
        assert file.read(300_000) == CONTENT[1000:301_000]
        assert file.read() == CONTENT[301_000:]
        assert file.read(1) == b""
    with open_binary(f"{root}/b/c/3") as empty:
        assert empty.read() == b""


def test_ranges_are_read_in_any_order_also_by_a_copy(root: str) -> None:
    ranges = Ranges(f"{root}/a/1", len(CONTENT))
    for reader in (ranges, pickle.loads(pickle.dumps(ranges))):
        assert [reader.read(start, 7) for start in (70_000, 0)] == [CONTENT[70_000:70_007], CONTENT[:7]]
    assert Ranges(f"{root}/b/c/3").read(0, 0) == b""
    with pytest.raises(UserError, match=f"a/1 has {len(CONTENT)} bytes, but 12 were written"):
        Ranges(f"{root}/a/1", 12).read(0, 1)


def test_what_is_published_is_read_and_removed_again(root: str, tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(CONTENT)
    for content in (CONTENT, b"newer"):
        (tmp_path / "mine").write_bytes(content)
        publish(tmp_path / "mine", f"{root}/out/deep/x")
        assert read_bytes(f"{root}/out/deep/x") == content
    publish(tmp_path / "mine", f"{root}/outer")
    remove_below(f"{root}/out")
    remove_below(f"{root}/out")
    assert [f.name for f in list_files(root)] == ["a/1", "a/2", "b/c/3", "outer"]
    for _ in range(2):
        remove(f"{root}/outer")
    assert [f.name for f in list_files(root)] == ["a/1", "a/2", "b/c/3"]

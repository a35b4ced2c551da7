import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rectok.errors import UserError
from rectok.storage import fetch, list_files, open_binary, read_bytes, verified
from tests.storage.server import BUCKET, running

CONTENT = bytes(range(256)) * 8192
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch, running(patch) as client:
        yield client


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
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


def test_files_are_listed_below_a_prefix_and_not_beside_it(place: str) -> None:
    for prefix in (place, f"{place}/"):
        assert [(f.name, f.size) for f in list_files(prefix)] == [("a/1", len(CONTENT)), ("a/2", 1), ("b/c/3", 0)]


def test_content_is_read_whole_and_as_a_stream(place: str) -> None:
    assert read_bytes(f"{place}/a/1") == CONTENT
    with open_binary(f"{place}/a/1") as file:
        assert file.read(3) + file.read(2) == CONTENT[:5]


def test_fetch_copies_what_has_the_right_hash(place: str, tmp_path: Path) -> None:
    target = tmp_path / "new" / "weights"
    fetch(f"{place}/a/1", DIGEST.upper(), target)
    assert target.read_bytes() == CONTENT


def test_fetch_refuses_another_hash_and_leaves_the_old_file(place: str, tmp_path: Path) -> None:
    target = tmp_path / "weights"
    target.write_bytes(b"old")
    wanted = "0" * 64
    with pytest.raises(UserError) as error:
        fetch(f"{place}/a/1", wanted, target)
    assert all(part in str(error.value) for part in (f"{place}/a/1", DIGEST, wanted))
    assert target.read_bytes() == b"old"
    assert not list(tmp_path.glob(".weights*"))


def test_a_verified_file_is_the_local_one_or_a_copy_that_goes_away(place: str) -> None:
    with verified(f"{place}/a/1", DIGEST.upper()) as path:
        assert path.read_bytes() == CONTENT
    assert path.exists() == (not place.startswith("s3"))


@pytest.mark.parametrize(
    "name,said", [("a/1", f"has sha256 {DIGEST}, but {'0' * 64} was expected"), ("none", "cannot be read")]
)
def test_a_file_of_another_hash_is_not_verified(place: str, name: str, said: str) -> None:
    with pytest.raises(UserError, match=f"{place}/{name} {said}"), verified(f"{place}/{name}", "0" * 64):
        pytest.fail("it was taken")


def test_what_is_missing_is_named(place: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{place}/none cannot be read"):
        read_bytes(f"{place}/none")
    with pytest.raises(UserError, match="none"):
        fetch(f"{place}/none", DIGEST, tmp_path / "x")
    with pytest.raises(UserError, match="no-such"):
        list(list_files("s3://no-such-bucket/x" if place.startswith("s3") else str(tmp_path / "no-such")))


def test_many_objects_come_in_pages(bucket: Any) -> None:
    for number in range(1005):
        bucket.put_object(Bucket=BUCKET, Key=f"many/{number:04d}", Body=b"")
    assert [f.name for f in list_files(f"s3://{BUCKET}/many")] == [f"{n:04d}" for n in range(1005)]

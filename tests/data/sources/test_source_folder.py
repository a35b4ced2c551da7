"""Which files make a source what it is, at any depth, local and in a bucket."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rectok.data.sources import source_folder
from rectok.data.sources.archive import Archive
from rectok.data.sources.image_files import Files
from rectok.data.sources.labels import Labels
from rectok.data.sources.opening import open_source
from rectok.data.sources.parquet_files import Parquet
from rectok.data.sources.source_folder import PEEKED
from rectok.data.sources.tar_archives import Tar
from rectok.data.sources.zip_archives import Zip
from rectok.errors import UserError
from tests.storage.server import BUCKET

HARMLESS = (
    "README.md",
    ".gitattributes",
    "labels.csv",
    "a/dataset_infos.json",
    ".cache/1.png",
    "a/.x.zip",
    "a/._b.tar",
)
Source = Callable[..., str]


@pytest.fixture(params=["local", "s3"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    """Makes a source of files with those names, and gives its address."""
    if request.param == "local":
        return lambda *names: local(tmp_path / "images", *names)
    client = request.getfixturevalue("bucket")

    def remote(*names: str) -> str:
        for name in names:
            client.put_object(Bucket=BUCKET, Key=f"{tmp_path.name}/{name}", Body=b"x")
        return f"s3://{BUCKET}/{tmp_path.name}"

    return remote


def local(root: Path, *names: str) -> str:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return str(root)


def indexed(root: str) -> list[str]:
    return [item.uri for item in open_source(root).items(Labels("auto"))]


@pytest.mark.parametrize(
    "kind,names",
    [
        (Parquet, ["default/train/0000.parquet", "default/validation/0000.parquet"]),
        (Parquet, ["data/train-0.parquet", "test.parquet"]),
        (Tar, ["train/n01440764.tar", "train/n01443537.tar.gz", "val.TGZ"]),
        (Zip, ["a/b/c/d.zip"]),
    ],
)
def test_packed_images_are_found_at_any_depth(source: Source, kind: type[Archive], names: list[str]) -> None:
    opened = open_source(source(*names, *HARMLESS))
    assert isinstance(opened, kind) and list(opened.names) == names


def test_single_images_may_have_hidden_archives_and_notes_beside_them(source: Source) -> None:
    root = source("cat/1.png", "dog/2", *HARMLESS)
    assert isinstance(open_source(root), Files)
    assert indexed(root) == ["a/dataset_infos.json", "cat/1.png", "dog/2"]


@pytest.mark.parametrize(
    "one,other",
    [
        ("cat/1.png", "stray.zip"),
        ("cat/1.JPEG", "train/0.parquet"),
        ("cover.webp", "train/n01440764.tar"),
        ("data/0.parquet", "data/0.tar"),
        ("a.zip", "b.tar.gz"),
    ],
)
def test_a_mixture_is_refused_with_one_file_of_each_kind(source: Source, one: str, other: str) -> None:
    with pytest.raises(UserError, match=r"images must be single files or .* of one kind; move the others away") as said:
        open_source(source(one, other, *HARMLESS))
    assert one in str(said.value) and other in str(said.value)


@pytest.mark.parametrize("many", ["cat/{}.png", "cat/{}", "cat/{}.tar"])
@pytest.mark.parametrize("late", ["zoo/z.zip", "zoo/deep/z.parquet"])
def test_a_mixture_beyond_what_is_peeked_at_is_refused_in_the_one_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: str, late: str
) -> None:
    monkeypatch.setattr(source_folder, "PEEKED", 5)
    root = local(tmp_path, *(many.format(n) for n in range(9)), late)
    with pytest.raises(UserError, match=rf"holds both cat/\d.* and {late}|holds both {late} and cat/\d"):
        indexed(root)


def test_notes_alone_tell_nothing_however_many_come_first(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_folder, "PEEKED", 5)
    opened = open_source(source(*(f"a/{n}.json" for n in range(9)), "sub/x.tar", "sub/y.tar"))
    assert isinstance(opened, Tar) and list(opened.names) == ["sub/x.tar", "sub/y.tar"]


def test_a_stray_archive_is_met_before_the_folders_are_walked(source: Source) -> None:
    with pytest.raises(UserError, match=r"stray\.zip"):
        open_source(source(*(f"cat/{n}.png" for n in range(3)), "stray.zip"))


def test_opening_many_images_lists_a_bounded_number_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = local(tmp_path, *(f"train/{n}.png" for n in range(PEEKED + 300)))
    looked_at: list[str] = []
    walked = source_folder._walked

    def counted(folder: str) -> Iterator[str]:
        for name in walked(folder):
            looked_at.append(name)
            yield name

    monkeypatch.setattr(source_folder, "_walked", counted)
    monkeypatch.setattr(source_folder, "list_files", lambda root: pytest.fail("it was listed"))
    assert isinstance(open_source(root), Files)
    assert len(looked_at) == PEEKED


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "again").symlink_to(".")
    with pytest.raises(UserError, match=r"cat/again/.* cannot be listed: Too many levels of symbolic links"):
        open_source(str(tmp_path))

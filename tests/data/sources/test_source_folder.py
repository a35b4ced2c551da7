"""Which files decide the kind of a source, at any depth, local and in a bucket."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rectok.data.sources import source_folder
from rectok.data.sources.archive import Archives
from rectok.data.sources.image_files import ImageFiles
from rectok.data.sources.opening import open_source
from rectok.data.sources.parquet_files import ParquetFiles
from rectok.data.sources.source_folder import PEEKED, SourceFolder
from rectok.data.sources.tar_archives import TarArchives
from rectok.data.sources.zip_archives import ZipArchives
from rectok.errors import UserError
from rectok.storage.s3 import StoredFile
from tests.data.sources.small_sources import AUTO, write_folder
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
WriteFiles = Callable[..., str]


@pytest.fixture(params=["local", "s3"])
def write_files(request: pytest.FixtureRequest, tmp_path: Path) -> WriteFiles:
    """Makes a source of files with those names, and returns its address."""
    if request.param == "local":
        return lambda *names: local(tmp_path / "images", *names)
    client = request.getfixturevalue("bucket")

    def remote(*names: str) -> str:
        for name in names:
            client.put_object(Bucket=BUCKET, Key=f"{tmp_path.name}/{name}", Body=b"x")
        return f"s3://{BUCKET}/{tmp_path.name}"

    return remote


def local(root: Path, *names: str) -> str:
    return str(write_folder(root, dict.fromkeys(names, b"x")))


def indexed(root: str) -> list[str]:
    return [image.uri for image in open_source(root).images(AUTO)]


def listings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The roots of all listings from now on."""
    roots: list[str] = []
    list_files = source_folder.list_files

    def recorded(root: str, dangling: bool = False) -> Iterator[StoredFile]:
        roots.append(root)
        return list_files(root, dangling)

    monkeypatch.setattr(source_folder, "list_files", recorded)
    return roots


@pytest.mark.parametrize(
    "kind,names",
    [
        (ParquetFiles, ["default/train/0000.parquet", "default/validation/0000.parquet"]),
        (ParquetFiles, ["data/train-0.parquet", "test.parquet"]),
        (TarArchives, ["train/n01440764.tar", "train/n01443537.tar.gz", "val.TGZ"]),
        (ZipArchives, ["a/b/c/d.zip"]),
    ],
)
def test_packed_images_are_found_at_any_depth(write_files: WriteFiles, kind: type[Archives], names: list[str]) -> None:
    source = open_source(write_files(*names, *HARMLESS))
    assert isinstance(source, kind) and source.names == names


def test_single_images_may_have_hidden_archives_and_notes_beside_them(write_files: WriteFiles) -> None:
    root = write_files("cat/1.png", "dog/2", *HARMLESS)
    assert isinstance(open_source(root), ImageFiles)
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
def test_a_mixture_is_refused_with_one_file_of_each_kind(write_files: WriteFiles, one: str, other: str) -> None:
    expected = r"images must be single files or .* of one kind; move the others away"
    with pytest.raises(UserError, match=expected) as error:
        open_source(write_files(one, other, *HARMLESS))
    assert one in str(error.value) and other in str(error.value)


@pytest.mark.parametrize("many", ["cat/{}.png", "cat/{}", "cat/{}.tar"])
@pytest.mark.parametrize("late", ["zoo/z.zip", "zoo/deep/z.parquet"])
def test_a_mixture_beyond_the_first_names_is_refused_in_the_one_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: str, late: str
) -> None:
    monkeypatch.setattr(source_folder, "PEEKED", 5)
    root = local(tmp_path, *(many.format(n) for n in range(9)), late)
    roots = listings(monkeypatch)
    with pytest.raises(UserError, match=rf"holds both cat/\d.* and {late}|holds both {late} and cat/\d"):
        indexed(root)
    assert len(roots) <= 1


def test_files_of_no_kind_decide_nothing_however_many_come_first(
    write_files: WriteFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_folder, "PEEKED", 5)
    source = open_source(write_files(*(f"a/{n}.json" for n in range(9)), "sub/x.tar", "sub/y.tar"))
    roots = listings(monkeypatch)
    assert isinstance(source, TarArchives) and source.names == source.names == ["sub/x.tar", "sub/y.tar"]
    assert len(roots) == 1


def test_a_stray_archive_is_found_before_the_folders_are_walked(write_files: WriteFiles) -> None:
    with pytest.raises(UserError, match=r"stray\.zip"):
        open_source(write_files(*(f"cat/{n}.png" for n in range(3)), "stray.zip"))


@pytest.mark.parametrize("ending", ["png", "tar"])
def test_opening_many_files_reads_the_first_names_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    root = local(tmp_path, *(f"train/{n}.{ending}" for n in range(PEEKED + 300)))
    names: list[str] = []
    walk = source_folder._walk

    def counted(folder: str) -> Iterator[str]:
        for name in walk(folder):
            names.append(name)
            yield name

    monkeypatch.setattr(source_folder, "_walk", counted)
    roots = listings(monkeypatch)
    assert isinstance(open_source(root), ImageFiles if ending == "png" else TarArchives)
    assert len(names) == PEEKED and roots == []


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "again").symlink_to(".")
    with pytest.raises(UserError, match=r"the link .*cat/again leads back to a folder around it"):
        open_source(str(tmp_path))


def test_a_folder_that_is_gone_before_it_is_listed_is_named(tmp_path: Path) -> None:
    names = source_folder._walk(local(tmp_path, "1.png", "cat/2.png"))
    assert next(names) == "1.png"
    shutil.rmtree(tmp_path / "cat")
    with pytest.raises(UserError, match=r"/cat/ cannot be listed: No such file or directory"):
        next(names)


def test_a_folder_of_save_to_disk_is_named(tmp_path: Path) -> None:
    write_folder(
        tmp_path, {"train/data-00000-of-00001.arrow": b"-", "train/state.json": b"{}", "dataset_dict.json": b"{}"}
    )
    with pytest.raises(
        UserError, match=r"holds train/data-00000-of-00001\.arrow, as save_to_disk .* with to_parquet of each"
    ):
        SourceFolder(str(tmp_path))

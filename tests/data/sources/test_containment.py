"""Nothing outside of a source is opened, and odd characters in names are no obstacle."""

import io
import json
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rectok.data.sources.containment import Links, name_inside
from rectok.data.sources.opening import open_source
from rectok.errors import UserError
from tests.data.sources.small_sources import annotated, read_images, write_folder, write_tar, write_zip
from tests.storage import newline_server
from tests.storage.server import BUCKET

OUTSIDE = ["../x.png", "/etc/hostname", "a/../../x.png", "..", ".", "", "a\0b.png", "//x.png", "./../x.png"]
ODD = ["set#1", "100%", "%23", "what?", "a b", "two\nlines", "[x]*", "é", "a+b&c=d", "x.tar#1+2"]
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_that_lead_out_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"^row 3 names .* lies outside of index\.source"):
        name_inside(name, "row 3")


def test_names_are_normal_and_relative_to_their_table() -> None:
    assert name_inside("./a//b/../c.png", "row") == "a/c.png"
    assert name_inside("../images/1.png", "row", "train") == "images/1.png"
    with pytest.raises(UserError, match="outside"):
        name_inside("../../1.png", "row", "train")


@pytest.mark.parametrize("name", ["../secret.png", "/SECRET", "cat/../../secret.png", "link.png"])
def test_a_path_in_parquet_stays_inside(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    source = tmp_path / "source"
    source.mkdir()
    (source / "link.png").symlink_to(tmp_path / "secret.png")
    path = name.replace("/SECRET", str(tmp_path / "secret.png"))
    images = [{"bytes": b"x", "path": None}, {"bytes": None, "path": path}]
    pq.write_table(pa.table({"image": pa.array(images, IMAGE), "label": [0, 1]}), tmp_path / "x.parquet")
    (tmp_path / "x.parquet").rename(source / "x.parquet")
    with pytest.raises(
        UserError,
        match=rf"row 1 of x\.parquet .*{path.rpartition('/')[2]}.*, or the images' bytes must lie in the Parquet file",
    ):
        read_images(source / "x.parquet")


def test_a_path_that_is_missing_is_named_with_its_row(tmp_path: Path) -> None:
    images = pa.array([{"bytes": None, "path": "gone.png"}], IMAGE)
    pq.write_table(pa.table({"image": images, "label": [0]}), tmp_path / "x.parquet")
    with pytest.raises(UserError, match=r"row 0 of x\.parquet names the file 'gone\.png'; .*No such file"):
        read_images(tmp_path)


@pytest.mark.parametrize("name", ["../x.png", "/x.png"])
def test_tables_may_not_name_files_outside(tmp_path: Path, name: str) -> None:
    write_folder(tmp_path / "source", {"1.png": b"1"})
    (tmp_path / "t.csv").write_text(f"file,label\n1.png,a\n{name},b\n")
    with pytest.raises(UserError, match=rf"line 3 of .*t\.csv names '{name}', which lies outside"):
        read_images(tmp_path / "source", str(tmp_path / "t.csv"))
    (tmp_path / "t.json").write_text(json.dumps({name: "b"}))
    with pytest.raises(UserError, match=rf"t\.json names '{name}', which lies outside"):
        read_images(tmp_path / "source", str(tmp_path / "t.json"))


@pytest.mark.parametrize("writer", [write_tar, write_zip])
@pytest.mark.parametrize("name", ["../x.png", "/x.png", "cat/../../x.png"])
def test_members_of_archives_may_not_lead_out(tmp_path: Path, writer: Any, name: str) -> None:
    path = writer(tmp_path / f"x.{'tar' if writer is write_tar else 'zip'}", {"cat/1.png": b"1", name: b"2"})
    with pytest.raises(UserError, match=r"a member of x\.(tar|zip) names '.*x\.png', which lies outside"):
        annotated(path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_in_tar_files(tmp_path: Path, kind: bytes) -> None:
    def write(target: str) -> Path:
        with tarfile.open(tmp_path / "x.tar", "w") as tar:
            file, link = tarfile.TarInfo("cat/1.png"), tarfile.TarInfo("cat/2.png")
            file.size, link.type, link.linkname = 1, kind, target
            tar.addfile(file, io.BytesIO(b"1"))
            tar.addfile(link)
        return tmp_path / "x.tar"

    assert annotated(write("1.png" if kind == tarfile.SYMTYPE else "cat/1.png")) == [("cat", None, b"1")]
    with pytest.raises(UserError, match=r"the link cat/2\.png in x\.tar names '.*passwd', which lies outside"):
        annotated(write("/etc/passwd"))
    with pytest.raises(UserError, match=r"the link cat/2\.png in x\.tar names"):
        annotated(write("../../passwd"))


def test_links_in_zip_files(tmp_path: Path) -> None:
    def write(target: str) -> Path:
        link = zipfile.ZipInfo("cat/2.png")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
            file.writestr("cat/1.png", b"1")
            file.writestr(link, target)
        return tmp_path / "x.zip"

    assert annotated(write("1.png")) == [("cat", None, b"1")]
    with pytest.raises(UserError, match=r"the link cat/2\.png in x\.zip names '\.\./passwd', which lies outside"):
        annotated(write("../../passwd"))


@pytest.mark.parametrize("what", ["file", "folder", "archive"])
def test_symbolic_links_out_of_a_folder_are_refused(tmp_path: Path, what: str) -> None:
    outside = write_folder(tmp_path / "outside", {"1.png": b"secret"})
    source = write_folder(tmp_path / "source", {"cat/1.png": b"1"} if what != "archive" else {})
    source.mkdir(exist_ok=True)
    if what == "file":
        (source / "cat" / "link.png").symlink_to(outside / "1.png")
    elif what == "folder":
        (source / "link").symlink_to(outside)
    else:
        (source / "link.tar").symlink_to(write_tar(outside / "x.tar", {"cat/1.png": b"1"}))
    with pytest.raises(UserError, match=r"the link .*source/.*link.* leads to .* outside of index\.source"):
        annotated(source)


def test_links_inside_a_folder_are_followed_and_a_loop_is_refused(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "source", {"pool/1.png": b"1", "cat/0.png": b"0"})
    (source / "cat" / "1.png").symlink_to("../pool/1.png")
    assert annotated(source) == [("cat", None, b"0"), ("cat", None, b"1"), ("pool", None, b"1")]
    (source / "cat" / "again").symlink_to("..")
    with pytest.raises(UserError, match=r"the link .*source/cat/again leads back to a folder around it"):
        annotated(source)


@pytest.mark.parametrize("target", ["2.png", "../.git/annex/2.png"])
def test_a_link_to_nothing_is_named(tmp_path: Path, target: str) -> None:
    source = write_folder(tmp_path / "source", {"cat/1.png": b"1"})
    (source / "cat" / "link.png").symlink_to(target)
    with pytest.raises(
        UserError, match=r"source/cat/link\.png leads to .*2\.png, which does not exist; remove it, or fetch"
    ):
        annotated(source)


def test_a_link_that_replaces_an_indexed_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    source = write_folder(tmp_path / "source", {"cat/1.png": b"1"})
    opened = open_source(str(source))
    (source / "cat" / "1.png").unlink()
    (source / "cat" / "1.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(UserError, match="leads to"):
        list(opened.read(["cat/1.png"]))


def test_the_source_itself_may_be_a_link(tmp_path: Path) -> None:
    write_folder(tmp_path / "real", {"cat/1.png": b"1"})
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert annotated(tmp_path / "link") == [("cat", None, b"1")]


def odd_files(odd: str) -> dict[str, dict[str, bytes]]:
    """Images in folders, tar and zip files with a name that holds odd characters everywhere."""
    members = {f"{odd}/{odd}-1.png": b"1", f"{odd}/{odd}-2.png": b"22"}
    return {"folder": members, f"tar/{odd}/{odd}.tar": members, f"zip/{odd}/{odd}.zip": members}


@pytest.mark.parametrize("odd", ODD)
def test_odd_characters_in_names(tmp_path: Path, odd: str) -> None:
    for name, members in odd_files(odd).items():
        root = name.partition("/")[0]
        if root == "folder":
            write_folder(tmp_path / root, members)
        else:
            (write_tar if root == "tar" else write_zip)(tmp_path / name, members)
        assert annotated(tmp_path / root, "folders") == [(odd, None, b"1"), (odd, None, b"22")]
    (tmp_path / "parquet" / odd).mkdir(parents=True)
    pq.write_table(pa.table({"img": [b"x", b"y"], "label": [0, 1]}), tmp_path / "parquet" / odd / f"{odd}.parquet")
    assert [content for *_, content in annotated(tmp_path / "parquet")] == [b"x", b"y"]


@pytest.mark.parametrize(
    "odd", [odd for odd in ODD if "\n" not in odd]
)  # moto's router knows no key with a newline: see below
def test_odd_characters_in_keys(bucket: Any, tmp_path: Path, odd: str) -> None:
    prefix = f"odd/{tmp_path.name}"
    for name, members in odd_files(odd).items():
        root = name.partition("/")[0]
        if root == "folder":
            for member, content in members.items():
                bucket.put_object(Bucket=BUCKET, Key=f"{prefix}/folder/{member}", Body=content)
        else:
            path = (write_tar if root == "tar" else write_zip)(tmp_path / name, members)
            bucket.put_object(Bucket=BUCKET, Key=f"{prefix}/{name}", Body=path.read_bytes())
        assert annotated(f"s3://{BUCKET}/{prefix}/{root}", "folders") == [(odd, None, b"1"), (odd, None, b"22")]


def test_keys_that_lead_out_are_refused() -> None:
    with pytest.raises(UserError, match=r"index\.source s3://pets names 'cat/\.\./\.\./x\.png', which lies outside"):
        Links("s3://pets").check("cat/../../x.png")


@pytest.mark.parametrize("root", ["folder", "tar", "zip"])
def test_newlines_in_keys(tmp_path: Path, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = "two\nlines\r"
    name, members = next(item for item in odd_files(odd).items() if item[0].partition("/")[0] == root)
    if root == "folder":
        objects = {f"odd/folder/{member}": content for member, content in members.items()}
    else:
        objects = {f"odd/{name}": (write_tar if root == "tar" else write_zip)(tmp_path / "x", members).read_bytes()}
    with newline_server.serving(objects, monkeypatch):
        images = annotated(f"s3://{newline_server.BUCKET}/odd/{root}", "folders")
    assert images == [(odd, None, b"1"), (odd, None, b"22")]

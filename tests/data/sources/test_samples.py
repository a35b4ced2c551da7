"""WebDataset samples: keys end at the first dot, one image each, and labels that are labels."""

from pathlib import Path
from typing import Any

import pytest

from rectok.data.sources.labels import open_labels
from rectok.data.sources.opening import open_source
from rectok.errors import UserError
from tests.data.sources.small_sources import annotated, write_tar, write_zip

PAIR = {"1.jpg": b"a", "1.seg.png": b"-", "1.cls": b"7", "2.cls": b"8", "2.seg.png": b"-", "2.jpg": b"b"}


def chosen(source: Path, image: str, setting: str = "auto") -> list[tuple[str, bytes]]:
    with open_labels(setting) as labels:
        return [(each.label, each.read()) for each in open_source(str(source), image).images(labels)]


@pytest.mark.parametrize("members", [PAIR, {name: content for name, content in PAIR.items() if "cls" not in name}])
@pytest.mark.parametrize("setting", ["auto", "none"])
def test_one_of_several_images_is_named_by_its_extension(
    tmp_path: Path, members: dict[str, bytes], setting: str
) -> None:
    path = write_tar(tmp_path / "x.tar", members)
    with pytest.raises(UserError, match=r"sample 1 in x\.tar has 2 images.* \(jpg, seg\.png\); .* in index\.image"):
        chosen(path, "", setting)
    with pytest.raises(
        UserError, match=r"sample 1 in x\.tar has 0 images \.webp, as index\.image asks; it has jpg, seg\.png"
    ):
        chosen(path, "webp", setting)
    if setting == "none":
        assert chosen(path, "jpg", setting) == [("unlabelled", b"a"), ("unlabelled", b"b")]
    elif members is PAIR:
        assert chosen(path, "JPG") == [("7", b"a"), ("8", b"b")]
        assert chosen(path, "seg.png") == [("7", b"-"), ("8", b"-")]


def test_other_data_of_a_sample_are_no_second_image(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", {"1.npy": b"-", "1.jpg": b"a", "1.cls": b"7", "1.txt": b"a cat"})
    assert annotated(path) == [("7", None, b"a")]


@pytest.mark.parametrize("writer", [write_tar, write_zip])
def test_keys_end_at_the_first_dot(tmp_path: Path, writer: Any) -> None:
    kind = "tar" if writer is write_tar else "zip"
    path = writer(tmp_path / f"x.{kind}", {"22.00.png": b"a", "22.00.cls": b"0", "22.01.png": b"b", "22.01.cls": b"1"})
    with pytest.raises(UserError, match=r"cuts names at the first dot, so 22\.00\.cls in x\..* labels no image"):
        annotated(path)
    path = writer(tmp_path / f"y.{kind}", {"22.00.png": b"a", "22.00.json": b'{"label": 1}'})
    with pytest.raises(UserError, match=r"has no image with a label; .* first dot, so a file such as 22\.00\.json"):
        annotated(path)
    path = writer(
        tmp_path / f"z.{kind}", {"a.b/1.png": b"a", "a.b/1.cls": b"0", "v1.2/c.png": b"b", "v1.2/c.cls": b"1"}
    )
    assert annotated(path) == [("0", None, b"a"), ("1", None, b"b")]  # dots of folders do not count


@pytest.mark.parametrize(
    "labels,expected",
    [
        ((b"000", b"0\n"), "0"),
        ((b"007", b" 7 "), "7"),
        ((b"cat", b"cat\n"), "cat"),
        ((b"\xef\xbb\xbf1", b"1"), "1"),
        ((b"9" * 5000, b"9" * 5000), "9" * 5000),
    ],
)
def test_numbers_in_cls_files_are_numbers(tmp_path: Path, labels: tuple[bytes, bytes], expected: str) -> None:
    members = {"1.png": b"a", "1.cls": labels[0], "2.png": b"b", "2.cls": labels[1]}
    assert [label for label, *_ in annotated(write_tar(tmp_path / "x.tar", members))] == [expected, expected]


@pytest.mark.parametrize(
    "content,problem",
    [(b"", "holds no label"), (b" \n", "holds no label"), (b"-1", "holds no label"), (b"nan", "holds no label"),
     ("\u200b".encode(), "holds no label"), (b"1\0", r"holds '1\\x00', which is no text"),
     (b"\1" + bytes(7), "holds .*, which is no text"), (b"\xff\xfe", "is no text in UTF-8"),
     (b"\x80\x04K\x01.", "is no text in UTF-8")],
)  # fmt: skip
def test_a_cls_file_of_no_use_is_named(tmp_path: Path, content: bytes, problem: str) -> None:
    path = write_tar(tmp_path / "x.tar", {"one.png": b"a", "one.cls": content})
    with pytest.raises(UserError, match=rf"one\.cls \(sample one in x\.tar\) {problem}"):
        annotated(path)


@pytest.mark.parametrize("value", ["null", "NaN", "-1", '""', '"\\u0000"', "[0, 1]", "1.5", "true", "{}", "Infinity"])
def test_a_json_label_of_no_use_is_named(tmp_path: Path, value: str) -> None:
    path = write_tar(tmp_path / "x.tar", {"one.png": b"a", "one.json": b'{"label": %s}' % value.encode()})
    for setting in ("auto", "column:label"):
        with pytest.raises(UserError, match=r"one\.json in x\.tar has the label .*; it must be text or a whole number"):
            annotated(path, setting)


def test_hidden_companions_do_not_split_a_sample(tmp_path: Path) -> None:
    members = {
        "1.png": b"a",
        "._1.png": b"-",
        "__MACOSX/._1.png": b"-",
        "1.cls": b"7",
        "._1.cls": b"-",
        ".DS_Store": b"-",
    }
    assert annotated(write_tar(tmp_path / "x.tar", members)) == [("7", None, b"a")]


@pytest.mark.parametrize("writer", [write_tar, write_zip])
@pytest.mark.parametrize("again", ["cat/1.png", "./cat/1.png", "cat//1.png", "cat/./1.png"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(tmp_path: Path, writer: Any, again: str) -> None:
    class Twice(dict[str, bytes]):
        def items(self) -> Any:
            return [("cat/1.png", b"1"), ("dog/1.png", b"2"), (again, b"3")]

    path = writer(tmp_path / f"x.{'tar' if writer is write_tar else 'zip'}", Twice())
    with pytest.raises(UserError, match=r"x\.(tar|zip) holds two files called cat/1\.png"):
        annotated(path)


def test_img2datasets_archives_are_unlabelled(tmp_path: Path) -> None:
    for part in ("00000", "00001"):
        members = {f"{part}{n}.{kind}": b'{"caption": "x"}' for n in (0, 1) for kind in ("jpg", "txt", "json")}
        write_tar(tmp_path / f"{part}.tar", members)
        (tmp_path / f"{part}.parquet").write_bytes(b"-")
        (tmp_path / f"{part}_stats.json").write_text("{}")
    assert [label for label, *_ in annotated(tmp_path, "none")] == ["unlabelled"] * 4
    with pytest.raises(UserError, match=r"00000\.tar holds images without a label, .* set index\.labels to none"):
        annotated(tmp_path)

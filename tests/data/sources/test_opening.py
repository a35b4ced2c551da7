from pathlib import Path

import pytest

from rectok.data.sources.image_files import ImageFiles
from rectok.data.sources.opening import is_local, open_source
from rectok.errors import UserError


def test_a_missing_path_is_named_with_what_is_possible(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"index\.source .*/none does not exist; it can be sklearn:digits, a folder or s3:// prefix"
    ):
        open_source(str(tmp_path / "none"))


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").touch()
    with pytest.raises(UserError, match=r"x\.csv is a file of an unknown kind"):
        open_source(str(tmp_path / "x.csv"))


def test_a_folder_without_tables_or_tars_holds_image_files(tmp_path: Path) -> None:
    assert isinstance(open_source(str(tmp_path)), ImageFiles)


@pytest.mark.parametrize("source,local", [("sklearn:digits", False), ("s3://a/b", False), ("data/raw", True)])
def test_what_lies_on_this_machine(source: str, local: bool) -> None:
    assert is_local(source) is local

import pytest

from rectok.data.sources.image_source import Place, place_of, split_in


@pytest.mark.parametrize(
    "name,place",
    [
        ("cat/1.png", Place("cat", None)),
        ("cat/deep/1.png", Place("cat", None)),
        ("Train/cat/1.png", Place("cat", "train")),
        ("valid/cat/deep/1.png", Place("cat", "val")),
        ("train/1.png", Place("train", None)),
        ("1.png", None),
        ("cat/.DS_Store", None),
    ],
)
def test_a_path_tells_label_and_split(name: str, place: Place | None) -> None:
    assert place_of(name) == place


@pytest.mark.parametrize(
    "name,split",
    [
        ("train-00000-of-00002.parquet", "train"),
        ("cifar10-test.parquet", "test"),
        ("data/validation-0.parquet", "val"),
        ("validation/0000.parquet", "val"),
        ("contest.parquet", None),
        ("0000.parquet", None),
    ],
)
def test_a_file_name_tells_its_split(name: str, split: str | None) -> None:
    assert split_in(name) == split

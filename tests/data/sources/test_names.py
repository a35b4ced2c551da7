import pytest

from rectok.data.sources.names import Annotation, annotation_in, split_in


@pytest.mark.parametrize(
    "name,annotation",
    [
        ("cat/1.png", Annotation("cat", None)),
        ("cat/deep/1.png", Annotation("cat", None)),
        ("Train/cat/1.png", Annotation("cat", "train")),
        ("valid/cat/deep/1.png", Annotation("cat", "val")),
        ("train/1.png", Annotation("train", None)),
        ("1.png", None),
        ("cat/.DS_Store", None),
    ],
)
def test_a_path_names_label_and_split(name: str, annotation: Annotation | None) -> None:
    assert annotation_in(name) == annotation


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
def test_a_file_name_names_its_split(name: str, split: str | None) -> None:
    assert split_in(name) == split

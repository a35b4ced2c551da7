"""Tables and folders on this machine."""

from pathlib import Path

from rectok.doctor.local_paths import folders, labels
from tests.doctor.diagnoses import statuses
from tests.project import tiny as params


def test_a_local_table_of_labels_is_read(folder: Path) -> None:
    assert list(labels(params())) == list(labels(params(index__labels="s3://a/b.csv"))) == []
    [gone] = labels(params(index__labels="labels.csv"))
    assert (gone.status, gone.detail) == ("FAIL", "labels.csv cannot be read: No such file or directory")
    (folder / "labels.csv").touch()
    assert statuses(labels(params(index__labels="labels.csv"))) == {"index.labels": "OK"}


def test_local_folders_are_written_and_left_as_they_were(folder: Path) -> None:
    (folder / "there").mkdir()
    (folder / "file").touch()
    diagnoses = list(
        folders(params(storage__shards="there", storage__checkpoints="file/deep", storage__nightly="not/yet/made"))
    )
    assert statuses(diagnoses) == {"storage.shards": "OK", "storage.checkpoints": "FAIL", "storage.nightly": "OK"}
    assert diagnoses[1].detail == "file/deep cannot be written: Not a directory"
    assert diagnoses[1].remedy.endswith("or change storage.checkpoints")
    assert sorted(path.name for path in folder.rglob("*")) == ["file", "there"]


def test_outputs_in_buckets_are_no_folders() -> None:
    assert list(folders(params(storage__shards="s3://a/b"))) == []

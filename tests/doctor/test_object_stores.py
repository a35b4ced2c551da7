"""Object stores: credentials, what answers, what can be read, and what can be written."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest

from rectok.doctor.diagnosis import Diagnosis
from rectok.doctor.object_stores import credentials
from rectok.params import Params
from tests.doctor.diagnoses import statuses
from tests.project import tiny as params
from tests.storage.server import BUCKET, running

PREFIX = f"s3://{BUCKET}/project"
EVERYWHERE = {f"storage__{name}": f"{PREFIX}/{name}" for name in ("shards", "checkpoints", "nightly")}
READ = ("s3:ListBucket", "s3:GetObject")


@pytest.fixture
def client(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with running(monkeypatch) as s3:
        yield s3


@contextmanager
def allowed(client: Any, patch: pytest.MonkeyPatch, *actions: str) -> Iterator[None]:
    """Inside, the credentials allow `actions` only."""
    iam = boto3.client("iam")
    iam.create_user(UserName="reader")
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="reader", PolicyName="few", PolicyDocument=policy)
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    with patch.context() as inside:
        inside.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        inside.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        inside.setattr(boto3, "DEFAULT_SESSION", None)
        _unchecked_requests(client, "0")
        try:
            yield
        finally:
            _unchecked_requests(client, "inf")


def _unchecked_requests(client: Any, requests: str) -> None:
    """Set how many further requests the server answers without a check of permissions."""
    where, kind = f"{client.meta.endpoint_url}/moto-api/reset-auth", {"Content-Type": "text/plain"}
    urlopen(Request(where, requests.encode(), kind, method="POST")).close()


def diagnoses(parameters: Params) -> dict[str, Diagnosis]:
    return {diagnosis.name: diagnosis for diagnosis in credentials(parameters)}


def keys(client: Any) -> list[str]:
    return [each["Key"] for each in client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def test_no_object_store_needs_no_credentials(repository: Path) -> None:
    assert statuses(credentials(params())) == {"credentials": "OK"}


def test_missing_credentials_are_noticed_for_a_source_and_for_a_remote(repository: Path) -> None:
    source = params(index__source=f"s3://{BUCKET}/images")
    assert statuses(credentials(source)) == {"credentials": "FAIL"}
    subprocess.run(("dvc", "remote", "add", "-d", "store", f"s3://{BUCKET}/cache"), check=True, capture_output=True)
    [diagnosis] = credentials(params())
    assert diagnosis.status == "FAIL" and "remote store" in diagnosis.detail and "AWS_ACCESS_KEY_ID" in diagnosis.remedy


def test_addresses_are_listed(client: Any) -> None:
    client.put_object(Bucket=BUCKET, Key="images/a/1.png", Body=b"x")
    full, elsewhere, empty = (f"s3://{name}" for name in (f"{BUCKET}/images", "no-bucket/x", f"{BUCKET}/none"))
    for source, status in ((full, "OK"), (elsewhere, "FAIL"), (empty, "FAIL")):
        status_of = statuses(credentials(params(index__source=source)))
        assert status_of == {"credentials": "OK", "s3 index.source": status}


def test_a_table_of_labels_is_read(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = params(index__source=f"s3://{BUCKET}/images", index__labels=f"s3://{BUCKET}/labels.csv")
    client.put_object(Bucket=BUCKET, Key="labels.csv.old", Body=b"file,label\n")
    gone = diagnoses(parameters)["s3 index.labels"]
    assert gone.status == "FAIL" and f"s3://{BUCKET}/labels.csv: " in gone.detail and "NoSuchKey" in gone.detail
    client.put_object(Bucket=BUCKET, Key="labels.csv", Body=b"")
    assert diagnoses(parameters)["s3 index.labels"].status == "OK"
    with allowed(client, monkeypatch, "s3:ListBucket"):
        assert diagnoses(parameters)["s3 index.labels"].status == "FAIL"


def test_outputs_are_written_and_left_as_they_were(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client.put_object(Bucket=BUCKET, Key="project/shards/1.tar", Body=b"x")
    assert {name for name, diagnosis in diagnoses(params(**EVERYWHERE)).items() if diagnosis.status == "OK"} == {
        "credentials", "s3 storage.shards", "s3 storage.checkpoints", "s3 storage.nightly",
    }  # fmt: skip
    assert keys(client) == ["project/shards/1.tar"]
    with allowed(client, monkeypatch, *READ, "s3:PutObject", "s3:DeleteObject"):
        assert set(statuses(credentials(params(**EVERYWHERE))).values()) == {"OK"}


def test_a_key_that_may_only_read_is_noticed(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with allowed(client, monkeypatch, *READ):
        for name in ("shards", "checkpoints", "nightly"):
            diagnosis = diagnoses(params(**EVERYWHERE))[f"s3 storage.{name}"]
            assert diagnosis.status == ("WARN" if name == "shards" else "FAIL")
            assert f"{PREFIX}/{name} cannot be written: " in diagnosis.detail
            assert "AccessDenied" in diagnosis.detail and "put, get and delete objects" in diagnosis.remedy


def test_an_object_whose_head_cannot_be_read_is_removed_all_the_same(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with allowed(client, monkeypatch, "s3:ListBucket", "s3:PutObject", "s3:DeleteObject"):
        assert diagnoses(params(storage__shards=PREFIX))["s3 storage.shards"].status == "WARN"
    assert keys(client) == []


def test_an_object_that_cannot_be_removed_is_named(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with allowed(client, monkeypatch, *READ, "s3:PutObject"):
        diagnosis = diagnoses(params(storage__nightly=PREFIX))["s3 storage.nightly"]
    [leftover] = keys(client)
    assert diagnosis.status == "FAIL"
    assert f"s3://{BUCKET}/{leftover} was written, but cannot be removed" in diagnosis.detail

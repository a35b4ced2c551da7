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
from tests.doctor.diagnoses import params, statuses
from tests.storage.server import BUCKET, running

PLACE = f"s3://{BUCKET}/project"
EVERYWHERE = {f"storage__{name}": f"{PLACE}/{name}" for name in ("shards", "checkpoints", "nightly")}
READ = ("s3:ListBucket", "s3:GetObject")


@contextmanager
def allowed(client: Any, patch: pytest.MonkeyPatch, *actions: str) -> Iterator[None]:
    """Whoever asks the server in there has a key with the rights for `actions` alone."""
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
        _let_pass(client, "0")
        try:
            yield
        finally:
            _let_pass(client, "inf")


def _let_pass(client: Any, requests: str) -> None:
    """How many further requests the server answers without looking at their rights."""
    where, kind = f"{client.meta.endpoint_url}/moto-api/reset-auth", {"Content-Type": "text/plain"}
    urlopen(Request(where, requests.encode(), kind, method="POST")).close()


def found(asked: Params) -> dict[str, Diagnosis]:
    return {finding.name: finding for finding in credentials(asked)}


def keys(client: Any) -> list[str]:
    return [each["Key"] for each in client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def test_no_object_store_needs_no_credentials(repository: Path) -> None:
    assert statuses(credentials(params())) == {"credentials": "OK"}


def test_missing_credentials_are_noticed_for_a_source_and_for_a_remote(repository: Path) -> None:
    source = params(index__source=f"s3://{BUCKET}/images")
    assert statuses(credentials(source)) == {"credentials": "FAIL"}
    subprocess.run(("dvc", "remote", "add", "-d", "store", f"s3://{BUCKET}/cache"), check=True, capture_output=True)
    [finding] = credentials(params())
    assert finding.status == "FAIL" and "remote store" in finding.detail and "AWS_ACCESS_KEY_ID" in finding.remedy


def test_addresses_are_asked(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(monkeypatch) as client:
        client.put_object(Bucket=BUCKET, Key="images/a/1.png", Body=b"x")
        there, elsewhere, empty = (f"s3://{name}" for name in (f"{BUCKET}/images", "no-bucket/x", f"{BUCKET}/none"))
        for source, status in ((there, "OK"), (elsewhere, "FAIL"), (empty, "FAIL")):
            asked = statuses(credentials(params(index__source=source)))
            assert asked == {"credentials": "OK", "s3 index.source": status}


def test_a_table_of_labels_is_read(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = params(index__source=f"s3://{BUCKET}/images", index__labels=f"s3://{BUCKET}/labels.csv")
    with running(monkeypatch) as client:
        client.put_object(Bucket=BUCKET, Key="labels.csv.old", Body=b"file,label\n")
        gone = found(asked)["s3 index.labels"]
        assert gone.status == "FAIL" and f"s3://{BUCKET}/labels.csv: " in gone.detail and "NoSuchKey" in gone.detail
        client.put_object(Bucket=BUCKET, Key="labels.csv", Body=b"")
        assert found(asked)["s3 index.labels"].status == "OK"
        with allowed(client, monkeypatch, "s3:ListBucket"):
            assert found(asked)["s3 index.labels"].status == "FAIL"


def test_places_are_written_and_left_as_they_were(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(monkeypatch) as client:
        client.put_object(Bucket=BUCKET, Key="project/shards/1.tar", Body=b"x")
        assert {name for name, finding in found(params(**EVERYWHERE)).items() if finding.status == "OK"} == {
            "credentials", "s3 storage.shards", "s3 storage.checkpoints", "s3 storage.nightly",
        }  # fmt: skip
        assert keys(client) == ["project/shards/1.tar"]
        with allowed(client, monkeypatch, *READ, "s3:PutObject", "s3:DeleteObject"):
            assert set(statuses(credentials(params(**EVERYWHERE))).values()) == {"OK"}


def test_a_key_that_may_only_read_is_noticed(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(monkeypatch) as client, allowed(client, monkeypatch, *READ):
        for name in ("shards", "checkpoints", "nightly"):
            finding = found(params(**EVERYWHERE))[f"s3 storage.{name}"]
            assert (
                finding.status == ("WARN" if name == "shards" else "FAIL")
                and f"{PLACE}/{name} cannot be written: " in finding.detail
            )
            assert "AccessDenied" in finding.detail and "put, get and delete objects" in finding.remedy


def test_what_cannot_be_looked_at_again_is_removed_all_the_same(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(monkeypatch) as client:
        with allowed(client, monkeypatch, "s3:ListBucket", "s3:PutObject", "s3:DeleteObject"):
            assert found(params(storage__shards=PLACE))["s3 storage.shards"].status == "WARN"
        assert keys(client) == []


def test_a_key_that_may_not_remove_is_told_what_it_left(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(monkeypatch) as client:
        with allowed(client, monkeypatch, *READ, "s3:PutObject"):
            finding = found(params(storage__nightly=PLACE))["s3 storage.nightly"]
        [left] = keys(client)
    assert finding.status == "FAIL" and f"s3://{BUCKET}/{left} was written, but cannot be removed" in finding.detail

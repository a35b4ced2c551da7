"""A real S3 server behind a proxy that fails: every fault ends in success after another attempt, or in one sentence."""

import base64
import gc
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from rectok.errors import UserError
from rectok.storage import client, objects, s3
from rectok.storage.client import forget_client
from rectok.storage.objects import Ranges, fetch, list_files, open_binary, publish, read_bytes
from rectok.storage.s3 import current_version
from tests.errors import user_error
from tests.storage.proxy import Fault, FaultKind, FaultyStore
from tests.storage.server import BUCKET
from tests.storage.test_objects import CONTENT, DIGEST

URI = f"s3://{BUCKET}/faults/a"
ALWAYS = 1000


@pytest.fixture(autouse=True)
def _one_object(store: FaultyStore) -> None:
    store.proxy.spoil()
    put(store, CONTENT)


def put(store: FaultyStore, content: bytes) -> None:
    store.server.put_object(Bucket=BUCKET, Key="faults/a", Body=content)


@pytest.mark.parametrize("kind", ["503", "dropped", "cut", "stall", "drip", "truncated"])
def test_a_passing_fault_is_survived_wherever_bytes_are_read(
    store: FaultyStore, kind: FaultKind, tmp_path: Path
) -> None:
    faulty = Fault(kind, where="/faults/a")
    store.proxy.spoil(faulty)
    ranges = Ranges(URI, len(CONTENT))
    assert ranges.read(5, 1000) == CONTENT[5:1005]
    assert faulty.times == 0, "the fault did not happen"
    store.proxy.spoil(Fault(kind, where="/faults/a"))
    fetch(URI, DIGEST, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == CONTENT
    if kind != "truncated":  # without a range only the hash, which every caller checks, shows that bytes are missing
        store.proxy.spoil(Fault(kind, where="/faults/a"))
        assert read_bytes(URI) == CONTENT


@pytest.mark.parametrize("kind", ["503", "cut", "drip"])
def test_so_it_is_where_one_signature_serves_many_reads(
    store: FaultyStore, kind: FaultKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rectok.storage.objects.SMALL", 0)
    forget_client()
    ranges = Ranges(URI, len(CONTENT), often=True)
    assert [ranges.read(0, 10), ranges.read(0, 0)] == [CONTENT[:10], b""]
    assert all("Signature=" in request for request in store.proxy.requests if request.startswith("GET"))
    faulty = Fault(kind, where="/faults/a")
    store.proxy.spoil(faulty)
    assert ranges.read(5, 1000) == CONTENT[5:1005]
    assert faulty.times == 0, "the fault did not happen"
    asked = len(store.proxy.requests)
    assert ranges.read(7, 10) == CONTENT[7:17]
    assert ["Signature=" in request for request in store.proxy.requests[asked:]] == [False], (
        "it was tried again at once"
    )
    put(store, CONTENT[::-1])
    with pytest.raises(UserError, match=f"^{URI} cannot be read: it changed while it was read"):
        ranges.read(5, 1000)


def test_a_small_object_that_is_read_often_is_read_once(store: FaultyStore) -> None:
    ranges = Ranges(URI, len(CONTENT), often=True)
    assert not ranges.here and [ranges.read(n, 10) for n in range(9)] == [CONTENT[n : n + 10] for n in range(9)]
    assert ranges.here and [request[:3] for request in store.proxy.requests] == ["HEA", "GET"]


def test_small_objects_are_held_as_far_as_there_is_memory(store: FaultyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects._memory, "free", len(CONTENT) + 1)
    first, second = (Ranges(URI, len(CONTENT), often=True) for _ in range(2))
    assert [each.read(7, 10) for each in (first, second)] == 2 * [CONTENT[7:17]]
    assert (first.here, second.here) == (True, False)
    del first
    gc.collect()
    assert objects._memory.free == len(CONTENT) + 1
    store.proxy.spoil(Fault("503", times=ALWAYS))
    with pytest.raises(UserError):
        Ranges(URI, len(CONTENT), often=True).read(7, 10)
    assert objects._memory.free == len(CONTENT) + 1


@pytest.mark.parametrize(
    ("kind", "use"),
    [
        ("crawl", lambda: current_version(URI)),
        ("crawl", lambda: Ranges(URI, len(CONTENT)).read(5, 1000)),
        ("crawl", lambda: list(list_files(f"s3://{BUCKET}/faults"))),
        ("drip", lambda: list(list_files(f"s3://{BUCKET}/faults"))),
    ],
)
def test_heads_and_listings_that_drip_are_given_up(
    store: FaultyStore, kind: FaultKind, use: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rectok.storage.client.CONNECT_TIMEOUT", 0.1)
    monkeypatch.setattr("rectok.storage.client.ATTEMPTS", 2)
    expected = use()
    for method in ("HEAD", "GET"):
        store.proxy.spoil(Fault(kind, method, times=1))
        assert use() == expected
    store.proxy.spoil(*(Fault(kind, method, times=ALWAYS) for method in ("HEAD", "GET")))
    with user_error("its answer was not whole after 0 s"):
        use()


@pytest.mark.parametrize(
    "kind,message",
    [
        ("503", "Reduce your request rate"),
        ("dropped", "Connection was closed before we received a valid response"),
        ("cut", "the answer broke off"),
        ("stall", "the answer broke off"),
        ("drip", r"\d+ of 1000 bytes came in 0 s"),
        ("truncated", "the answer holds 500 bytes in place of 1000"),
        ("expired", "the credentials have expired; renew them and run the command again"),
    ],
)
def test_a_lasting_fault_is_one_sentence(store: FaultyStore, kind: FaultKind, message: str, tmp_path: Path) -> None:
    ranges = Ranges(URI)
    ranges.read(0, 1)
    store.proxy.spoil(Fault(kind, where="/faults/a", times=ALWAYS))
    with pytest.raises(UserError, match=f"^{URI} cannot be read: .*{message}"):
        ranges.read(0, 1000)
    assert len(store.proxy.requests) <= client.ATTEMPTS
    (tmp_path / "copy").write_bytes(b"old")
    with pytest.raises(UserError, match=f"^{URI} "):
        fetch(URI, DIGEST, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # botocore drops such an answer unclosed
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "fault,message",
    [
        (Fault("untagged"), "the store's answer has no ETag"),
        (Fault("moved"), "the store redirects in a circle|Temporary Redirect"),
        (Fault("length", announced="x"), r"the store's answer is not valid \(.*'x'\)"),
        (Fault("length", announced="-5"), "a length of -5 bytes|total bytes expected is -5"),
        (Fault("length", announced="0"), "lengths of 0 and of 2097152 bytes|the answer holds 0 bytes in place of"),
        (Fault("length", announced="7"), "lengths of 7 and of 2097152 bytes|the answer holds 7 bytes in place of"),
        (Fault("length", announced="1" + "0" * 18), "bytes"),
        (Fault("length", announced="1" + "0" * 30), "bytes"),
    ],
    ids=["untagged", "moved", "no-number", "negative", "empty", "short", "large", "larger"],
)
def test_an_answer_that_is_no_valid_s3_is_one_sentence(
    store: FaultyStore, fault: Fault, message: str, method: str
) -> None:
    store.proxy.spoil(replace(fault, method=method, times=ALWAYS))
    if (fault.kind, method) == ("untagged", "GET"):  # the version comes from HEAD
        assert Ranges(URI).read(0, 1000) == CONTENT[:1000]
        return
    with pytest.raises(UserError, match=f"^{URI} cannot be read: .*({message})"):
        Ranges(URI).read(0, 1000)
    if method == "HEAD":
        with pytest.raises(UserError, match=f"^{URI} cannot be read: .*({message})"), open_binary(URI) as file:
            file.read()
    gc.collect()


@pytest.mark.parametrize("status", ["301", "307"])
def test_a_bucket_in_another_region_is_followed_once(store: FaultyStore, status: str) -> None:
    store.proxy.spoil(
        Fault("region", announced=status, times=ALWAYS), Fault("region", "HEAD", announced=status, times=ALWAYS)
    )
    assert read_bytes(URI) == CONTENT
    asked = len(store.proxy.requests)
    assert asked <= 3  # refused, asked for the region, answered
    assert Ranges(URI).read(5, 1000) == CONTENT[5:1005]
    assert len(store.proxy.requests) == asked + 2, "the region was asked for again"


def test_an_object_without_content_is_an_empty_stream(store: FaultyStore) -> None:
    put(store, b"")
    with open_binary(URI) as file:
        assert file.read() == b""


@pytest.mark.parametrize("kind", ["503", "dropped", "cut", "stall", "truncated"])
def test_a_listing_is_whole_or_refused(store: FaultyStore, kind: FaultKind) -> None:
    names = ["a", *(f"{n:02d}" for n in range(9))]
    for name in names:
        store.server.put_object(Bucket=BUCKET, Key=f"faults/{name}", Body=b"")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "4")
        store.proxy.spoil(Fault(kind, where="continuation-token"))
        assert sorted(file.name for file in list_files(f"s3://{BUCKET}/faults")) == sorted(names)
        store.proxy.spoil(Fault(kind, where="continuation-token", times=ALWAYS))
        with pytest.raises(UserError, match=f"^s3://{BUCKET}/faults/ cannot be listed: "):
            list(list_files(f"s3://{BUCKET}/faults"))


def test_a_listing_without_content_is_not_an_empty_one(store: FaultyStore) -> None:
    store.proxy.spoil(Fault("length", announced="0", times=ALWAYS))
    with pytest.raises(
        UserError, match=r"^s3://images/faults/ cannot be listed: the store's answer has no IsTruncated$"
    ):
        list(list_files(f"s3://{BUCKET}/faults"))
    store.proxy.spoil()
    assert list(list_files(f"s3://{BUCKET}/nothing")) == []


def test_an_object_that_changes_between_two_reads_is_not_mixed(store: FaultyStore) -> None:
    change = partial(put, store, bytes(len(CONTENT)))
    ranges = Ranges(URI, len(CONTENT))
    ranges.read(0, 10)
    change()
    with pytest.raises(UserError, match=f"{URI} cannot be read: it changed while it was read"):
        ranges.read(10, 10)
    put(store, CONTENT)
    with pytest.raises(UserError, match="it changed while it was read"), open_binary(URI) as file:
        file.read(10)
        store.proxy.spoil(Fault("changed", where="/faults/a", change=change))
        file.read()


def test_an_object_that_changes_and_breaks_off_is_not_mixed(store: FaultyStore) -> None:
    ranges = Ranges(URI, len(CONTENT))
    ranges.read(0, 1)
    change = partial(put, store, bytes(len(CONTENT)))
    store.proxy.spoil(Fault("cut", where="/faults/a"), Fault("changed", where="/faults/a", change=change))
    with pytest.raises(UserError, match="it changed while it was read"):
        ranges.read(0, 1000)


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The only file of credentials, still empty."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    path = tmp_path / "credentials"
    path.touch()
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    forget_client()
    yield path
    forget_client()


def test_credentials_that_are_renewed_meanwhile_are_used(store: FaultyStore, credentials: Path) -> None:
    text = "[default]\naws_access_key_id = old\naws_secret_access_key = old\n"
    credentials.write_text(text)
    assert read_bytes(URI) == CONTENT
    credentials.write_text(text.replace("old", "new"))
    store.proxy.spoil(Fault("expired", where="/faults/a"))
    assert read_bytes(URI) == CONTENT
    assert client.client()._request_signer._credentials.access_key == "new"


def test_missing_credentials_are_named(credentials: Path) -> None:
    with pytest.raises(UserError, match="no credentials were found; set AWS_PROFILE, or AWS_ACCESS_KEY_ID"):
        read_bytes(URI)


def test_a_server_that_is_not_there_is_named(store: FaultyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(client, "ATTEMPTS", 1)
    forget_client()
    with pytest.raises(UserError, match=r"no server answers at http://127\.0\.0\.1:9.*; check AWS_ENDPOINT_URL"):
        read_bytes(URI)
    forget_client()


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is sent in three parts."""
    monkeypatch.setattr(s3, "PART", 5 * 2**20)
    path = tmp_path / "large"
    path.write_bytes(bytes(range(256)) * (12 * 2**12))
    return path


@pytest.mark.parametrize("kind", ["503", "dropped"])
def test_parts_are_sent_again_until_the_object_is_whole(store: FaultyStore, large: Path, kind: FaultKind) -> None:
    faulty = Fault(kind, "PUT", "partNumber=2")
    store.proxy.spoil(faulty, Fault(kind, "POST", "uploadId"))
    publish(large, f"s3://{BUCKET}/up/large")
    assert faulty.times == 0
    assert store.server.get_object(Bucket=BUCKET, Key="up/large")["Body"].read() == large.read_bytes()
    head = store.server.head_object(Bucket=BUCKET, Key="up/large", ChecksumMode="ENABLED")
    parts = [hashlib.sha256(large.read_bytes()[start:][: s3.PART]).digest() for start in range(0, 3 * s3.PART, s3.PART)]
    of_parts = base64.b64encode(hashlib.sha256(b"".join(parts)).digest()).decode()
    assert head["ChecksumSHA256"].removesuffix("-3") == of_parts


def test_an_upload_that_arrives_in_half_is_sent_again_or_refused(store: FaultyStore, tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(CONTENT)
    uri = f"s3://{BUCKET}/up/small"
    store.proxy.spoil(Fault("truncated", "PUT"))
    publish(tmp_path / "small", uri)
    assert read_bytes(uri) == CONTENT
    store.proxy.spoil(Fault("truncated", "PUT", times=ALWAYS))
    with pytest.raises(
        UserError, match=f"{uri} cannot be written: {len(CONTENT) // 2} of {len(CONTENT)} bytes arrived"
    ):
        publish(tmp_path / "small", uri)
    with pytest.raises(UserError, match="there is no such object"):
        read_bytes(uri)


def test_an_upload_that_fails_leaves_the_old_object_and_no_parts(store: FaultyStore, large: Path) -> None:
    store.server.put_object(Bucket=BUCKET, Key="up/large", Body=b"old")
    store.proxy.spoil(Fault("503", "PUT", "partNumber=3", ALWAYS))
    with pytest.raises(UserError, match=f"s3://{BUCKET}/up/large cannot be written: .*Reduce your request rate"):
        publish(large, f"s3://{BUCKET}/up/large")
    store.proxy.spoil()
    assert read_bytes(f"s3://{BUCKET}/up/large") == b"old"
    assert "Uploads" not in store.server.list_multipart_uploads(Bucket=BUCKET)


def test_credentials_that_expire_during_an_upload_are_named(store: FaultyStore, large: Path) -> None:
    store.proxy.spoil(Fault("expired", "PUT", "partNumber=2", ALWAYS))
    with pytest.raises(UserError, match="up/new cannot be written: the credentials have expired; renew them"):
        publish(large, f"s3://{BUCKET}/up/new")
    assert "Uploads" not in store.server.list_multipart_uploads(Bucket=BUCKET)


def test_a_file_that_changes_while_it_is_sent_is_not_kept(store: FaultyStore, large: Path) -> None:
    store.proxy.spoil(Fault("changed", "POST", "uploadId", change=lambda: large.write_bytes(b"new")))
    with pytest.raises(UserError, match=f"{large} changed while it was written"):
        publish(large, f"s3://{BUCKET}/up/moving")
    with pytest.raises(UserError, match="there is no such object"):
        read_bytes(f"s3://{BUCKET}/up/moving")

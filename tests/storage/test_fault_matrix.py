"""Every fault of a store × every operation on it: the result is right, or one sentence names the address."""

import os
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rectok.errors import UserError
from rectok.storage.folder import fetch_folder, is_whole, publish_folder, write_list
from rectok.storage.objects import Ranges, fetch, list_files, open_binary, publish, read_bytes, remove, remove_below
from tests.storage.proxy import Fault, FaultyStore
from tests.storage.server import BUCKET
from tests.storage.test_objects import CONTENT, DIGEST

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(
        "ignore::pytest.PytestUnraisableExceptionWarning"
    ),  # botocore drops some answers unclosed
]
PREFIX = f"s3://{BUCKET}/matrix"
URI = f"{PREFIX}/a"
ALWAYS = 1000
LENGTHS = ("x", "-5", "0", "7", "1" + "0" * 18)
FAULTS = [
    *(Fault(kind) for kind in ("503", "cut", "stall", "truncated", "expired", "dropped", "untagged", "moved")),
    *(Fault("length", announced=announced) for announced in LENGTHS),
]
CASES = int(os.environ.get("RECTOK_FAULTS", "25"))
"""How many cases are drawn of about 500; RECTOK_FAULTS=1000 tries all."""
UNSEEN = {("read_bytes", "truncated", "GET")}
"""A whole answer that is cut and announces what is left shows nothing; every caller compares a hash or parses the content."""
Operation = Callable[[Path], object]


def read_stream(_: Path) -> object:
    with open_binary(URI) as file:
        return file.read()


def read_copy(folder: Path) -> object:
    fetch(URI, DIGEST, folder / "copy")
    return (folder / "copy").read_bytes()


def write_and_read(folder: Path) -> object:
    (folder / "new").write_bytes(CONTENT)
    publish(folder / "new", f"{PREFIX}/new")
    return None


def write_folder(folder: Path) -> object:
    publish_folder(made(folder), f"{PREFIX}/up")
    return None


def read_folder(folder: Path) -> object:
    fetch_folder(f"{PREFIX}/down", folder / "down")
    return (folder / "down" / "a").read_bytes()


OPERATIONS: dict[str, tuple[Operation, object]] = {
    "Ranges": (lambda _: Ranges(URI, len(CONTENT)).read(5, 1000), CONTENT[5:1005]),
    "Ranges of any size": (lambda _: Ranges(URI).read(5, 1000), CONTENT[5:1005]),
    "read_bytes": (lambda _: read_bytes(URI), CONTENT),
    "open_binary": (read_stream, CONTENT),
    "fetch": (read_copy, CONTENT),
    "publish": (write_and_read, None),
    "publish_folder": (write_folder, None),
    "fetch_folder": (read_folder, CONTENT),
    "is_whole": (lambda _: is_whole(f"{PREFIX}/down"), True),
    "list_files": (lambda _: sorted(file.name for file in list_files(f"{PREFIX}/down")), ["a", "files.json"]),
    "remove": (lambda _: remove(f"{PREFIX}/old"), None),
    "remove_below": (lambda _: remove_below(f"{PREFIX}/older"), None),
}


def made(folder: Path) -> Path:
    """A folder with its list."""
    (folder / "made").mkdir(exist_ok=True)
    (folder / "made" / "a").write_bytes(CONTENT)
    write_list(folder / "made")
    return folder / "made"


def prepare(store: FaultyStore, folder: Path) -> None:
    store.proxy.spoil()
    for name in ("a", "old", "older/a"):
        store.server.put_object(Bucket=BUCKET, Key=f"matrix/{name}", Body=CONTENT)
    publish_folder(made(folder), f"{PREFIX}/down")


def methods(store: FaultyStore, operation: str, folder: Path) -> list[str]:
    """Those of an operation's requests."""
    prepare(store, folder)
    store.proxy.spoil()
    OPERATIONS[operation][0](folder)
    return sorted({request.split()[0] for request in store.proxy.requests})


def stored(store: FaultyStore, operation: str) -> bool:
    """Whether the store then holds what an operation that succeeded says."""
    store.proxy.spoil()
    keys = {each["Key"] for each in store.server.list_objects_v2(Bucket=BUCKET, Prefix="matrix/")["Contents"]}
    if operation in ("remove", "remove_below"):
        return not any(
            key.startswith("matrix/old" if operation == "remove" else "matrix/older/")
            for key in keys - OTHERS[operation]
        )
    name = {"publish": "new", "publish_folder": "up/a"}.get(operation)
    return name is None or store.server.get_object(Bucket=BUCKET, Key=f"matrix/{name}")["Body"].read() == CONTENT


OTHERS = {"remove": {"matrix/older/a"}, "remove_below": set[str]()}


def outcome(store: FaultyStore, operation: str, fault: Fault, folder: Path) -> str:
    """What the operation comes to while the fault spoils its requests; empty where none of them is of its kind."""
    call, expected = OPERATIONS[operation]
    store.proxy.spoil(fault)
    times = fault.times
    try:
        result = call(folder)
    except UserError as error:
        text = str(error)
        return "sentence" if "\n" not in text and PREFIX in text else f"no sentence: {text}"
    except Exception as error:
        return f"traceback: {error!r}"
    if fault.times == times:
        return ""
    return "right" if result == expected and stored(store, operation) else "wrong"


def test_no_fault_gives_a_wrong_result_or_a_traceback(store: FaultyStore, tmp_path: Path) -> None:
    counts, bad = Counter[str](), []
    every = [
        (name, replace(each, method=method, times=times))
        for name in OPERATIONS
        for method in methods(store, name, tmp_path)
        for each in FAULTS
        for times in (1, ALWAYS)
    ]
    drawn = random.Random(18).sample(every, min(CASES, len(every)))
    for operation, fault in drawn:
        prepare(store, tmp_path)
        times = fault.times
        what = outcome(store, operation, fault, tmp_path)
        counts[what.partition(":")[0]] += 1
        if what not in ("right", "sentence") and (operation, fault.kind, fault.method) not in UNSEEN:
            bad.append((operation, fault.kind, fault.announced, fault.method, times, what[:200]))
            print(bad[-1], flush=True)
    print(f"{len(drawn)} of {len(every)}: {counts}")
    assert bad == []

import ast
import copy
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from rectok.artifacts import check_file, read_json, read_report
from rectok.errors import DamagedError
from rectok.files import write_bytes
from rectok.json_records import parse_json
from tests.errors import user_error

REPOSITORY = Path(__file__).parents[1]
READERS_OF_OTHERS = {
    "rectok/json_records.py": "the only reader of what the pipeline wrote",
    "rectok/lifetime.py": "DVC's own locks",
    "rectok/pipeline/damage.py": "DVC's own cache",
    "rectok/pipeline/code_versions.py": "a file in git, which a merge may have left with two versions",
    "rectok/ablation/runner.py": "the output of a command of ours",
    "rectok/data/sources/samples.py": "a user's labels",
    "rectok/data/sources/label_tables.py": "a user's labels",
    "rectok/data/sources/parquet_columns.py": "what another library wrote into a user's table",
    "rectok/pipeline/kubernetes_jobs.py": "an answer of the Kubernetes API",
    "orchestration/launcher.py": "the output of a command of DVC",
    "orchestration/sync/sensor.py": "the output of a command of ours",
    "orchestration/nightly/delivery.py": "a cursor that Dagster keeps",
    "orchestration/assets/metadata.py": "the header of a safetensors file",
}
DAMAGED = {
    "empty": b"",
    "cut off": b'{"a": 1',
    "not UTF-8": b"\xff\xfe\x00",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "nested objects": b'{"a":' * 3000 + b"1" + b"}" * 3000,
    "nested lists": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a key that is there twice": b'{"a": 1, "a": 2}',
    "no number": b'{"a": NaN}',
    "no finite number": b'{"a": -Infinity}',
    "no finite number in digits": b'{"a": 1e999}',
    "a number of 5 000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "a number of 400 digits": b'{"a": ' + b"9" * 400 + b"}",
    "half of a surrogate pair": b'{"a": "\\ud800"}',
    "half of a surrogate pair as a key": b'{"\\udfff": 1}',
    "a list": b"[1]",
    "a text": b'"a"',
    "null": b"null",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_what_is_no_record_is_one_sentence_that_names_the_file(content: bytes) -> None:
    with pytest.raises(DamagedError, match=r"^data/a\.json is damaged[:,] .*") as caught:
        parse_json(content, "data/a.json")
    assert len(str(caught.value)) < 200 and str(caught.value).isprintable()


def test_a_key_that_is_missing_is_named_with_its_file() -> None:
    record = parse_json(b'{"a": {"b": [{"c": 1.5}]}, "smile": "\\ud83d\\ude00"}', "a.json")
    assert record == {"a": {"b": [{"c": 1.5}]}, "smile": "😀"}
    assert record.get("d") is None and "d" not in record
    with user_error(r"^a\.json is damaged: it has no 'd'$"):
        record["a"]["b"][0]["d"]


def test_a_record_can_be_copied_as_any_dictionary() -> None:
    @dataclass
    class Holder:
        record: dict[str, Any]

    record = parse_json(b'{"a": {"b": 1}}', "a.json")
    assert asdict(Holder(record)) == {"record": record}
    for copied in (copy.deepcopy(record), pickle.loads(pickle.dumps(record))):
        assert copied == record
        with user_error(r"^a\.json is damaged: it has no 'c'$"):
            copied["a"]["c"]


def test_a_list_is_read_where_one_is_expected(here: Path) -> None:
    write_bytes(here / "a.json", b"[1, 2]")
    assert read_json(here / "a.json", list) == [1, 2]
    write_bytes(here / "a.json", b"{}")
    with user_error(r"a\.json is damaged: it must hold a list$"):
        read_json(here / "a.json", list)


@pytest.mark.parametrize("checks", ["1", "[1]", "[[]]", "null", "[{}]"])
def test_a_report_of_other_contents_is_one_sentence(here: Path, checks: str) -> None:
    write_bytes(check_file("dit"), f'{{"gate": "dit", "shard": null, "checks": {checks}}}'.encode())
    with user_error(r"^data/checks/dit\.json is damaged"):
        read_report(check_file("dit"))


def test_nothing_else_reads_what_the_pipeline_wrote() -> None:
    files = [path for folder in ("rectok", "orchestration") for path in (REPOSITORY / folder).rglob("*.py")]
    readers = {path.relative_to(REPOSITORY).as_posix() for path in files if calls_json(path)}
    assert readers == READERS_OF_OTHERS.keys()


def calls_json(path: Path) -> bool:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return any(isinstance(node, ast.Attribute) and ast.unparse(node) in ("json.load", "json.loads") for node in nodes)

"""Reads JSON that the pipeline wrote. Whatever else lies there is one sentence that names the file."""

import json
import math
import re
from collections.abc import Iterable
from typing import Any

from rectok.errors import DamagedError

DIGITS = 30
"""More than any whole number that the pipeline writes has."""
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def parse_json(content: bytes, name: str, kind: type = dict) -> Any:
    """The JSON value in `content`, which is called `name` and must be of `kind`.

    Raises DamagedError for what is no strict JSON in UTF-8, for another kind, and later for a key that is read but not there.
    """

    def record(pairs: list[tuple[str, Any]]) -> _Record:
        _require_new(pairs)
        return _Record(pairs, name)

    try:
        tree = json.loads(
            content.decode(), object_pairs_hook=record, parse_float=_finite, parse_constant=_finite, parse_int=_whole
        )
        if b"\\u" in content and LONE_SURROGATE.search(json.dumps(tree, ensure_ascii=False)):
            raise ValueError("half of a surrogate pair")
    except RecursionError:
        raise DamagedError(f"{name} is damaged, for it is not JSON: it nests too deep") from None
    except ValueError as error:
        raise DamagedError(f"{name} is damaged, for it is not JSON: {error}") from None
    if not isinstance(tree, kind):
        raise DamagedError(f"{name} is damaged: it must hold {'an object' if kind is dict else 'a list'}")
    return tree


class _Record(dict[str, Any]):
    """A JSON object that says where it comes from when a key is missing."""

    def __init__(
        self, pairs: Iterable[tuple[str, Any]] = (), name: str = "a record"
    ) -> None:  # as dataclasses.asdict copies it
        super().__init__(pairs)
        self.name = name

    def __missing__(self, key: str) -> Any:
        raise DamagedError(f"{self.name} is damaged: it has no {key!r}")


def _require_new(pairs: list[tuple[str, Any]]) -> None:
    keys = [key for key, _ in pairs]
    if len(keys) != len(set(keys)):
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)!r} stands there twice")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:DIGITS]} is not a finite number")
    return number


def _whole(text: str) -> int:
    if len(text) > DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)

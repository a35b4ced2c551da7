"""Reads YAML of which nobody knows how it was made."""

import re
from functools import lru_cache
from itertools import accumulate
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

DEEPEST = 100
BRACKETS = re.compile(r"[\[\]{}]")
UNREADABLE = (YAMLError, ValueError, RecursionError)
"""What `load_yaml` raises: ValueError for numbers of more digits than Python reads, RecursionError for lists in lists."""


def load_yaml(text: str, yaml: YAML | None = None) -> Any:
    """What `yaml` reads in `text`, by default YAML 1.2 as DVC reads it, without types of its own. Raises one of `UNREADABLE`."""
    brackets = accumulate(1 if match[0] in "[{" else -1 for match in BRACKETS.finditer(text))
    if max(brackets, default=0) > DEEPEST:  # the parser needs seconds to give up
        raise RecursionError(f"it nests deeper than {DEEPEST} levels")
    return (yaml or YAML(typ="safe", pure=True)).load(text)


def load_as_dvc(text: str) -> Any:
    """What DVC reads in `text`, by ruamel.yaml's parser in C: four times as fast, with shorter messages."""
    return load_yaml(text, YAML(typ="safe"))


@lru_cache(maxsize=8)
def shared_yaml(text: str) -> Any:
    """What `load_yaml` reads in `text`, which a stage needs more than once. It is one object, so nobody may change it."""
    return load_yaml(text)

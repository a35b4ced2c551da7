"""Reads params.yaml, and turns every mistake in it into one sentence."""

import difflib
import json
import types
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from rectok.errors import UserError
from rectok.files import version_of
from rectok.params.renamed import NEW, renamed_parameter
from rectok.yaml_text import DEEPEST, load_yaml, shared_yaml

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

    from rectok.params.schema import Params

PARAMS_FILE = Path("params.yaml")
LONGEST_SHOWN = 60
"""Characters of a wrong value that a message repeats."""
LARGEST = 2**53
"""The largest whole number that JSON and every reader of it keep exactly."""
WRONG_LENGTH = {"missing": "few", "too_long": "many"}
WORDS = {
    "an object": "a section",
    "a valid array": "a list",
    "a valid string": "text",
    "a valid integer": "a whole number",
    "a valid number": "a finite number",
    "a valid boolean": "true or false",
}


def load(path: Path = PARAMS_FILE) -> "Params":
    """The validated parameters of `path`. Raises UserError naming the key at fault."""
    return _load(path, path.absolute(), version_of(path))


@lru_cache(maxsize=2)  # a process may run a thousand shards
def _load(path: Path, _place: Path, _version: tuple[int, ...]) -> "Params":
    return parse(read_file(path), str(path))


def read_file(path: Path) -> str:
    """The text of `path`. Raises UserError where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; write it with `rectok init digits`") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text: {error}") from None


def parse(text: str, name: str) -> "Params":
    """The validated parameters in the YAML 1.2 `text` (as DVC reads it: 1e-4 is a number); `name` is for messages."""
    return validated(tree_of(text, name), name)


def tree_of(text: str, name: str, yaml: YAML | None = None) -> Any:
    """What `yaml` reads in `text`; without one, the shared tree of `shared_yaml`. Raises UserError with the line at fault."""
    try:
        return load_yaml(text, yaml) if yaml else shared_yaml(text)
    except YAMLError as error:
        raise UserError(f"{name} is not valid YAML{_place(error)}") from None
    except RecursionError:
        raise UserError(f"{name} nests deeper than {DEEPEST} levels, so it is no file of parameters") from None
    except ValueError as error:  # Python's limit of digits
        raise UserError(f"{name} holds a number with too many digits: {str(error).partition(';')[0]}") from None


def _require_plain(node: Any, key: str, name: str) -> None:
    """Raise UserError, which names the key, for text that is no Unicode and for numbers beyond LARGEST."""
    if isinstance(node, dict | list):
        for part, value in node.items() if isinstance(node, dict) else enumerate(node):
            _require_plain(value, f"{key}.{part}" if key else str(part), name)
    shown = key.encode(errors="backslashreplace").decode()
    if any("\ud800" <= character <= "\udfff" for character in f"{key}{node if isinstance(node, str) else ''}"):
        raise UserError(f"{name}: parameter {shown} holds half of a surrogate pair, but must be text")
    if type(node) is int and abs(node) > LARGEST:
        raise UserError(f"{name}: parameter {shown} must be a whole number of at most {LARGEST}")


def validated(tree: Any, name: str) -> "Params":
    """The parameters in `tree`, as YAML was read; `name` is for messages."""
    from pydantic import ValidationError

    from rectok.params.schema import Params

    with suppress(RecursionError):  # an alias of what holds it, which JSON refuses below
        _require_plain(tree, "", name)
    try:
        # JSON mode keeps types strict, yet lets a YAML list become a tuple and a whole number a float.
        text = json.dumps(tree)
    except (TypeError, ValueError) as error:
        raise UserError(f"{name} may hold sections, lists, text, numbers, true and false only: {error}") from None
    if not isinstance(tree, dict):
        raise UserError(f"{name} must hold a mapping of sections such as `seed: 0`, not {_shown(tree)}")
    try:
        return Params.model_validate_json(text)
    except ValidationError as error:
        raise UserError(f"{name}: {_sentence(error, tree)}") from None


def _place(error: YAMLError) -> str:
    """Where and what, without the excerpt that ruamel adds."""
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        return f" in line {error.problem_mark.line + 1}: {error.problem}"
    return f": {' '.join(str(error).split())}"


def _sentence(error: "ValidationError", tree: dict[str, Any]) -> str:
    # A misspelt name is missing under its right one too; the misspelling is what to show.
    first = next((e for e in error.errors() if e["type"] == "extra_forbidden"), error.errors()[0])
    loc = first["loc"]
    if first["type"] == "extra_forbidden":
        name = ".".join(map(str, loc))
        hint = "; `rectok migrate-params` renames it" if renamed_parameter(name) else ""
        return f"unknown parameter {name}; {nearest_parameter(name)}{hint}"
    if first["type"] == "missing" and isinstance(loc[-1], str):
        name = ".".join(map(str, loc))
        return f"parameter {name} is missing{'; `rectok migrate-params` adds it' if name in NEW else ''}"
    # A validator of a section raises a sentence that begins with a field's name, one of a value what the value must be.
    if first["type"] == "value_error" and isinstance(first["input"], dict):
        return ".".join([*map(str, loc), str(first["ctx"]["error"])])
    key = _written(loc, tree)
    if key == "index.shards" and isinstance(count := first["input"], int):
        return f"parameter {key} is {count}, but must be a list of names; `rectok shards-count {count}` writes it"
    if first["type"] in ("missing", "too_long"):
        return f"parameter {key} is {_shown(first['input'])}, which has too {WRONG_LENGTH[first['type']]} values"
    expectations = [_expectation(other["msg"]) for other in error.errors() if _written(other["loc"], tree) == key]
    return f"parameter {key} is {_shown(first['input'])}, but must be {' or '.join(dict.fromkeys(expectations))}"


def _written(loc: tuple[int | str, ...], tree: Any) -> str:
    """The dotted name as far as it stands in the file: pydantic adds the names of a union's members."""
    names = []
    for part in loc:
        try:
            tree = tree[part]
        except (KeyError, IndexError, TypeError):
            break
        names.append(str(part))
    return ".".join(names)


def _expectation(message: str) -> str:
    """pydantic's words about a value, in those of YAML."""
    words = message.removeprefix("Input should be ").removeprefix("Value error, ")
    for theirs, ours in WORDS.items():
        words = words.replace(theirs, ours)
    return words


def _shown(value: Any) -> str:
    """A value as it stands in YAML; long ones cut short."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def nearest_parameter(name: str) -> str:
    """Words that name the parameter most like `name`, or its new name."""
    if new := renamed_parameter(name):
        return f"it is called {new} now"
    from rectok.params.schema import Params

    return nearest(name, field_names(Params))


def nearest(name: str, valid: list[str]) -> str:
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.0)
    return f"the nearest valid name is {close[0]}"


def field_names(model: "type[BaseModel]", prefix: str = "") -> list[str]:
    """Dotted names of all fields of `model` and of the models inside it."""
    from pydantic import BaseModel

    names = []
    for name, field in model.model_fields.items():
        names.append(prefix + name)
        inner = field.annotation
        candidates = get_args(inner) if isinstance(inner, types.UnionType) else (inner,)
        for candidate in candidates:
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                names += field_names(candidate, f"{prefix}{name}.")
    return names

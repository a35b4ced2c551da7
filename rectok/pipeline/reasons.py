"""Why a stage would run again by itself: what differs from dvc.lock."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rectok.pipeline.code_versions import VERSIONS_FILE
from rectok.pipeline.graph import Stage, paths

Kind = Literal["new", "always", "command", "parameter", "code", "data", "output", "upstream"]
OF_PARAMETERS = ("parameter", "code")
OF_FILES = ("data", "output")
STATES = {"modified": "changed", "deleted": "is missing", "new": "is new"}
"""DVC's words for a file, and ours."""


@dataclass(frozen=True)
class Reason:
    """Why a stage would run again. `old` and `new` are values of a parameter or a code version."""

    kind: Kind
    sentence: str
    name: str = ""
    old: Any = None
    new: Any = None


def reasons_of(entry: Any, stage: Stage, recorded: bool) -> Iterator[Reason]:
    """What differs from dvc.lock, in which it is `recorded` or not. `entry` is DVC's own object for the stage."""
    if stage.command and not recorded:
        yield Reason("new", "has not run to its end yet")
        return
    if getattr(entry, "cmd_changed", False):
        yield Reason("command", f"its command is now `{stage.command}`")
    if not entry.frozen:
        if entry.is_callback or entry.always_changed:
            yield Reason("always", "it runs every time")
        for dep in entry.params:
            yield from _parameters(str(dep), dep.hash_info.value or {}, stage.params[str(dep)])
        for path, state in _states(dep for dep in entry.deps if dep not in entry.params):
            yield Reason("data", f"{path} {state}", path)
    for path, state in _states(entry.outs):
        yield Reason("output", f"its output {path} {state}", path)


def with_parameters(reasons: Sequence[Reason], stage: Stage, recorded: Mapping[str, Any]) -> list[Reason]:
    """The `reasons` of a stage whose values of parameters alone have changed since; `recorded` are those of dvc.lock, by file."""
    others = [reason for reason in reasons if reason.kind not in OF_PARAMETERS]
    if any(reason.kind == "new" for reason in others):
        return others
    changed = [each for file, now in stage.params.items() for each in _parameters(file, recorded.get(file) or {}, now)]
    first = [reason for reason in others if reason.kind not in OF_FILES]
    return [*first, *changed, *(reason for reason in others if reason.kind in OF_FILES)]


def _parameters(file: str, recorded: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Reason]:
    code = file == str(VERSIONS_FILE)
    for section, value in now.items():
        if section not in recorded or recorded[section] != value:
            for name, old, new in _differences(section, recorded.get(section), value):
                sentence = f"{'code version' if code else 'parameter'} {name}: {_shown(old)} → {_shown(new)}"
                yield Reason("code" if code else "parameter", sentence, name, old, new)


def _differences(name: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """Dotted name, old and new value of all that differs; the values of a whole section would fill the screen."""
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        yield name, old, new
        return
    for key in [*new, *(key for key in old if key not in new)]:
        if key not in old or key not in new or old[key] != new[key]:
            yield from _differences(f"{name}.{key}", old.get(key), new.get(key))


def _shown(value: Any) -> str:
    return "none" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def _states(entries: Iterable[Any]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        for state in entry.workspace_status().values():
            [path] = paths([entry]) or (str(entry),)
            yield path, STATES.get(state, state)

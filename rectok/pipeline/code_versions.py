"""Code versions: a number per stage and gate in versions.yaml, and the record of the code that each number stands for.

dvc.yaml names the number as a parameter, so DVC, its run cache and Dagster compare it. The record says what code it stands for.
`python -m rectok.pipeline.code_versions bump` raises the versions of all stages whose code changed. `record` in place of `bump`
keeps them, where the change alters no results.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rectok.artifacts import STAGES
from rectok.errors import UserError
from rectok.files import write_text
from rectok.pipeline.source_code import DISPATCHERS, HASH_DIGITS, SourceCode
from rectok.yaml_text import UNREADABLE, load_yaml

VERSIONS_FILE = Path("versions.yaml")
PACKAGE = Path(__file__).parents[1]
RECORD = Path(__file__).with_name("code_versions.json")
"""The fingerprint of every file, and for every stage and gate its version and the fingerprint of its files together.

The latter makes two branches that raise the same version conflict in git.
"""
TOOL = "python -m rectok.pipeline.code_versions"
HEADER = f"""# The code version of every stage and gate. dvc.yaml compares it, so a higher version makes the stage run again.
# `{TOOL} bump` raises the versions of all stages whose code changed.
# `{TOOL} record` keeps them, where the change alters no results.
"""
SHOWN = 5
"""Changed files that a sentence names."""
GATE = "gate-"
Versions = Mapping[str, int]
"""By name: `index` for the stage, `gate-index` for its gate."""


def parameter(name: str) -> str:
    """The dotted name in versions.yaml, e.g. gates.index for `gate-index`."""
    return f"gates.{name.removeprefix(GATE)}" if name.startswith(GATE) else f"stages.{name}"


def read_versions(path: Path = VERSIONS_FILE) -> dict[str, int]:
    """The versions in the file; none where there is no such file. Raises UserError where it holds anything else."""
    try:
        tree = load_yaml(path.read_text(encoding="utf-8")) or {}
        sections = {"": tree.pop("stages", None) or {}, GATE: tree.pop("gates", None) or {}}
        versions = {
            f"{prefix}{name}": number for prefix, section in sections.items() for name, number in section.items()
        }
    except FileNotFoundError:
        return {}
    except (AttributeError, *UNREADABLE):
        versions, tree = {}, {"": 0}
    if tree or not all(type(number) is int and number > 0 for number in versions.values()):
        raise UserError(f"{path} must hold the sections stages and gates, with a whole number from 1 for each name")
    return versions


def installed_versions() -> dict[str, int]:
    """The versions of the installed package, which a wheel keeps in its template and a clone at its top level."""
    packaged = PACKAGE / "template" / VERSIONS_FILE
    return read_versions(packaged if packaged.exists() else PACKAGE.parent / VERSIONS_FILE)


def mismatch(folder: Path = Path()) -> str:
    """How versions.yaml of the project in `folder` differs from the installed package, as a sentence; empty where it does not."""
    project, pipeline = read_versions(folder / VERSIONS_FILE), folder / "dvc.yaml"
    # Without a pipeline nothing compares versions; where it names the file, DVC itself says that it is missing.
    if not project and (not pipeline.exists() or str(VERSIONS_FILE) in pipeline.read_text(encoding="utf-8")):
        return ""
    for name, version in installed_versions().items():
        if project.get(name) != version:
            here = f"says {project[name]} for {parameter(name)}" if name in project else f"lacks {parameter(name)}"
            return (
                f"{VERSIONS_FILE} {here}, but the installed rectok has version {version} of that code; "
                "`rectok init --upgrade` writes its dvc.yaml and versions.yaml, and `dvc repro` then runs what changed"
            )
    return ""


@dataclass(frozen=True)
class Change:
    """Stages and gates whose code differs from the record, in the same files; their versions are the recorded ones."""

    names: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What happened, and the two ways on."""
        several, more = len(self.names) > 1, len(self.files) - SHOWN
        files = ", ".join(self.files[:SHOWN]) + (f" and {more} more" if more > 0 else "")
        return (
            f"the code of {', '.join(self.names)} changed ({files}) and "
            f"{'their versions' if several else 'its version'} did not: `{TOOL} bump` raises "
            f"{'them' if several else 'it'}, or `{TOOL} record` says that results stay the same"
        )


class CodeVersions:
    """Compares the code of a clone, its versions.yaml and the record."""

    def __init__(self, package: Path = PACKAGE, record: Path = RECORD) -> None:
        self.package, self.record_file = package, record
        self.code = SourceCode(package)
        self.versions_file = package.parent / VERSIONS_FILE
        self.recorded: dict[str, dict[str, str]] = {}
        if record.exists():
            try:
                self.recorded = json.loads(record.read_text(encoding="utf-8"))
            except ValueError:
                self.recorded = {}  # as after a conflict in git

    @cached_property
    def files(self) -> dict[str, dict[str, str]]:
        """For every stage and gate the fingerprints of its files."""
        name = self.package.name
        stages = {stage: [f"{name}.stages.{stage}"] for stage in self.code.names(f"{name}.stages")}
        gates = {f"{GATE}{gate}": [f"{name}.gates.{gate}", *DISPATCHERS] for gate in self.code.names(f"{name}.gates")}
        return {each: self.code.fingerprints(roots) for each, roots in sorted((stages | gates).items(), key=_order)}

    def changes(self) -> list[Change]:
        """Code that changed while its version did not."""
        versions, known = read_versions(self.versions_file), self.recorded.get("files", {})
        names: dict[tuple[str, ...], list[str]] = {}
        for name, files in self.files.items():
            version, _, code = self.recorded.get("versions", {}).get(name, "").partition(" ")
            if code != _combined(files) and version in ("", str(versions.get(name, ""))):
                changed = tuple(path for path, fingerprint in files.items() if known.get(path) != fingerprint)
                names.setdefault(changed or tuple(files), []).append(name)
        return [Change(tuple(these), files) for files, these in names.items()]

    def sentences(self) -> Iterator[str]:
        """All that is wrong between code, versions.yaml and the record."""
        if not self.recorded and self.record_file.exists():
            yield (
                f"{self.record_file} cannot be read, as after a conflict in git; `{TOOL} record` writes it anew, and "
                f"`{TOOL} bump NAME…` raises the versions of code that changed"
            )
            return
        yield from (change.sentence for change in self.changes())
        versions, recorded = read_versions(self.versions_file), self.recorded.get("versions", {})
        for name in sorted({*versions, *recorded, *self.files}):
            there, known = versions.get(name), recorded.get(name, "").partition(" ")[0]
            if there is None or (known and known != str(there)) or name not in self.files:
                yield f"{VERSIONS_FILE} and the record differ in {parameter(name)}: `{TOOL} record` records {VERSIONS_FILE}"

    def raised(self, names: Sequence[str]) -> list[str]:
        """Raise the versions of `names`, or else of all changed code; their names. Raises UserError for an unknown name."""
        concerned = [name for change in self.changes() for name in change.names]
        if unknown := set(names) - self.files.keys():
            raise UserError(f"there is no code of {sorted(unknown)[0]!r}; choose one of {', '.join(self.files)}")
        if not names and not self.recorded and self.record_file.exists():
            raise UserError(f"{self.record_file} cannot be read; name the stages whose versions are to rise")
        versions = read_versions(self.versions_file)
        chosen = list(names) or concerned
        self.write_versions({**versions, **{name: versions.get(name, 0) + 1 for name in chosen}})
        return chosen

    def write_versions(self, versions: Versions) -> None:
        """Write versions.yaml; new code begins with 1, and code that is gone leaves it."""
        lines = [HEADER]
        for section, gates in (("stages", False), ("gates", True)):
            names = [name for name in self.files if name.startswith(GATE) == gates]
            lines += [f"{section}:\n", *(f"  {name.removeprefix(GATE)}: {versions.get(name, 1)}\n" for name in names)]
        write_text(self.versions_file, "".join(lines))

    def record(self) -> None:
        """Record the code as it is for the versions as they are."""
        self.write_versions(versions := read_versions(self.versions_file))
        files = {path: fingerprint for files in self.files.values() for path, fingerprint in files.items()}
        lines = {name: f"{versions.get(name, 1)} {_combined(files)}" for name, files in self.files.items()}
        text = json.dumps({"files": files, "versions": lines}, indent=1, sort_keys=True)
        write_text(self.record_file, f"{text}\n")


def _order(entry: tuple[str, object]) -> tuple[bool, int, str]:
    """Stages before gates, both as in the pipeline."""
    name = entry[0].removeprefix(GATE)
    return entry[0].startswith(GATE), STAGES.index(name) if name in STAGES else len(STAGES), name


def _combined(files: Mapping[str, str]) -> str:
    text = "".join(f"{path} {fingerprint}\n" for path, fingerprint in sorted(files.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]


def main(arguments: Sequence[str]) -> str:
    """Run `check`, `record` or `bump [NAME…]`; what to print. Raises UserError."""
    versions = CodeVersions()
    if not versions.versions_file.parent.joinpath("pyproject.toml").exists():
        raise UserError("code versions are raised and recorded in a clone of the repository; this package is installed")
    match arguments:
        case ["check"]:
            if sentences := list(versions.sentences()):
                raise UserError("\n".join(sentences))
            return "code, versions.yaml and the record agree"
        case ["record"]:
            versions.record()
            return "recorded the code of all stages and gates for the versions that they have"
        case ["bump", *names]:
            raised = versions.raised(names)
            versions.record()
            said = ", ".join(map(parameter, raised)) or "nothing, for no code changed"
            return f"raised {said}, and recorded the code"
    raise UserError(
        f"use `{TOOL} check`, `{TOOL} record` or `{TOOL} bump [NAME…]`, with names such as index or gate-index"
    )


if __name__ == "__main__":
    try:
        print(main(sys.argv[1:]))
    except UserError as error:
        sys.exit(str(error))

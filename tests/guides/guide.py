"""Follows a guide of docs/guides as a reader does, block by block, in a clone of this repository.

- a block `sh` is run, one shell for all of it; a block `console` is only shown.
- a block `diff` is applied with `git apply`.
- a block `python` after a line that is nothing but a file's name in backticks and a colon is that file.
- a block `yaml` after a line that begins with "In" is merged into the files that the line names in backticks; what stands
  in braces replaces what was there.
- any other block is only shown.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from tests import forked

REPOSITORY = Path(__file__).parents[2]
BLOCK = re.compile(r"(?:^(?P<before>[^\n]+)\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Block:
    """A block of code and the line of text above it."""

    before: str
    kind: str
    text: str


def blocks(guide: str) -> list[Block]:
    """The blocks of code of docs/guides/<guide>.md."""
    text = (REPOSITORY / "docs" / "guides" / f"{guide}.md").read_text(encoding="utf-8")
    return [Block(found["before"] or "", found["kind"], found["text"]) for found in BLOCK.finditer(text)]


@dataclass(frozen=True)
class Clone:
    """A copy of this repository's files as they are, in a git repository of its own."""

    root: Path

    def follow(self, guide: str) -> str:
        """Do what the guide says; what its commands printed. Fails where one of them fails."""
        return "".join(self._follow(block) for block in blocks(guide))

    def _follow(self, block: Block) -> str:
        if block.kind == "sh":
            return self.run("bash", "-euo", "pipefail", "-c", block.text)
        if block.kind == "diff":
            return self.run("git", "apply", "--recount", "-", given=block.text)
        if block.kind == "python" and (file := re.fullmatch(r"`([^`]+)`:", block.before)):
            (self.root / file[1]).write_text(block.text, encoding="utf-8")
        if block.kind == "yaml" and block.before.startswith("In "):
            self.change(NAMED.findall(block.before), YAML().load(block.text))
        return ""

    def change(self, patterns: list[str], changes: Mapping[str, Any]) -> None:
        """Merge `changes` into all YAML files that the patterns name."""
        files = [path for pattern in patterns for path in sorted(self.root.glob(pattern))]
        assert files, f"{patterns} name no file"
        yaml = YAML()
        for path in files:
            tree = yaml.load(path)
            merge(tree, changes)
            yaml.dump(tree, path)

    def run(self, *command: str, given: str | None = None) -> str:
        """What a command printed that had to succeed."""
        env = {
            **os.environ,
            "PATH": forked.path(),
            "PYTHONPATH": str(self.root),
            "DAGSTER_HOME": str(self.root / ".dagster"),
        }
        done = subprocess.run(
            command, cwd=self.root, env=env, input=given, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}"
        return done.stdout


def clone(root: Path) -> Clone:
    """Copy every file that git tracks or would track, as it is now, to the new folder `root`."""
    listed = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = subprocess.run(listed, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (REPOSITORY / name).exists():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, root / name)
    made = Clone(root)
    made.run("git", "init", "--quiet")
    return made


def merge(tree: Any, changes: Mapping[str, Any]) -> None:
    """Put `changes` into the mapping `tree`, section by section; what they write in braces replaces the whole section."""
    for key, value in changes.items():
        in_braces = isinstance(value, CommentedMap) and value.fa.flow_style()
        if isinstance(value, Mapping) and isinstance(tree.get(key), Mapping) and not in_braces:
            merge(tree[key], value)
        else:
            tree[key] = value

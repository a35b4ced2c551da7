"""Follow a guide of docs/guides as a reader does, block by block, in a clone of this repository.

- A block `sh` runs in one shell. A block `console` is only shown.
- A block `diff` is applied with `git apply`.
- A block `python` after a line with only a file's name in backticks and a colon becomes that file.
- A block `yaml` after a line that begins with "In" is merged into the files that the line names in backticks. A mapping
  in braces replaces the section.
- Any other block is only shown.
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


def blocks(page: str) -> list[Block]:
    """The blocks of code of a page of the repository."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    return [Block(match["before"] or "", match["kind"], match["text"]) for match in BLOCK.finditer(text)]


@dataclass(frozen=True)
class Clone:
    """A copy of this repository's files as they are, in a git repository of its own."""

    root: Path

    def follow(self, guide: str) -> str:
        """Do what docs/guides/<guide>.md says and return what its commands printed. Fails where one of them fails."""
        return "".join(self.follow_block(block) for block in blocks(f"docs/guides/{guide}.md"))

    def follow_block(self, block: Block) -> str:
        """Do what one block says and return what its commands printed."""
        if block.kind == "sh":
            return self.run("bash", "-euo", "pipefail", "-c", block.text)
        if block.kind == "diff":
            return self.run("git", "apply", "--recount", "-", stdin=block.text)
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

    def run(self, *command: str, stdin: str | None = None) -> str:
        """Run a command that must succeed and return what it printed."""
        env = {
            **os.environ,
            "PATH": forked.path(),
            "PYTHONPATH": str(self.root),
            "DAGSTER_HOME": str(self.root / ".dagster"),
        }
        result = subprocess.run(
            command, cwd=self.root, env=env, input=stdin, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}"
        return result.stdout


def clone(root: Path) -> Clone:
    """Copy every file that git tracks or would track, as it is now, to the new folder `root`."""
    listed = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = subprocess.run(listed, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (REPOSITORY / name).exists():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, root / name)
    copy = Clone(root)
    copy.run("git", "init", "--quiet")
    return copy


def merge(tree: Any, changes: Mapping[str, Any]) -> None:
    """Put `changes` into the mapping `tree`, section by section; a mapping in braces replaces the whole section."""
    for key, value in changes.items():
        in_braces = isinstance(value, CommentedMap) and value.fa.flow_style()
        if isinstance(value, Mapping) and isinstance(tree.get(key), Mapping) and not in_braces:
            merge(tree[key], value)
        else:
            tree[key] = value

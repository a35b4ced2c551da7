"""Links from an asset to the files that make and check it."""

import re
import subprocess
from pathlib import Path

from dagster import CodeReferencesMetadataValue, LocalFileCodeReference

from orchestration.graph.model import Artefact, Unit

REMOTE = re.compile(r"(?:https?://(?:[^@/]*@)?|(?:ssh://)?git@)(?P<host>[^/:]+)[/:](?P<name>.+?)(?:\.git)?/?$")


def code_files(artefact: Artefact, root: Path) -> list[str]:
    """The files of the stage and of its gate that exist in the project at `root`."""
    paths = [f"rectok/{folder}/{artefact.name}.py" for folder in ("stages", "gates")]
    return [path for path in paths if (root / path).exists()]


def code_references(artefact: Artefact, root: Path) -> dict[str, CodeReferencesMetadataValue]:
    """Metadata with the files that "Open in editor" opens. Empty if there are none."""
    references = [
        LocalFileCodeReference(file_path=str(root / path), line_number=1, label=path)
        for path in code_files(artefact, root)
    ]
    return {"dagster/code_references": CodeReferencesMetadataValue(code_references=references)} if references else {}


def description(artefact: Artefact, root: Path, code_url: str | None) -> str:
    """The description of the asset in Markdown: its commands and its files, linked if `code_url` is known."""
    first = artefact.units[0]
    stage = f"Made by `{_generic(first.command, first)}`" + (" for every shard" if artefact.shards else "")
    gate = f", checked by `dvc repro {_generic(first.gate, first)}`" if first.gate else ""
    links = [f"[{path}]({code_url}/{path})" if code_url else f"`{path}`" for path in code_files(artefact, root)]
    code = f" Code: {', '.join(links)}." if links else ""
    return f"{artefact.description}\n\n{stage}{gate}.{code}"


def _generic(text: str, unit: Unit) -> str:
    """`text` with SHARD in place of the name of the unit's shard."""
    return text.replace(unit.shard, "SHARD") if unit.shard else text


def browse_url(root: Path) -> str | None:
    """Address of the project's files on the server of the git remote `origin`. None without such a remote."""
    command = ("git", "remote", "get-url", "origin")
    remote = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stdout.strip()
    match = REMOTE.match(remote)
    return f"https://{match['host']}/{match['name']}/blob/HEAD" if match else None

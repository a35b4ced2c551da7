"""Where the code of an artefact is: the files that make and check it, and the pages that show them."""

import re
import subprocess
from pathlib import Path

from dagster import CodeReferencesMetadataValue, LocalFileCodeReference

from orchestration.graph.model import Artefact, Unit

REMOTE = re.compile(r"(?:https?://(?:[^@/]*@)?|(?:ssh://)?git@)(?P<host>[^/:]+)[/:](?P<name>.+?)(?:\.git)?/?$")


def files(artefact: Artefact, root: Path) -> list[str]:
    """The stage's file and the gate's, as far as they exist in the project at `root`."""
    wanted = [f"rectok/{folder}/{artefact.name}.py" for folder in ("stages", "gates")]
    return [path for path in wanted if (root / path).exists()]


def references(artefact: Artefact, root: Path) -> CodeReferencesMetadataValue | None:
    """What "Open in editor" opens."""
    found = files(artefact, root)
    if not found:
        return None
    return CodeReferencesMetadataValue(
        code_references=[
            LocalFileCodeReference(file_path=str(root / path), line_number=1, label=path) for path in found
        ]
    )


def description(artefact: Artefact, root: Path, page: str | None) -> str:
    """What the artefact is, what makes and judges it, and where to read that; Markdown with links where `page` is known."""
    first = artefact.units[0]
    made = f"Made by `{_any(first.command, first)}`" + (" for every shard" if artefact.shards else "")
    judged = f", judged by `dvc repro {_any(first.gate, first)}`" if first.gate else ""
    links = [f"[{path}]({page}/{path})" if page else f"`{path}`" for path in files(artefact, root)]
    code = f" Code: {', '.join(links)}." if links else ""
    return f"{artefact.description}\n\n{made}{judged}.{code}"


def _any(text: str, unit: Unit) -> str:
    """`text` about one shard, told of any."""
    return text.replace(unit.shard, "SHARD") if unit.shard else text


def hosted(root: Path) -> str | None:
    """Where a browser finds the files of the project at `root`; None without a remote `origin` on a server."""
    told = subprocess.run(("git", "remote", "get-url", "origin"), cwd=root, capture_output=True, text=True, check=False)
    match = REMOTE.match(told.stdout.strip())
    return f"https://{match['host']}/{match['name']}/blob/HEAD" if match else None

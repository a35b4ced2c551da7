"""The command of a stage. Its help comes from dvc.yaml, which is read only when somebody asks for help."""

from collections.abc import Iterator, Mapping
from typing import Any

from typer.core import TyperCommand

from rectok.cli.parameters import template
from rectok.pipeline.declared import PIPELINE, entries, read


class StageCommand(TyperCommand):
    """A command whose help says what its stage makes, reads and writes, and which parameters it depends on."""

    def _whole_help(self) -> str:
        return "\n\n".join(_paragraphs(str(self.name), _body(str(self.name))))

    def _line(self) -> str:
        return str(_body(str(self.name)).get("desc", ""))

    def _ignore(self, _text: str | None) -> None:
        """The base class sets its texts, but dvc.yaml holds ours."""

    help = property(_whole_help, _ignore)
    short_help = property(_line, _ignore)


def _body(stage: str) -> Mapping[str, Any]:
    """The entry of `stage` in this folder's dvc.yaml, or in that of the package where the folder is no project."""
    text = PIPELINE.read_text(encoding="utf-8") if PIPELINE.exists() else template()[PIPELINE].decode()
    entry = entries(read(text)).get(stage, {})
    body: Mapping[str, Any] = entry.get("do", entry)
    return body


def _paragraphs(stage: str, body: Mapping[str, Any]) -> Iterator[str]:
    yield f"{body.get('desc', f'Make data/{stage}')}."
    own = [entry for entry in body.get("params", ()) if isinstance(entry, str)]
    for words, names in (("Parameters", own), ("Reads", body.get("deps", ())), ("Writes", body.get("outs", ()))):
        if names:
            yield (
                f"{words}: {', '.join(map(str, names))}".replace("${item}", "SHARD").replace("${", "").replace("}", "")
            )

"""Every command that a page shows exists, with the options and as many arguments as it is shown with."""

import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import typer
from dvc.cli import DvcParserError, parse_args
from typer.core import TyperGroup
from typer.exceptions import TyperException

from rectok.cli.main import app
from tests.guides.guide import BLOCK, REPOSITORY

PAGES = sorted([REPOSITORY / "README.md", *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("deploy/**/*.md")])
INLINE = re.compile(r"`((?:rectok|dvc) [^`]+)`")
NUMBER = "N"
"""Stands for any number."""
ADDED = {"stage.md": ["colours"]}
"""Commands that a guide has its reader add."""
ASSIGNED = re.compile(r"\w+=\S*")


def shown(page: Path) -> Iterator[tuple[list[str], bool]]:
    """The words of every `rectok` and `dvc` command of a page, and whether it is meant to be typed as it stands.

    Those in blocks of shell code are; those between backticks may only be named.
    """
    text = page.read_text(encoding="utf-8")
    for block in BLOCK.finditer(text):
        if block["kind"] in ("sh", "console"):
            for line in joined(block["text"]):
                yield from ((command, True) for command in commands(line))
    for line in INLINE.findall(text):
        yield from ((command, False) for command in commands(line))


def joined(block: str) -> list[str]:
    """The lines of a block, those that end in a backslash together with the next."""
    return block.replace("\\\n", " ").splitlines()


def commands(line: str) -> Iterator[list[str]]:
    """`$ A=1 rectok x | y # why` → [rectok, x]; what follows <<, > and the like is left out."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # a quote that another line closes
        return
    while words:
        end = next((i for i, word in enumerate(words) if set(word) <= set("|&;<>()")), len(words))
        command, words = words[:end], words[end + 1 :]
        while command and (command[0] in ("$", "time", "exec", "srun") or ASSIGNED.fullmatch(command[0])):
            command.pop(0)
        if command and command[0] in ("rectok", "dvc"):
            yield command


def check(command: list[str]) -> None:
    """Parse a command as its program would, and go no further. Raises what the program says of it."""
    program, *words = command
    if program == "dvc":
        parse_args(words)
        return
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    if words[:1] == ["--install-completion"]:  # parsing it would write into the home folder of whoever runs the tests
        assert words[1:] == [] and any(words[0] in option.opts for option in group.params)
        return
    with suppress(typer.Exit), group.make_context("rectok", words) as context:  # --help exits
        name, subcommand, rest = group.resolve_command(context, [*context._protected_args, *context.args])
        assert subcommand is not None
        subcommand.make_context(name, rest, parent=context).close()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_every_command_that_a_page_shows_can_be_typed(page: Path) -> None:
    wrong = []
    for command, typed in shown(page):
        filled = ["1" if word == NUMBER else word for word in command]
        try:
            check(filled)
        except (TyperException, DvcParserError) as error:
            only_named = not typed and str(error).startswith("Missing parameter")
            if not only_named and command[1:2] != ADDED.get(page.name):
                wrong.append(f"{' '.join(command)}: {error}")
    assert not wrong


@pytest.mark.parametrize("wrong", ["rectok nothing", "rectok plan --gpu 8", "rectok dit 3", "dvc repro --joobs 3"])
def test_a_command_that_does_not_exist_is_found(wrong: str) -> None:
    [command] = commands(wrong)
    with pytest.raises((TyperException, DvcParserError)):
        check(command)


def test_a_command_is_found_among_others() -> None:
    line = '$ A=1 rectok plan --gpus 8 | cat > "a b"; dvc repro x   # rectok nothing'
    assert list(commands(line)) == [["rectok", "plan", "--gpus", "8"], ["dvc", "repro", "x"]]

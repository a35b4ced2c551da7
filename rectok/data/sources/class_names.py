"""The classes of labels that several files name, each with a list of its own."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rectok.errors import UserError

Names = tuple[str, ...]
"""Class names by label, as one file lists them. Two classes may have one name."""


@dataclass(frozen=True)
class ClassNames:
    """The `names` of all classes of a source, all different, and for each file its own labels' positions among them.

    A file without names has the labels of all others if `numbered`, and else none.
    """

    names: Names
    positions: Mapping[str, Sequence[int]]
    by_text: Mapping[str, int]
    example: str
    """A file that names classes."""

    def by_number(self, file: str, number: int) -> str | None:
        """The class of a number in a file. None if the file, or those that it goes with, name no such class."""
        positions = self.positions.get(file, range(len(self.names)) if self._numbered else ())
        return self.names[positions[number]] if number < len(positions) else None

    def by_name(self, text: str) -> str | None:
        """The class of a name. None if none has it, or several have."""
        position = self.by_text.get(text)
        return None if position is None else self.names[position]

    @property
    def _numbered(self) -> bool:
        return all(list(positions) == list(range(len(positions))) for positions in self.positions.values())


def join(lists: Mapping[str, Names]) -> ClassNames | None:
    """The classes of files with those lists of names. None if all lists are empty.

    Lists that begin alike go on counting. Others are joined by name, in the order of the longest. Raises UserError, with both
    files, if that is uncertain since a name stands for two classes.
    """
    named = {file: names for file, names in lists.items() if names}
    if not named:
        return None
    example = max(named, key=lambda file: len(named[file]))
    longest = named[example]
    if all(longest[: len(names)] == names for names in named.values()):
        return _class_names(longest, {file: range(len(names)) for file, names in named.items()}, example)
    for file, names in named.items():
        if repeated := _repeated(names):
            other = next(other for other in named if named[other] != names)
            raise UserError(
                f"{file} and {other} name different classes, and {repeated[0]!r} stands for two of them; give both one list of "
                "names"
            )
    joined = tuple(dict.fromkeys([*longest, *(name for names in named.values() for name in names)]))
    return _class_names(
        joined, {file: [joined.index(name) for name in names] for file, names in named.items()}, example
    )


def told_apart(names: Sequence[str]) -> Names:
    """Names that are all different. One that stands for several classes gets the label's number, and an empty one is it."""
    apart = [str(label) if not name.strip() else name for label, name in enumerate(names)]
    while repeated := _repeated(apart):
        apart = [f"{name} ({label})" if name in repeated else name for label, name in enumerate(apart)]
    return tuple(apart)


def _class_names(names: Names, positions: Mapping[str, Sequence[int]], example: str) -> ClassNames:
    repeated = _repeated(names)
    by_text = {name: position for position, name in enumerate(names) if name not in repeated}
    return ClassNames(told_apart(names), positions, by_text, example)


def _repeated(names: Sequence[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]

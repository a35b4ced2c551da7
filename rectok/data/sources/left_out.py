"""What an index leaves out: files that are no images, and images without a label."""

from collections import defaultdict
from typing import Any, Literal

LISTED = 100
"""Names that are listed for each reason."""
Reason = Literal["not an image", "beside the class folders", "without a label", "not in the table", "link"]


class LeftOut:
    """Counts the files that were left out by reason, and remembers the first names."""

    def __init__(self) -> None:
        self._counts: dict[Reason, int] = defaultdict(int)
        self._names: dict[Reason, list[str]] = defaultdict(list)

    def add(self, reason: Reason, name: str) -> None:
        """Leave out the file or uri `name`."""
        self._counts[reason] += 1
        if len(self._names[reason]) < LISTED:
            self._names[reason].append(name)

    def count(self, reason: Reason) -> int:
        """The number of files with that reason."""
        return self._counts.get(reason, 0)

    def summary(self) -> dict[str, dict[str, Any]]:
        """For every reason the number of files and the first names."""
        return {
            reason: {"files": self._counts[reason], "first": self._names[reason]} for reason in sorted(self._counts)
        }

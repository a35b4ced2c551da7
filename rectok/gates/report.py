"""The report must open without network, lead nowhere that does not exist, and stay small enough to send."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

from rectok.artifacts import Check, stage_dir
from rectok.checks.bounds import at_most, holds
from rectok.params import Params

REFERENCES = frozenset({"src", "href", "xlink:href", "srcset", "poster", "data", "action", "formaction", "background"})
STYLE_REFERENCE = re.compile(r"""(?:url\(\s*|@import\s+)['"]?\s*([^'")\s;]+)""", re.IGNORECASE)
MEBIBYTE = 2**20


@dataclass
class Links(HTMLParser):
    """Everything in a page that a browser would fetch or jump to, and the anchors that exist."""

    anchors: set[str] = field(default_factory=set)
    targets: list[str] = field(default_factory=list)
    _style: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the references and the id of one element."""
        self._style = tag == "style"
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name in REFERENCES:
                self.targets.append(value or "")
            elif value:
                # Any attribute of SVG, not only style, may hold url(…).
                self.targets += STYLE_REFERENCE.findall(value)

    def handle_endtag(self, tag: str) -> None:
        """Leave a style sheet."""
        self._style = self._style and tag != "style"

    def handle_data(self, data: str) -> None:
        """Collect the references of a style sheet."""
        if self._style:
            self.targets += STYLE_REFERENCE.findall(data)


def check(params: Params) -> Iterator[Check]:
    """Checks of data/report."""
    path = stage_dir("report") / "index.html"
    text = path.read_text(encoding="utf-8")
    yield holds("not empty", bool(text.strip()), f"{path} is empty; `rectok repair report` makes it again")
    links = Links()
    links.feed(text)
    outside = [target for target in links.targets if not target.startswith(("data:", "#"))]
    broken = [target for target in links.targets if target.startswith("#") and target[1:] not in links.anchors]
    yield holds("opens without network", not outside, f"the page asks for {_first(outside)}")
    yield holds("links resolve", not broken, f"nothing has the anchor {_first(broken)}")
    size = path.stat().st_size / MEBIBYTE
    yield at_most("megabytes", round(size, 3), params.gates.report.max_megabytes, "the size of the report (MiB)")


def _first(targets: list[str]) -> str:
    return targets[0][:80] if targets else ""

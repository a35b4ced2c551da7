"""The nightly page, as a person on a phone and a browser without network see it."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from rectok.nightly.history import NightlyRun, picture_file
from rectok.nightly.page import render, trend_png
from rectok.nightly.promotion import Promotion
from rectok.nightly.regression import Limits, comparisons
from rectok.reporting.images import write_png
from tests.nightly.test_history import nightly_run

LIMITS = Limits({"gfid_tolerance": 0.25, "accuracy_tolerance": 0.03}, runs=3, sigmas=3.0)
PROMOTION = Promotion(
    number=2, generator="aaaa", time="2026-01-01T10:00:00+00:00", who="A. Person <a@here.example>",
    why="gFID fell & nothing else did", commit="0123abc", lock="", preset="digits", params="seed: 0\n",
    metrics={"gfid": 8.0, "probe": []}, measured=None, files={},
)  # fmt: skip


class Page(HTMLParser):
    """Elements that were opened and never closed, and everything that a browser would fetch."""

    VOID = ("meta", "link", "img", "br", "path", "use", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


pytestmark = pytest.mark.usefixtures("here")


def rendered(history: list[NightlyRun], promotion: Promotion | None) -> str:
    last = history[-1]
    return render(history, last, comparisons(last, history[:-1][:3], LIMITS), promotion)


def test_the_page_fetches_nothing_and_fits_a_phone() -> None:
    write_png(picture_file("2026-01-03"), np.zeros((8, 8, 3), np.uint8))
    page = rendered([nightly_run(1), nightly_run(2, protocol="q"), nightly_run(3)], PROMOTION)
    parsed = Page(page)
    assert not parsed.open
    assert all(address.startswith(("#", "data:")) for address in parsed.fetched)
    assert not re.search(r"url\((?!['\"]?(#|data:))|@import|<script", page)
    assert 'name="viewport" content="width=device-width' in page
    assert page.count("<table>") == page.count('<div class="card wide"><table>') == 2  # wide ones scroll by themselves
    assert "A. Person &lt;a@here.example&gt;" in page and "gFID fell &amp; nothing else did" in page
    assert "data:image/png" in page and "<svg" in page


def test_the_page_says_what_got_worse_and_which_nights_do_not_compare() -> None:
    page = rendered(
        [nightly_run(1), nightly_run(2, protocol="q"), nightly_run(3, gfid=30.0, regressed=True)], PROMOTION
    )
    assert "1 metric got worse" in page and "gFID is 30.000, above" in page
    assert page.count('<tr class="quiet">') == 1
    assert '<td class="ERROR">worse</td>' in page


def test_without_a_baseline_or_a_promoted_generator_it_says_so() -> None:
    page = rendered([nightly_run(1)], None)
    assert "Nothing to compare with yet" in page and "rectok promote" in page
    assert '<td class="quiet">first measurement</td>' in page and ">good<" not in page


def test_only_the_first_run_of_a_protocol_is_a_first_measurement() -> None:
    page = rendered([nightly_run(1), nightly_run(2), nightly_run(3, protocol="q"), nightly_run(4, protocol="q")], None)
    results = re.findall(r'<td class="(?:pass|quiet)">([a-z ]+)</td>', page)
    assert results == ["good", "first measurement", "good", "first measurement"]


def test_trend_is_a_picture_of_comparable_nights() -> None:
    history = [nightly_run(day, gfid=8.0 + day) for day in range(1, 4)]
    assert trend_png(history[:1]).startswith(b"\x89PNG")
    assert trend_png([nightly_run(1, protocol="other"), *history[1:]]) == trend_png(history[1:]) != trend_png(history)

"""A page of the browser that records its errors and requests."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page

TIMEOUT = 60_000
"""Milliseconds."""
MAX_BYTES = 300_000
"""Bytes of a screenshot that the README may show."""
PHONE = (390, 844)
DESK = (1440, 900)


@dataclass
class RecordedPage:
    """A page, the errors on its console, and the addresses of its requests."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def outside(self, *inside: str) -> list[str]:
        """Addresses of requests that start with none of `inside`."""
        return [url for url in self.requests if not url.startswith((*inside, "data:", "blob:"))]

    def broken_images(self) -> list[str]:
        """Images that did not load."""
        script = "[...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src.slice(0, 200))"
        return list(self.page.evaluate(script))

    def overflow(self) -> list[str]:
        """The page's width and its elements beyond the window. Empty if the page fits."""
        return list(self.page.evaluate(_OVERFLOW))

    def sideways(self) -> list[str]:
        """Elements that hide a part of their width until they are scrolled."""
        return list(self.page.evaluate(_SIDEWAYS))

    def smallest_text(self) -> float:
        """Font size in CSS pixels of the smallest visible text outside of drawings."""
        return float(self.page.evaluate(_SMALLEST))


_OVERFLOW = """() => {
    const wide = window.innerWidth, found = document.documentElement.scrollWidth;
    if (found <= wide) return [];
    const beyond = [...document.body.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > wide + 1);
    return [`the page: ${found}`, ...beyond.map(e => `${e.tagName} ${e.className}`)];
}"""
_SIDEWAYS = """() => [...document.body.querySelectorAll('*')]
    .filter(e => !e.closest('svg') && getComputedStyle(e).overflowX == 'auto' && e.scrollWidth > e.clientWidth + 1)
    .map(e => `${e.tagName} ${e.className}: ${e.innerText.slice(0, 60)}`)"""
_SMALLEST = """() => Math.min(...[...document.body.querySelectorAll('*')]
    .filter(e => !e.closest('svg') && e.offsetParent)
    .filter(e => [...e.childNodes].some(n => n.nodeType == 3 && n.textContent.trim()))
    .map(e => parseFloat(getComputedStyle(e).fontSize)))"""


@contextmanager
def recorded_page(browser: Browser, size: tuple[int, int] = DESK, **options: object) -> Iterator[RecordedPage]:
    """A new page in a context of its own, `size` CSS pixels wide and high."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)  # type: ignore[arg-type]
    context.set_default_timeout(TIMEOUT)
    page = context.new_page()
    record = RecordedPage(page)
    page.on("console", lambda message: record.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: record.errors.append(str(error)))
    page.on("request", lambda request: record.requests.append(request.url))
    page.on("requestfailed", lambda request: record.errors.append(f"{request.url} failed"))
    yield record
    context.close()


def screenshot(page: Page, path: Path, clip: tuple[int, int, int, int]) -> None:
    """Save `clip` (left, top, width, height) of the window as a PNG that is small enough for the README."""
    left, top, width, height = clip
    page.screenshot(path=path, clip={"x": left, "y": top, "width": width, "height": height})
    Image.open(path).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE).save(path, optimize=True)
    assert path.stat().st_size < MAX_BYTES

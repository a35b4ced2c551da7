"""A page of the browser that remembers what went wrong on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page

PATIENCE = 60_000
"""Milliseconds: a shared machine is slow at times."""
LARGEST = 300_000
"""Bytes of a screenshot that the README may show."""
PHONE = (390, 844)
DESK = (1440, 900)


@dataclass
class Watched:
    """A page, the errors on its console, and the addresses it asked for."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def outside(self, *inside: str) -> list[str]:
        """Addresses asked for that begin with none of `inside`."""
        return [url for url in self.requests if not url.startswith((*inside, "data:", "blob:"))]

    def broken_pictures(self) -> list[str]:
        """Pictures of the page that did not load."""
        script = "[...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src.slice(0, 200))"
        return list(self.page.evaluate(script))

    def overflow(self) -> list[str]:
        """Nothing where the page is no wider than its window, else how wide, and what reaches beyond."""
        return list(self.page.evaluate(_OVERFLOW))

    def smallest_text(self) -> float:
        """Font size in CSS pixels of the smallest visible text outside of drawings."""
        return float(self.page.evaluate(_SMALLEST))


_OVERFLOW = """() => {
    const wide = window.innerWidth, found = document.documentElement.scrollWidth;
    if (found <= wide) return [];
    const beyond = [...document.body.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > wide + 1);
    return [`the page: ${found}`, ...beyond.map(e => `${e.tagName} ${e.className}`)];
}"""
_SMALLEST = """() => Math.min(...[...document.body.querySelectorAll('*')]
    .filter(e => !e.closest('svg') && e.offsetParent)
    .filter(e => [...e.childNodes].some(n => n.nodeType == 3 && n.textContent.trim()))
    .map(e => parseFloat(getComputedStyle(e).fontSize)))"""


@contextmanager
def watched(browser: Browser, size: tuple[int, int] = DESK, **options: object) -> Iterator[Watched]:
    """A new page in a context of its own, `size` CSS pixels wide and high."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    found = Watched(page)
    page.on("console", lambda message: found.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: found.errors.append(str(error)))
    page.on("request", lambda request: found.requests.append(request.url))
    page.on("requestfailed", lambda request: found.errors.append(f"{request.url} failed"))
    yield found
    context.close()


def picture(page: Page, path: Path, clip: tuple[int, int, int, int]) -> None:
    """Keep `clip` (left, top, width, height) of the window as a PNG small enough for the README."""
    left, top, width, height = clip
    page.screenshot(path=path, clip={"x": left, "y": top, "width": width, "height": height})
    Image.open(path).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE).save(path, optimize=True)
    assert path.stat().st_size < LARGEST

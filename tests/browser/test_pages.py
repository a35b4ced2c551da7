"""The pages that the pipeline writes, opened from disk as people open them, on a desk and on a phone."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from rectok import artifacts
from rectok.ablation.report import PICTURES, write_report
from rectok.ablation.spec import cells
from rectok.ablation.workspace import prepare
from rectok.artifacts import Check
from rectok.checks.pages import write_page
from rectok.nightly import run as nightly
from rectok.nightly.history import PAGE, read_history, write_history
from rectok.reporting.images import write_png
from rectok.stages import report
from tests.ablation import project as ablation
from tests.browser.recorded_page import DESK, PHONE, recorded_page, screenshot
from tests.evaluation import project
from tests.nightly.promoting import better

pytestmark = pytest.mark.slow
WIDE = {"nightly": "Date"}
"""First words of the one part of a page that may be wider than a phone: metrics of many nights."""
SMALLEST = 11.0
"""CSS pixels of text that can be read on a phone."""


def report_page() -> Path:
    """The real report on records of the form that stages write."""
    params = project.build()
    project.build_evaluation()
    report.run(params)
    return artifacts.stage_dir("report") / "index.html"


def index_page() -> Path:
    """The page of the index's gate, with a failed check whose message must not break the page."""
    classes = {f"class {i}": {"train": 10 * i, "val": i, "test": 2} for i in range(12)}
    summary = {"images": 1000, "splits": {"train": 800, "val": 100, "test": 100}, "classes": classes}
    failure = Check("unique keys", False, "ERROR", 2, 0, f"key {'0123456789abcdef' * 4} <b>twice</b>")
    draw = np.random.default_rng(0)
    artifacts.write_json(artifacts.classes_file(), list(classes))
    for label in range(3):
        write_png(artifacts.class_strip(label), draw.integers(0, 256, (64, 526, 3)).astype(np.uint8))
    bad = {"key": "0123", "uri": f"cats/{'long' * 30}.jpg", "reason": "damaged file", "detail": "<i>it breaks off</i>"}
    artifacts.write_json(artifacts.quarantine_file("00000"), [bad, {**bad, "key": "4567"}])
    write_png(artifacts.quarantine_picture("0123"), draw.integers(0, 256, (64, 64, 3)).astype(np.uint8))
    write_page([Check("schema", True, "ERROR", "yes", "yes", ""), failure], summary)
    return artifacts.docs_dir("index") / "index.html"


def nightly_page() -> Path:
    """Two real nightly runs. In the second, most metrics are worse."""
    params = project.build()
    nightly.run(params, "2026-01-01")
    write_history([better(run) for run in read_history()])
    assert nightly.run(params, "2026-01-02")
    return PAGE


def ablation_page() -> Path:
    """A page of two rows. Only one has a run with images."""
    ablation.build()
    workspaces = [prepare("decoders", ablation.SPEC, cell) for cell in cells(ablation.SPEC)]
    ablation.finish(workspaces[0], 27.5)
    write_png(workspaces[0].folder / PICTURES[0], np.zeros((64, 64, 3), np.uint8))
    write_report("decoders", ablation.SPEC, workspaces, Path("out"))
    return Path("out") / "index.html"


PAGES: Mapping[str, Callable[[], Path]] = {
    "report": report_page,
    "index": index_page,
    "nightly": nightly_page,
    "ablation": ablation_page,
}
"""Writers of the pages. Each writes into the current folder and returns the path."""


@pytest.fixture(scope="module", params=PAGES)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp(request.param))
        yield request.param, PAGES[request.param]().resolve()


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_page_is_complete_and_readable_in_light_and_dark(
    browser: Browser, written: tuple[str, Path], size: tuple[int, int], album: Path
) -> None:
    name, path = written
    with recorded_page(browser, size) as record:
        record.page.goto(path.as_uri())
        record.page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert record.page.locator("h1").count() == 1
        for scheme in ("light", "dark"):
            record.page.emulate_media(color_scheme=scheme)
            assert record.page.evaluate(f"matchMedia('(prefers-color-scheme: {scheme})').matches")
            assert record.broken_images() == []
            assert record.errors == []
            assert record.outside(path.parent.as_uri()) == []
            assert record.overflow() == []
            assert [part for part in record.sideways() if name not in WIDE or WIDE[name] not in part] == []
            assert record.smallest_text() >= SMALLEST
            picture = album / f"{name}-{'phone' if size == PHONE else 'desk'}-{scheme}.png"
            screenshot(record.page, picture, (0, 0, *size))


@pytest.mark.parametrize(
    "broken, method", [("<img src='gone.png'>", "broken_images"), ("<pre>" + "x" * 500 + "</pre>", "overflow")]
)
def test_a_broken_page_is_detected(browser: Browser, broken: str, method: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(f"<meta name=viewport content='width=device-width'><p>{broken}", encoding="utf-8")
    with recorded_page(browser, PHONE) as record:
        record.page.goto(page.as_uri())
        assert getattr(record, method)() != []


def test_errors_and_outside_requests_are_detected(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<img src='http://127.0.0.1:9/a.png'><script>nothing()</script>", encoding="utf-8")
    with recorded_page(browser) as record:
        record.page.goto(page.as_uri())
        assert record.outside(tmp_path.as_uri()) == ["http://127.0.0.1:9/a.png"]
        assert any("nothing is not defined" in error for error in record.errors)

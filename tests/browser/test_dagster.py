"""The UI of `dg dev` on this repository's own pipeline."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from rectok.artifacts import STAGES
from tests.browser.recorded_page import TIMEOUT, recorded_page, screenshot
from tests.orchestration.project import make_ours
from tests.orchestration.server import Server, serving, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ASSETS = ["source", *STAGES, "nightly"]
TOO_MANY = 180
"""Images per class. Four of the digits have fewer."""
RUN = 300_000
"""Milliseconds for a run of two commands on a busy machine."""
WALL = (1900, 1340)
MARGIN = 16
GROUPS = ("data", "teacher", "tokenizer", "generator", "evaluation")
EVERY_GROUP = "%2C".join(f"global%40global%3A{group}" for group in GROUPS)
STILL = """addEventListener("DOMContentLoaded", () => {
    document.head.append(document.createElement("style"));
    document.head.lastChild.textContent = "* { animation: none !important; transition: none !important }";
})"""
DOWNWARDS = "localStorage.setItem('asset-graph-direction', JSON.stringify('vertical'))"


@pytest.fixture(scope="module")
def server(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    project = make_ours(tmp_path_factory.mktemp("browsed") / "project")
    project.change("gates.index.min_per_class", TOO_MANY)
    with serving(project) as server:
        yield server


@pytest.fixture(scope="module")
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """A large page of the running server. What moves on it would cost half of a processor."""
    with recorded_page(browser, WALL, base_url=server.url.removesuffix("/graphql")) as record:
        record.page.add_init_script(DOWNWARDS)
        record.page.add_init_script(STILL)
        yield record.page
        assert record.outside(server.url.removesuffix("graphql")) == []


def graph(page: Page) -> Locator:
    """The asset graph with every group open, once it is drawn."""
    page.goto(f"/asset-groups?expanded={EVERY_GROUP}")
    page.get_by_text("Hide navigation").click()
    drawn = page.locator("foreignObject [class*=assetName]")
    expect(drawn).to_have_count(len(ASSETS), timeout=TIMEOUT)
    return drawn


def test_a_click_materializes_an_asset_and_its_failed_gate_is_red_with_its_value(
    page: Page, server: Server, album: Path
) -> None:
    page.goto("/assets/index")
    page.get_by_role("button", name=re.compile("Materialize$")).click()
    page.get_by_text("Launched run").wait_for()
    page.goto("/assets/index?view=checks&checkDetail=images_per_class")
    failed = page.locator("[data-tooltip=Failed]").first
    failed.wait_for(timeout=RUN)
    body = page.locator("body")
    expect(body).to_contain_text("This is a blocking asset check.")
    expect(body).to_contain_text(f"class 8 has 174 (images), but at least {TOO_MANY} are needed")
    shown = {name: page.get_by_role("row").filter(has_text=name).last for name in ("value", "required")}
    expect(shown["value"]).to_contain_text("174")
    expect(shown["required"]).to_contain_text(f"≥ {TOO_MANY}")
    page.reload()  # Dagster draws plots of what it knew when the page was opened
    expect(page.locator("canvas")).to_have_count(2, timeout=TIMEOUT)  # of value and limit over time
    assert reddish(page.get_by_label("cancel").first, "--icon-color")
    assert (server.project.root / "data" / "index" / "00000.parquet").exists()
    screenshot(page, album / "dagster-gate.png", (240, 110, 1660, 1000))


def test_the_graph_has_every_stage_by_its_name_and_the_blocked_one_is_red(page: Page, album: Path) -> None:
    names = graph(page)
    assert sorted(names.all_inner_texts()) == sorted(ASSETS)
    index, shards = (names.get_by_text(name, exact=True).locator("..") for name in ("index", "shards"))
    wait_for(lambda: reddish(index, "--minimal-border"))
    assert not reddish(shards, "--minimal-border")
    screenshot(page, album / "dagster-graph.png", around(page))


def test_the_nightly_schedule_is_on(page: Page, album: Path) -> None:
    page.goto("/automation")
    row = page.locator("a[href$='/schedules/nightly']").locator(
        "xpath=ancestor::*[count(.//input[@type='checkbox'])=2][1]"
    )
    expect(row).to_contain_text("At 03:00 AM", timeout=TIMEOUT)
    expect(row.locator("input[type=checkbox]").last).to_be_checked()
    screenshot(page, album / "dagster-nightly.png", (0, 0, WALL[0], 300))


def around(page: Page) -> tuple[int, int, int, int]:
    """Left, top, width and height of the drawn graph with a margin."""
    left, top, right, bottom = page.locator("svg foreignObject").evaluate_all(
        """all => {
            const boxes = all.map(e => e.getBoundingClientRect());
            return [Math.min(...boxes.map(b => b.left)), Math.min(...boxes.map(b => b.top)),
                    Math.max(...boxes.map(b => b.right)), Math.max(...boxes.map(b => b.bottom))];
        }"""
    )
    left, top = max(0, int(left) - MARGIN), max(0, int(top) - MARGIN)
    return left, top, min(WALL[0], int(right) + MARGIN) - left, min(WALL[1], int(bottom) + MARGIN) - top


def reddish(element: Locator, variable: str) -> bool:
    """Whether the colour that a CSS variable of `element` holds is a red."""
    colour = element.evaluate(
        """(e, name) => {
            const probe = document.body.appendChild(document.createElement('i'));
            probe.style.color = getComputedStyle(e).getPropertyValue(name);
            const found = getComputedStyle(probe).color;
            probe.remove();
            return found;
        }""",
        variable,
    )
    red, green, blue = (int(part) for part in re.findall(r"\d+", colour)[:3])
    return red > 1.5 * max(green, blue)

"""The page of `rectok serve` in a browser, on a desktop and on a phone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.recorded_page import DESK, PHONE, recorded_page, screenshot
from tests.data.files import picture
from tests.serving.server import serving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("served")) as address:
        yield address


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_person_samples_a_class_and_reconstructs_an_image(
    browser: Browser, address: str, size: tuple[int, int], album: Path, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    good.write_bytes(picture(1, (60, 40)))
    bad.write_bytes(b"no image")
    with recorded_page(browser, size) as record:
        page = record.page
        page.goto(address)
        page.get_by_label("Class").select_option("blue")
        page.get_by_label("Guidance scale").fill("2.5")
        page.get_by_label("Images").fill("4")
        page.get_by_label("First seed").fill("7")
        page.get_by_role("button", name="Sample").click()
        expect(page.locator("#sampled")).to_have_text("4 samples of blue, guidance 2.5, seeds from 7")
        page.get_by_label("Image", exact=True).set_input_files(good)
        page.get_by_role("button", name="Reconstruct").click()
        expect(page.locator("#rebuilt")).to_contain_text("Original and reconstruction, PSNR")
        assert page.locator("#samples, #pair").evaluate_all("all => all.map(i => i.naturalWidth)") == [194, 194]
        assert record.errors == [] and record.overflow() == [] and record.outside(address) == []
        screenshot(page, album / f"serve-{'phone' if size == PHONE else 'desk'}.png", (0, 0, *size))
        page.get_by_label("Image", exact=True).set_input_files(bad)
        page.get_by_role("button", name="Reconstruct").click()
        expect(page.locator("#rebuilt")).to_contain_text("the image cannot be used: not an image")
        assert not page.locator("#pair").is_visible()

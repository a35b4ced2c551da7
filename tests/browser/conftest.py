"""A real browser; its tests are skipped where there is none."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "google-chrome")
# Nothing but loopback is asked for, root (in a container) has no sandbox, and /dev/shm may be small there.
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--disable-component-update")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The machine's own Chromium, headless. No longer than a module: Playwright keeps an event loop running in this
    thread, under which nothing else (Dagster's own loops, in a later test of the same process) can run one."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("there is no Chromium here; `apt-get install chromium` brings it (.ci/run does, as root on Debian)")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=QUIET)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: RECTOK_SCREENSHOTS (`make screenshots`), or a folder that is thrown away."""
    given = os.environ.get("RECTOK_SCREENSHOTS")
    folder = Path(given).resolve() if given else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder

"""A real browser. Its tests are skipped if there is none."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "google-chrome")
# The tests use only loopback. In a container, root has no sandbox and /dev/shm may be small.
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--disable-component-update")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The machine's own Chromium, headless, for one module.

    Playwright keeps an event loop running in this thread. Until it stops, Dagster cannot run a loop of its own.
    """
    executable = next((path for name in NAMES if (path := shutil.which(name))), None)
    if executable is None:
        pytest.skip("there is no Chromium here; `apt-get install chromium` brings it (.ci/run does, as root on Debian)")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=executable, args=QUIET)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of screenshots: RECTOK_SCREENSHOTS (`make screenshots`), or a temporary one."""
    name = os.environ.get("RECTOK_SCREENSHOTS")
    folder = Path(name).resolve() if name else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder

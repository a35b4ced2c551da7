"""Every link of every page leads somewhere, every file that a page names exists, and the site builds without a warning."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rectok.ablation.spec import load_spec
from tests.guides.guide import REPOSITORY

TRACKED = subprocess.run(
    ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"),
    cwd=REPOSITORY, check=True, capture_output=True, text=True,
).stdout.split("\0")  # fmt: skip
FILES = {name for name in TRACKED if name and (REPOSITORY / name).exists()}
FOLDERS = {parent.as_posix() for name in FILES for parent in Path(name).parents}
PAGES = sorted(name for name in FILES if name.endswith(".md"))
FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(<?([^)\s>]+)>?\)")
PATH = re.compile(r"`((?:rectok|orchestration|tests|docs|deploy|\.dagster)/[\w./-]*)`")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
ADDED = {"docs/guides/stage.md": "colours"}
"""What the files are named after that a guide has its reader add."""


def prose(page: str) -> str:
    """The text of a page without its blocks of code."""
    return FENCED.sub("", (REPOSITORY / page).read_text(encoding="utf-8"))


def anchors(page: str) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(prose(page)))
    return {heading.strip().replace(" ", "-") for heading in headings}


def broken(page: str, text: str) -> Iterator[str]:
    """The links of a page's text that lead to no file of the repository, or to no heading of one."""
    for link in LINK.findall(text):
        target, _, anchor = link.partition("#")
        if "://" in link:
            continue
        path = ((REPOSITORY / page).parent / target).resolve() if target else REPOSITORY / page
        name = path.relative_to(REPOSITORY).as_posix() if path.is_relative_to(REPOSITORY) else link
        outside = page.startswith("docs/") and not name.startswith("docs/")  # the site has nothing else
        if outside or name not in FILES | FOLDERS or (anchor and anchor not in anchors(name)):
            yield link


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading(page: str) -> None:
    assert list(broken(page, prose(page))) == []


@pytest.mark.parametrize(
    "link", ["nothing.md", "architecture.md#nothing", "#nothing", "../nothing.png", "../README.md", "../../outside.md"]
)
def test_a_broken_link_is_found(link: str) -> None:
    assert list(broken("docs/index.md", f"[a]({link}) and [b](architecture.md#gates)")) == [link]


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_exists(page: str) -> None:
    named = {path.rstrip("/") for path in PATH.findall(prose(page))}
    assert {path for path in named - FILES - FOLDERS if ADDED.get(page, "/") not in path} == set()


def test_every_page_of_the_site_is_in_its_navigation() -> None:
    shown = set(re.findall(r": (\S+\.md)$", (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE))
    written = {page.removeprefix("docs/") for page in PAGES if page.startswith("docs/")}
    assert shown == {page for page in written if not page.endswith("/table.md")}


@pytest.mark.parametrize("link", ["", "[a](nothing.md)", "[a](architecture.md#nothing)"])
def test_the_site_builds_and_fails_on_a_broken_link(tmp_path: Path, link: str) -> None:
    shutil.copy(REPOSITORY / "mkdocs.yml", tmp_path)
    for page in FILES:
        if page.startswith("docs/"):
            (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / page, tmp_path / page)
    with (tmp_path / "docs/index.md").open("a", encoding="utf-8") as index:
        index.write(f"\n{link}\n")
    build = (sys.executable, "-m", "zensical", "build", "--strict")
    built = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True)
    assert (built.returncode == 0) == (not link), built.stdout + built.stderr
    if not link:
        pages = [path.read_text(encoding="utf-8") for path in (tmp_path / "site").rglob("*.html")]
        assert not [match for page in pages for match in re.findall(r"<(?:script|link|img)[^>]+=\"?https?:", page)]


def test_the_ablation_beside_the_results_can_be_run() -> None:
    spec = load_spec(str(REPOSITORY / "docs/results/cifar10/adversary.yaml"))
    assert "gate@metric_network" in spec.shared and len(spec.rows) == 5

"""Pages and pictures of data/ in the browser, and the numbers that asset pages begin with."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

from orchestration.assets.headlines import headlines
from orchestration.assets.metadata import page_links
from orchestration.pages import PAGES, WIDTH, page_url, serving


def status(url: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_pages_and_pictures_are_served_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = tmp_path / "data" / "report"
    report.mkdir(parents=True)
    for name in ("index.html", "model.safetensors"):
        (report / name).write_text("content", encoding="utf-8")
    Image.new("RGB", (2 * WIDTH, WIDTH)).save(report / "a b.png")
    (tmp_path / "params.html").touch()
    (tmp_path / "data/raw/cat").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "data/raw/cat/1.png")
    with serving(tmp_path, port=0) as address:
        monkeypatch.setenv(PAGES, address)
        links = page_links(tmp_path, [report / "index.html"], [report / "a b.png"], "v1")
        page, picture = links["index.html"], links["newest picture"]
        assert status(page.url) == 200 and page.url == f"{address}/report/index.html?v1"  # type: ignore[union-attr]
        text = picture.md_str  # type: ignore[union-attr]
        with urllib.request.urlopen(text.partition("](")[2].partition(")")[0], timeout=10) as answer:
            assert Image.open(answer).size == (WIDTH, WIDTH // 2)
        assert len(text) < 1000, "Dagster shows longer ones only after a click"
        for path in (
            "report/",
            "report/model.safetensors",
            "../params.html",
            "%2e%2e/params.html",
            "nothing.html",
            "raw/cat/1.png",
        ):
            assert status(f"{address}/{path}") == 404, path
        assert status(f"{address}/report/index.html", Host="elsewhere.example:3001") == 400
        assert status(f"{address}/report/index.html", Host="127.0.0.1:3001") == 200
    monkeypatch.delenv(PAGES)
    assert page_url(Path("data/report/index.html")) is None
    assert page_links(tmp_path, [report / "index.html"], [], "")["index.html"].value == str(report / "index.html")  # type: ignore[union-attr]


def test_a_port_that_is_taken_is_a_sentence(tmp_path: Path) -> None:
    with serving(tmp_path, port=0) as address:
        command = (sys.executable, "-m", "orchestration.pages")
        ended = subprocess.run(command, env={**os.environ, PAGES: address}, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1 and len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith(f"rectok: port {address.rpartition(':')[2]} of this machine is not free for pages")


def test_a_page_begins_with_rounded_numbers_and_their_units() -> None:
    record = {
        "gfid": 0.29491,
        "gfid_guided": 0.2,
        "sample_accuracy": 0.9612,
        "kid": 1.0,
        "sample_accuracy_guided": None,
        "precision": float("nan"),  # Dagster stores no NaN
    }
    assert headlines("generation", record, []) == {"gFID": 0.295, "gFID, guided": 0.2, "Sample accuracy (%)": 96.1}
    log = [
        {"step": "1", "images_per_second": "90.4", "mfu": ""},
        {"step": "2", "images_per_second": "110", "mfu": "0.31"},
        {"step": "3", "images_per_second": "nan", "mfu": "nan"},
    ]
    summary = {"psnr": 26.0327, "parameters": 1359192, "steps": 492, "images": float("nan"), "sha256": "abc"}
    assert headlines("tokenizer", summary, log) == {
        "PSNR (dB)": 26.03, "steps": 492, "parameters (million)": 1.36, "images/s": 100, "MFU (%)": 31.0,
    }  # fmt: skip

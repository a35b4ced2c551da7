from pathlib import Path

import pytest

from rectok import artifacts
from rectok.files import write_text
from rectok.gates import report
from rectok.params import Params
from rectok.stages import report as stage
from tests.evaluation import project


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    monkeypatch.chdir(tmp_path)
    return project.params()


def failed(params: Params, page: str) -> dict[str, str]:
    write_text(artifacts.stage_dir("report") / "index.html", page)
    return {check.name: check.message for check in report.check(params) if not check.passed}


def test_the_real_report_passes(params: Params) -> None:
    project.build_records()
    project.build_evaluation()
    project.build_metric_network()
    project.build_shards()
    stage.run(params)
    assert all(check.passed for check in report.check(params))


@pytest.mark.parametrize(
    "page",
    [
        '<img src="https://example.org/a.png">',
        '<link href="//example.org/a.css">',
        "<img src='grid.png'>",
        "<style>@import 'https://example.org/a.css';</style>",
        "<style>p { background: url( 'http://example.org/a.png' ) }</style>",
        '<p style="background: url(http://example.org/a.png)">',
        '<svg><use xlink:href="http://example.org/a.svg#b"/></svg>',
        '<img srcset="http://example.org/a.png 2x">',
    ],
)
def test_an_outside_request_fails(page: str, params: Params) -> None:
    assert failed(params, page).keys() == {"opens without network"}


def test_inline_data_and_text_that_looks_like_a_link_pass(params: Params) -> None:
    page = '<p id="a">url(http://example.org) <a href="#a">x</a><img src="data:image/png;base64,AAAA"></p>'
    assert failed(params, page) == {}


@pytest.mark.parametrize("page", ['<a href="#gone">x</a>', '<svg><path clip-path="url(#gone)"/></svg>'])
def test_a_link_to_nowhere_fails(page: str, params: Params) -> None:
    assert failed(params, page) == {"links resolve": "nothing has the anchor #gone"}


def test_an_empty_report_fails(params: Params) -> None:
    assert failed(params, "\n") == {
        "not empty": "data/report/index.html is empty; `rectok repair report` makes it again"
    }


def test_a_huge_report_fails(params: Params) -> None:
    assert failed(params, "x" * (17 * 2**20)).keys() == {"megabytes"}

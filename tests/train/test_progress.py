import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from dagster_pipes import PIPES_PROTOCOL_VERSION, encode_param

from rectok.train import progress
from rectok.train.progress import Lines, _rate, reporting

PICTURE = Path("data/state/pictures/dit.png")


def test_plain_lines_say_how_fast_how_well_and_how_long_and_do_not_flood_the_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = Lines("dit", 10, 30)
    now = lines.began
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    for step, seconds in ((12, 4), (13, 6), (20, 10), (29, 12), (30, 13)):
        now = lines.began + seconds
        lines.report(step, {"lr": 0.1, "total": 1.5}, 64.2)
    lines.show(PICTURE)
    assert capsys.readouterr().out.splitlines() == [
        "dit step 12/30  64 images/s  ETA 0:00:36  total 1.5",
        "dit step 20/30  64 images/s  ETA 0:00:10  total 1.5",
        "dit step 30/30  64 images/s  ETA 0:00:00  total 1.5",
        f"dit: newest picture in {PICTURE}",
    ]


def test_a_rate_that_is_not_known_yet_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    Lines("dit", 0, 2).report(2, {"total": 1.5}, None)
    assert capsys.readouterr().out == "dit step 2/2  ETA 0:00:00  total 1.5\n"


def test_a_line_names_what_is_counted_and_ends_with_its_last_figure(capsys: pytest.CaptureFixture[str]) -> None:
    Lines("nightly", 0, 2, unit="image").report(2, {}, 15.0)
    assert capsys.readouterr().out == "nightly image 2/2  15 images/s  ETA 0:00:00\n"


def test_the_orchestrator_is_told_the_same_through_its_pipes(tmp_path: Path) -> None:
    messages, context = tmp_path / "messages", tmp_path / "context"
    program = (
        "from pathlib import Path; from rectok.train.progress import reporting\n"
        "with reporting('dit', 0, 2, True) as reporter:\n"
        "    for step in (1, 2): reporter.report(step, {'total': 1.5}, 64.0)\n"
        f"    reporter.show(Path({str(PICTURE)!r}))\n"
    )
    run = {"asset_keys": ["dit"], "run_id": "1", "job_name": "j", "retry_number": 0, "extras": {}}
    context.write_text(json.dumps(run), encoding="utf-8")
    piped = {"CONTEXT": {"path": str(context)}, "MESSAGES": {"path": str(messages)}}
    environment = {**os.environ, **{f"DAGSTER_PIPES_{name}": encode_param(value) for name, value in piped.items()}}
    subprocess.run((sys.executable, "-c", program), env=environment, check=True, capture_output=True)
    told = [json.loads(line) for line in messages.read_text(encoding="utf-8").splitlines()]
    assert {message["__dagster_pipes_version"] for message in told} == {PIPES_PROTOCOL_VERSION}
    payloads = [m["params"]["payload"] for m in told if m["method"] == "report_custom_message"]
    assert [payload.pop("seconds_left") >= 0 for payload in payloads[:2]] == [True, True]
    common = {"stage": "dit", "steps": 2, "images_per_second": 64.0, "figures": {"total": 1.5}}
    assert payloads == [{**common, "step": 1}, {**common, "step": 2}, {"stage": "dit", "picture": PICTURE.as_posix()}]


def test_all_processes_but_the_first_are_silent() -> None:
    with reporting("dit", 0, 2, first=False) as reporter:
        assert reporter is None


def test_a_run_that_goes_on_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    for start, first in ((0, True), (3, False), (3, True)):
        with reporting("dit", start, 9, first):
            pass
    assert capsys.readouterr().out == "dit goes on at step 3 of 9\n"


@pytest.mark.parametrize(
    "rate, text", [(None, ""), (0.043, "0.043 images/s  "), (9.6, "9.6 images/s  "), (64.2, "64 images/s  ")]
)
def test_a_rate_is_never_zero(rate: float | None, text: str) -> None:
    assert _rate(rate) == text

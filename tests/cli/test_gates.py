"""`rectok gate --all` lists stored checks; a gate colours its lines only in a terminal."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from rectok.artifacts import GateReport, write_report
from rectok.checks.bounds import at_least, at_most
from rectok.checks.run import _show
from rectok.cli.main import app

SHARDS = {"00000": 0.01, "00001": 0.04}


def test_every_check_has_its_margin_and_shards_show_the_worst(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    assert CliRunner().invoke(app, ["gate", "--all"]).exception is not None  # nothing has run
    for shard, value in SHARDS.items():
        write_report(GateReport("shards", shard, (at_most("quarantined", value, 0.05, "the share"),)))
    write_report(GateReport("report", None, (at_most("megabytes", 20.0, 16, "the size", "WARN"),)))
    listed = CliRunner().invoke(app, ["gate", "--all"])
    assert listed.exit_code == 0
    rows = [line.split() for line in listed.stdout.splitlines()]
    assert ["shards", "00001", "quarantined", "0.04", "≤", "0.05", "+20", "%", "pass"] in rows
    assert ["report", "megabytes", "20", "≤", "16", "-25", "%", "WARN"] in rows
    assert listed.stdout.splitlines()[-1] == "3 checks at 3 gates: 1 WARN"
    write_report(GateReport("dit", None, (at_least("samples vary", 0.0, 0.01, "the std"),)))
    assert CliRunner().invoke(app, ["gate", "--all"]).exit_code == 1


@pytest.mark.parametrize(("variable", "coloured"), [("FORCE_COLOR", True), ("NO_COLOR", False), ("UNSET", False)])
def test_colour_is_for_terminals(
    variable: str, coloured: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv(variable, "1")
    low = at_least("psnr", 21.4567, 24, "PSNR (dB)", "WARN")
    _show(GateReport("tokenizer", None, (at_least("psnr", 27.2228, 24, "PSNR (dB)"), low)))
    shown = capsys.readouterr().out
    assert ("\x1b[32m" in shown) == coloured
    if not coloured:
        assert shown.splitlines() == [
            "pass  psnr: 27.22 (≥ 24)",
            "WARN  psnr: 21.46 (≥ 24): PSNR (dB) is 21.4567, but must be ≥ 24",
            "gate tokenizer: 1 WARN",
        ]

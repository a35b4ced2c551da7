"""Runs of Dagster over real DVC stages, in one process and with one event log."""

from collections.abc import Callable
from typing import Any

import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetKey,
    AssetsDefinition,
    DagsterInstance,
    ExecuteInProcessResult,
    materialize,
)

from orchestration.assets.checks import GATE_RAN, read_check_results
from orchestration.assets.metadata import asset_metadata
from orchestration.assets.stages import assets
from orchestration.graph.derive import load
from orchestration.launcher import Launcher
from rectok.artifacts import passed_file
from rectok.files import write_bytes
from rectok.pipeline import lock
from tests.orchestration.project import Project

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("commands_at_once")]

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
Make = Callable[..., ExecuteInProcessResult]


@pytest.fixture
def make(project: Project, instance: DagsterInstance) -> Make:
    definitions: list[AssetsDefinition] = assets(load(project.root), project.root)

    def run(*names: str, shard: str | None = None, shards: tuple[str, str] | None = None) -> ExecuteInProcessResult:
        tags = dict(zip((RANGE_START, RANGE_END), shards or (), strict=False))
        return materialize(
            definitions,
            selection=list(names),
            partition_key=shard,
            tags=tags,
            instance=instance,
            resources={"launcher": Launcher(root=str(project.root), grace_seconds=60)},
            raise_on_error=False,
        )

    return run


def check(result: ExecuteInProcessResult, name: str = GATE_RAN, shard: str | None = None) -> Any:
    evaluations = result.get_asset_check_evaluations()
    [evaluation] = [each for each in evaluations if each.check_name == name and shard in (None, each.partition)]
    return evaluation


def failure(result: ExecuteInProcessResult, step: str) -> str:
    [event] = [event for event in result.all_events if event.is_step_failure and event.step_key == step]
    return str(event.step_failure_data.error_display_string)


def versions(result: ExecuteInProcessResult) -> dict[str, str]:
    events = [event.materialization for event in result.get_asset_materialization_events()]
    return {event.asset_key.to_user_string(): (event.tags or {})["dagster/data_version"] for event in events}


def test_a_failed_gate_blocks_dagster_and_dvc_until_the_data_is_fixed(project: Project, make: Make) -> None:
    project.rows("a", "bad1", "c", "d")
    assert make("index").success

    # One run: the gate of the shard fails, and what needs the shard does not start.
    blocked = make("shards", "tokenizer", shard="00001")
    assert not blocked.success
    rows = check(blocked, "rows", "00001")
    assert not rows.passed and rows.description == "rows: shard 00001: row bad1 does not decode"
    shown = {name: value.value for name, value in rows.metadata.items()}
    assert shown == {"value": 1, "limit": 0, "required": "0", "severity": "ERROR"}
    assert check(blocked).passed, "the gate itself ran"
    assert versions(blocked).keys() == {"shards"}

    # A run that only skips leaves the failed gate failed, and so does a run of the next stage.
    again = make("shards", shard="00001")
    assert not again.success and not check(again, "rows").passed
    assert [each.check_name for each in again.get_asset_check_evaluations()] == ["rows", GATE_RAN], (
        "the gate may have ended"
    )
    alone = make("tokenizer")
    assert not alone.success and "tokenizer waits for gate-shards@00001" in failure(alone, "tokenizer")
    assert not versions(alone)

    # DVC stops at the same place.
    stopped = project.repro()
    assert stopped.returncode == 255 and "failed to reproduce 'gate-shards@00001'" in stopped.stderr
    assert "Running stage 'tokenizer'" not in stopped.stdout

    # After the fix the run goes on, and DVC finds everything up to date.
    project.rows("a", "b2", "c", "d")
    for names, shard in ((("index",), None), (("shards",), "00001"), (("tokenizer", "report"), None)):
        fixed = make(*names, shard=shard)
        assert fixed.success
    assert [each.check_name for each in fixed.get_asset_check_evaluations()] == [GATE_RAN], "psnr was never made"
    assert "Data and pipelines are up to date." in project.repro().stdout


def test_a_check_that_is_no_longer_made_passes_once_if_it_failed_before(
    project: Project, instance: DagsterInstance, make: Make
) -> None:
    def described(result: ExecuteInProcessResult) -> dict[str, str]:
        evaluations = result.get_asset_check_evaluations()
        assert result.success and all(each.passed for each in evaluations)
        return {each.check_name: str(each.description) for each in evaluations}

    for asset, name, shard in (
        ("tokenizer", "psnr", None),
        ("shards", "layout", "00001"),
        ("shards", "accounted", "00000"),
    ):
        failed = AssetCheckEvaluation(AssetKey(asset), name, passed=False, metadata={}, partition=shard)
        instance.report_runless_asset_event(failed)
    not_made = "not made this time: there was nothing to check"
    assert described(make("tokenizer")) == {"psnr": not_made, GATE_RAN: "all 1 passed"}
    assert described(make("tokenizer")) == {GATE_RAN: "all 1 passed"}
    of_gate = {"rows": "passed", GATE_RAN: "all 3 passed"}
    assert described(make("shards", shard="00001")) == {**of_gate, "layout": not_made}
    assert described(make("shards", shard="00001")) == of_gate


def test_a_skip_does_not_replace_a_pass_marker_that_is_missing_or_out_of_date(project: Project, make: Make) -> None:
    marker = project.root / passed_file("shards", "00000")
    marker.unlink()
    assert "tokenizer waits for gate-shards@00000" in failure(make("tokenizer"), "tokenizer")
    project.rows("bad9", "b", "c", "d")
    assert project.repro("index", "gate@index").returncode == 0
    assert project.repro("--single-item", "shards@00000").returncode == 0
    marker.write_text("passed\n", encoding="utf-8")
    result = make("tokenizer")
    assert "tokenizer waits for gate-shards@00000" in failure(result, "tokenizer")


def test_an_unchanged_artefact_is_reported_with_its_stored_check_result_and_the_version_of_dvc_lock(
    project: Project, make: Make
) -> None:
    result = make("tokenizer")
    assert result.success and check(result).passed
    [event] = result.get_asset_materialization_events()
    shown = {name: value.value for name, value in event.materialization.metadata.items()}
    lock = (project.root / "dvc.lock").read_text(encoding="utf-8")
    assert f"md5: {versions(result)['tokenizer']}" in lock
    assert shown["ran"] is False
    assert list(shown.items())[:2] == [("PSNR (dB)", 26.5), ("time (s)", 0.5)], "the most telling first"
    details = shown["details"]
    assert details["summary"]["loss"] == {"first": 1.0, "last": 0.01}
    assert (details["runs"], details["params"]) == ("python work.py tokenizer", {"tokenizer.training.epochs": 25})
    for name, pixels in (("samples.png", "![samples]"), ("loss", "![loss]")):
        assert shown[name].startswith(f"{pixels}(data:image/png;base64,iVBOR")
    [metric] = event.materialization.metadata["metrics"].records
    assert metric.data == {"metric": "rFID", "value": "0.500", "better": "lower", "computed with": "inception"}
    assert shown["protocol"] == "0123456789ab"
    rows = [record.data["step"] for record in event.materialization.metadata["log"].records]
    assert (rows[0], rows[-1], len(rows)) == ("1", "100", 12)
    [output] = details["outputs"]
    assert output["path"] == "data/tokenizer" and output["md5"] in lock
    assert output["bytes"] == pytest.approx(shown["size (MB)"] * 1e6, abs=1e3) and output["bytes"] > 0


def test_a_training_streams_its_lines_and_reports_through_the_pipes(
    project: Project, make: Make, capfd: pytest.CaptureFixture[str]
) -> None:
    project.change("tokenizer.training.epochs", 99)
    result = make("tokenizer")
    assert result.success
    [event] = result.get_asset_materialization_events()
    assert event.materialization.metadata["progress"].value["step"] == 2
    first, second = result.get_asset_observation_events()
    shown = {name: value.value for name, value in first.asset_observation_data.asset_observation.metadata.items()}
    assert (shown["step"], shown["percent"], shown["images_per_second"], shown["total"]) == (1, 50.0, 64.0, 1.0)
    assert shown["ETA"].startswith("0:00:0")
    newest = second.asset_observation_data.asset_observation.metadata
    assert newest["step"].value == 2 and newest["picture"].value.startswith("![tokenizer](data:image/png;base64,")
    logged = capfd.readouterr().err
    assert "tokenizer step 2/2  64 images/s" in logged and "did not receive any messages" not in logged


def test_one_run_of_many_shards_reports_every_shard_by_itself(
    project: Project, make: Make, instance: DagsterInstance
) -> None:
    def made(result: ExecuteInProcessResult) -> dict[str | None, str]:
        """The data version of the last event of each shard."""
        events = [event.materialization for event in result.get_asset_materialization_events()]
        return {event.partition: (event.tags or {})["dagster/data_version"] for event in events}

    def recorded(shard: str) -> str:
        return lock.read(project.root)[f"shards@{shard}"].data_version

    unchanged = make("shards", shards=("00000", "00001"))
    assert unchanged.success and made(unchanged) == {shard: recorded(shard) for shard in ("00000", "00001")}

    # One shard fails its gate. The other passes, and the next stage does not start.
    project.rows("a", "bad1", "c2", "d")
    assert make("index").success
    mixed = make("shards", "tokenizer", shards=("00000", "00001"))
    assert not mixed.success and "1 blocking asset check failed" in failure(mixed, "shards")
    assert made(mixed) == {shard: recorded(shard) for shard in ("00000", "00001")}
    assert check(mixed, "rows", "00000").passed and not check(mixed, "rows", "00001").passed
    assert all(each.partition for each in mixed.get_asset_check_evaluations())
    known = instance.get_latest_materialization_event(AssetKey("shards"))
    assert known and known.asset_materialization and known.asset_materialization.metadata["ran"].value is True

    # One shard cannot be made. It is not reported.
    project.rows("a3", "b9", "c", "d")
    assert make("index").success
    work = project.root / "work.py"
    whole = work.read_text(encoding="utf-8")
    work.write_text(whole.replace("def shards():", "def shards():\n    assert shard != '00001'"), encoding="utf-8")
    torn = make("shards", shards=("00000", "00001"))
    assert not torn.success and "failed to reproduce 'shards@00001'" in failure(torn, "shards")
    assert made(torn).keys() == {"00000"} and check(torn).partition == "00000"

    work.write_text(whole, encoding="utf-8")
    assert make("shards", "tokenizer", shards=("00000", "00001")).success
    assert "Data and pipelines are up to date." in project.repro("gate@tokenizer").stdout


def test_a_warning_of_a_gate_is_shown_and_stops_nothing(project: Project, make: Make) -> None:
    (project.root / "tidy").unlink()
    project.rows("x", "y", "z")
    assert make("index").success
    pages = project.root / "data" / "docs" / "shards" / "index.html"
    pages.parent.mkdir(parents=True)
    pages.touch()
    result = make("shards", shard="00000")
    assert result.success
    assert check(result).metadata["index.html"].value == str(pages)
    assert not check(result).passed and check(result).severity.value == "WARN"
    assert check(result).description == "tidy: the desk is not tidy"
    assert check(result, "rows").passed, "a check of its own"
    table = {record.data["check"]: record.data["result"] for record in check(result).metadata["checks"].records}
    assert table == {"tautology": "pass", "rows": "pass", "tidy": "WARN"}


def test_a_failed_stage_says_why_in_its_own_words(project: Project, make: Make) -> None:
    project.steps("many")  # type: ignore[arg-type]
    project.change("tokenizer.training.epochs", 99)
    result = make("tokenizer")
    assert not result.success and "failed to reproduce 'tokenizer'" in failure(result, "tokenizer")
    assert not versions(result) and not result.get_asset_check_evaluations()
    [event] = [event for event in result.all_events if event.is_step_failure]
    assert event.step_failure_data.user_failure_data
    command = event.step_failure_data.user_failure_data.metadata["command"].value
    assert command == "rectok repro --single-item tokenizer gate@tokenizer"


def test_a_gate_that_crashes_before_it_reports_does_not_pass(project: Project, make: Make) -> None:
    work = project.root / "work.py"
    work.write_text(
        work.read_text(encoding="utf-8").replace("def gate():", "def gate():\n    raise SystemError"), encoding="utf-8"
    )
    project.change("gates.tokenizer.min_psnr", 9.5)
    result = make("tokenizer")
    assert not result.success and not check(result).passed
    assert check(result).description == "gate@tokenizer left no report in data/checks/tokenizer.json"


def test_damaged_records_are_named_on_the_page_and_a_changed_report_is_no_pass(
    project: Project, instance: DagsterInstance
) -> None:
    [artefact] = [artefact for artefact in load(project.root).artefacts if artefact.name == "tokenizer"]
    [unit], records = artefact.units, lock.read(project.root)
    assert unit.report and unit.pass_marker
    assert all(result.passed for result in read_check_results(instance, project.root, unit, records))
    report = project.root / unit.report
    whole = report.read_bytes()
    for content, sentence in (
        (whole.replace(b"tautology", b"another"), "data/checks/tokenizer.json is not the report that dvc.lock records"),
        (b"[1]", "tokenizer.json is damaged: it must hold an object"),
    ):
        write_bytes(report, content)
        [result] = read_check_results(instance, project.root, unit, records)
        assert not result.passed and sentence in str(result.description)
    record = records[unit.stage]
    assert "damaged" not in asset_metadata(project.root, artefact, unit, record)
    summary = project.root / "data/tokenizer/summary.json"
    write_bytes(summary, b"{")
    damaged = str(asset_metadata(project.root, artefact, unit, record)["damaged"])
    assert damaged.startswith(f"{summary} is damaged, for it is not JSON")

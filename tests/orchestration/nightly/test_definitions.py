import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dagster import AssetsDefinition, DagsterInstance, DefaultScheduleStatus, Definitions, build_schedule_context

from orchestration.launcher import Launcher
from orchestration.nightly.alert_sensors import NIGHTLY_DATE
from orchestration.nightly.definitions import LATEST, nightly, read_regression_result
from rectok.nightly.history import HISTORY, NightlyRun, read_history, write_history
from rectok.params import parse, preset_text
from rectok.params.schema import NightlyParams
from tests.evaluation import project
from tests.nightly.promoting import better

# Replaces `rectok nightly`, with the same arguments, file and exit codes.
EVALUATION = """
import json, pathlib, sys
folder = pathlib.Path("data/nightly")
folder.mkdir(parents=True, exist_ok=True)
date = sys.argv[sys.argv.index("--date") + 1]
worse = ["gfid is 9, more than 25% above 5, the best generator's mean"] if date == "2026-01-02" else []
print("evaluating", date)
(folder / "latest.json").write_text(json.dumps({"date": date, "gfid": 5.0, "regressions": worse}))
for sentence in worse:
    print("regression:", sentence, file=sys.stderr)
sys.exit(2 if worse else 0)
"""


@pytest.fixture
def params() -> NightlyParams:
    return parse(preset_text("digits"), "preset digits").nightly


def defined(root: Path, params: NightlyParams, program: str = EVALUATION) -> Definitions:
    parts = nightly(params, root, {}, (sys.executable, "-c", program), first="2026-01-01")
    return Definitions.merge(parts, Definitions(resources={"launcher": Launcher(root=str(root))}))


def run(definitions: Definitions, instance: DagsterInstance, date: str) -> object:
    job = definitions.resolve_job_def("nightly")
    return job.execute_in_process(instance=instance, partition_key=date, raise_on_error=False)


def test_the_schedule_is_on_and_passes_its_date(tmp_path: Path, params: NightlyParams) -> None:
    schedule = defined(tmp_path, params).resolve_schedule_def("nightly")
    assert schedule.default_status is DefaultScheduleStatus.RUNNING
    assert (schedule.cron_schedule, schedule.execution_timezone) == (params.cron, params.timezone)
    context = build_schedule_context(scheduled_execution_time=datetime(2026, 1, 31, 3, tzinfo=UTC))
    [request] = schedule.evaluate_tick(context).run_requests or []
    assert request.tags["dagster/partition"] == request.tags[NIGHTLY_DATE] == "2026-01-31"


@pytest.mark.parametrize("date, passed", [("2026-01-01", True), ("2026-01-02", False)])
def test_a_nightly_run_reports_its_metrics_and_fails_its_check_on_a_regression(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance, date: str, passed: bool
) -> None:
    result = run(defined(tmp_path, params), instance, date)
    assert result.success  # type: ignore[attr-defined]
    [made] = result.get_asset_materialization_events()  # type: ignore[attr-defined]
    assert made.asset_key.to_user_string() == "nightly"
    assert made.materialization.metadata["gFID"].value == 5.0
    [check] = result.get_asset_check_evaluations()  # type: ignore[attr-defined]
    assert check.passed is passed
    assert ("gfid is 9" in (check.description or "")) is not passed


def test_a_backfill_evaluates_only_the_dates_without_metrics_in_one_run(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance
) -> None:
    known = NightlyRun("2026-01-02", "a", "b", 10, {}, {})
    write_history([known], tmp_path / HISTORY)
    days = {"dagster/asset_partition_range_start": "2026-01-01", "dagster/asset_partition_range_end": "2026-01-03"}
    job = defined(tmp_path, params, EVALUATION).resolve_job_def("nightly")
    result = job.execute_in_process(instance=instance, tags=days)
    made = [event.materialization for event in result.get_asset_materialization_events()]
    assert [each.partition for each in made if "gFID" in each.metadata] == ["2026-01-01", "2026-01-03"]
    assert [each.partition for each in made] == ["2026-01-01", "2026-01-02", "2026-01-03"]
    checks = result.get_asset_check_evaluations()
    assert [(check.partition, check.passed) for check in checks] == [("2026-01-01", True), ("2026-01-03", True)]


def test_a_backfill_that_fails_reports_the_dates_before_with_their_checks(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance
) -> None:
    program = EVALUATION.replace("sys.exit(", "sys.exit('rectok: no GPU' if date == '2026-01-03' else ")
    days = {"dagster/asset_partition_range_start": "2026-01-01", "dagster/asset_partition_range_end": "2026-01-03"}
    job = defined(tmp_path, params, program).resolve_job_def("nightly")
    result = job.execute_in_process(instance=instance, tags=days, raise_on_error=False)
    made = [event.materialization for event in result.get_asset_materialization_events()]
    assert [each.partition for each in made] == ["2026-01-01", "2026-01-02"] and not result.success
    checks = result.get_asset_check_evaluations()
    assert [(check.partition, check.passed) for check in checks] == [("2026-01-01", True), ("2026-01-02", False)]


def test_dates_begin_with_the_history(tmp_path: Path, params: NightlyParams) -> None:
    def first() -> str:
        [asset] = nightly(params, tmp_path, {}).assets or ()
        assert isinstance(asset, AssetsDefinition) and asset.partitions_def
        return str(asset.partitions_def.get_first_partition_key())

    def today() -> str:
        return datetime.now(UTC).date().isoformat()

    assert today() <= first() <= today(), "another day may begin meanwhile"
    write_history([NightlyRun("2026-01-02", "a", "b", 10, {}, {})], tmp_path / HISTORY)
    assert first() == "2026-01-02"


def test_an_evaluation_that_cannot_run_fails_with_its_own_sentence(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance
) -> None:
    program = "import sys; sys.exit('rectok: data/dit/model.safetensors is missing; `dvc repro` makes it')"
    result = run(defined(tmp_path, params, program), instance, "2026-01-01")
    [event] = [event for event in result.all_events if event.is_step_failure]  # type: ignore[attr-defined]
    assert "data/dit/model.safetensors is missing" in event.step_failure_data.error_display_string
    assert not result.get_asset_materialization_events()  # type: ignore[attr-defined]


def test_a_command_line_that_cannot_be_parsed_is_no_regression_although_its_exit_code_is_the_same(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance
) -> None:
    run(defined(tmp_path, params), instance, "2026-01-02")
    program = "import sys; print('No such option: --date', file=sys.stderr); sys.exit(2)"
    result = run(defined(tmp_path, params, program), instance, "2026-01-03")
    [event] = [event for event in result.all_events if event.is_step_failure]  # type: ignore[attr-defined]
    assert "No such option" in event.step_failure_data.error_display_string
    assert not result.get_asset_check_evaluations()  # type: ignore[attr-defined]


def test_without_a_nightly_run_the_check_fails(tmp_path: Path) -> None:
    assert not read_regression_result(tmp_path).passed
    path = tmp_path / LATEST
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"date": "2026-01-01", "regressions": []}), encoding="utf-8")
    assert read_regression_result(tmp_path).description == "nothing got worse on 2026-01-01"


@pytest.mark.slow
@pytest.mark.usefixtures("commands_at_once")
def test_the_real_evaluation_shows_its_runs_and_their_trend(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    project.build()
    parts = Definitions.merge(
        nightly(params, root, {}, first="2026-01-01"), Definitions(resources={"launcher": Launcher(root=str(root))})
    )
    for date in ("2026-01-01", "2026-01-02"):
        result = run(parts, instance, date)
        assert result.success, [event.message for event in result.all_events if event.is_failure]  # type: ignore[attr-defined]
        # As if the generator had been much better at first.
        write_history([better(read_history()[0]), *read_history()[1:]])
    [made] = result.get_asset_materialization_events()  # type: ignore[attr-defined]
    shown = made.materialization.metadata
    assert shown["date"].value == "2026-01-02" and shown["gFID"].value > 0
    assert [row.data["date"] for row in shown["nightly runs"].records] == ["2026-01-02", "2026-01-01"]
    assert shown["trend.png"].value.startswith("![") and Path(shown["index.html"].value).exists()
    [check] = result.get_asset_check_evaluations()  # type: ignore[attr-defined]
    assert not check.passed and (check.description or "").startswith("gFID is ")
    [limits] = [row.data for row in check.metadata["limits"].records if row.data["metric"] == "gFID"]
    assert limits["result"] == "worse" and limits["limit"] in (check.description or "")
    assert all(
        len(str(figure)) <= len("100.000") for name, figure in limits.items() if name in ("this run", "baseline")
    )

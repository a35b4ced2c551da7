"""Which process works on a run. A run whose process is gone, as after a power loss, fails and gives its pool back."""

import os
import socket
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from orchestration.private import CheckRunHealthResult, GetCurrentRunsResult, WorkerStatus

WORKER = "rectok/worker"
"""Tag of a run: host and process that work on it, and when that process began."""
LAUNCH_TIME = timedelta(seconds=15)
"""How long a code server may take until it knows a run that it is about to start, and the run until it has its tag."""
UNWATCHED = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING)
"""States in which Dagster's run monitoring only waits, for 3 and 5 minutes."""


def process_start(pid: int) -> str | None:
    """Boot and clock tick at which the living process `pid` began; None without one. The kernel gives no pid and tick twice.

    Wall-clock time would not do: it is set while processes run.
    """
    with suppress(FileNotFoundError, ProcessLookupError):
        # proc_pid_stat(5): the name in parentheses may hold spaces; after it the state is field 3, the start field 22.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return None if fields[0] in "ZX" else f"{boot}-{fields[19]}"
    return None


def tag_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Record this process as the worker of a run."""
    if start := process_start(os.getpid()):
        instance.add_run_tags(run_id, {WORKER: f"{socket.gethostname()} {os.getpid()} {start}"})


class RunLauncher(dg.DefaultRunLauncher):
    """Dagster's own launcher, which also tells Dagster's run monitoring whether the process of a run lives."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Asked for by run monitoring, which else only bounds the times of a start and of a cancellation."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """NOT_FOUND for a run whose process is gone. Run monitoring then fails the run; its slots are free at once."""
        worker = run.tags.get(WORKER)
        if self._works(run, worker) or (not worker and self._has_just_begun(run.run_id)):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        self._instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        host, pid = worker.split()[:2] if worker else ("", "")
        gone = f"process {pid} on {host} is gone" if worker else "its process was gone before it began"
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, gone)

    def _has_just_begun(self, run_id: str) -> bool:
        """Whether a run that was read without a worker has one by now, or is too young for one."""
        record = self._instance.get_run_record_by_id(run_id)
        young = datetime.now(UTC) - LAUNCH_TIME
        return record is not None and (WORKER in record.dagster_run.tags or record.update_timestamp > young)

    def _works(self, run: dg.DagsterRun, worker: str | None) -> bool:
        host, pid, start = worker.split() if worker else ("", "0", "")
        if host == socket.gethostname():
            return process_start(int(pid)) == start
        client = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]
        if client is None:  # it has ended meanwhile, or no code server launched it
            return True
        try:  # the worker lives in another container, whose code server knows
            return run.run_id in dg.deserialize_value(client.get_current_runs(), GetCurrentRunsResult).current_runs
        except dg.DagsterError:  # a server out of reach proves nothing; but without its tag, no run has begun a command
            return worker is not None


def workers(seconds: int) -> dg.SensorDefinition:
    """A sensor that starts no run. Every `seconds` it ends runs whose process is gone, where run monitoring only waits."""

    @dg.sensor(
        name="workers",
        description="Ends runs whose process died while they started or were being cancelled; starts no run",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=seconds,
    )
    def end(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        runs = end_lost_runs(context.instance)
        return dg.SkipReason(f"ended {', '.join(runs)}, whose process is gone" if runs else "no process is gone")

    return end


def end_lost_runs(instance: dg.DagsterInstance) -> list[str]:
    """End the runs in one of the `UNWATCHED` states whose process is gone. Their ids."""
    launcher, latest, ended = instance.run_launcher, datetime.now(UTC) - LAUNCH_TIME, []
    if not isinstance(launcher, RunLauncher):
        return []
    for record in instance.get_run_records(dg.RunsFilter(statuses=UNWATCHED, updated_before=latest)):
        run = record.dagster_run
        health = launcher.check_run_worker_health(run)
        now = instance.get_run_by_id(run.run_id)
        if health.status is WorkerStatus.RUNNING or not now or now.status is not run.status:
            continue
        report = instance.report_run_failed if run.status is UNWATCHED[0] else instance.report_run_canceled
        report(run, health.msg)
        ended.append(run.run_id)
    return ended

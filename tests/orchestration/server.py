"""`dg dev` on a project, and the GraphQL queries of its web page."""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from orchestration.assets.checks import GATE_RAN
from orchestration.loading import SENSOR_SECONDS
from tests.orchestration.project import REPOSITORY, Project
from tests.ports import free_port

TIMEOUT = 400.0
LOCATION = "rectok"
WORKSPACE = """
load_from:
  - python_module: {module_name: orchestration.definitions, location_name: rectok}
"""
COORDINATOR = "class: QueuedRunCoordinator"
AT_ONCE = """
  config: {dequeue_interval_seconds: 1}

auto_materialize: {minimum_interval_seconds: 30}  # the default, which follows the interval of backfills (tests/fork_server.py)"""

T = TypeVar("T")


@dataclass(frozen=True)
class Server:
    """A running `dg dev` and its project."""

    project: Project
    url: str

    def query(self, text: str, **variables: Any) -> Any:
        """Send one GraphQL query."""
        body = json.dumps({"query": text, "variables": variables}).encode()
        request = urllib.request.Request(self.url, body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            result = json.loads(response.read())
        assert "errors" not in result, result
        return result["data"]

    def materialize_all(self, *names: str) -> str:
        """Press "Materialize all", which starts a backfill if some assets have partitions. Its id."""
        parameters = {"assetSelection": [{"path": [name]} for name in names], "allPartitions": True}
        query = """mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) {
            __typename ... on LaunchBackfillSuccess { backfillId } } }"""
        return str(self.query(query, p=parameters)["launchPartitionBackfill"]["backfillId"])

    def backfill_status(self, backfill: str) -> str:
        """REQUESTED while it runs."""
        query = """query($b: String!) { partitionBackfillOrError(backfillId: $b) {
            ... on PartitionBackfill { status } } }"""
        return str(self.query(query, b=backfill)["partitionBackfillOrError"]["status"])

    def materialize(self, *names: str, shard: str | None = None) -> str:
        """Launch one run of these assets. Its id."""
        tags = [{"key": "dagster/partition", "value": shard}] if shard else []
        return self._launch("__ASSET_JOB", tags, [{"path": [name]} for name in names], {})

    def launch(self, job: str, config: dict[str, Any] | None = None) -> str:
        """Launch a job. The id of its run."""
        return self._launch(job, [], None, config or {})

    def _launch(
        self, job: str, tags: list[dict[str, str]], assets: list[dict[str, list[str]]] | None, config: dict[str, Any]
    ) -> str:
        selector = {
            "repositoryName": "__repository__",
            "repositoryLocationName": LOCATION,
            "jobName": job,
            "assetSelection": assets,
        }
        query = """mutation($p: ExecutionParams!) { launchRun(executionParams: $p) {
            __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
        parameters = {"selector": selector, "runConfigData": config, "executionMetadata": {"tags": tags}}
        return str(self.query(query, p=parameters)["launchRun"]["run"]["runId"])

    def retry(self, run: str) -> str:
        """Press "Re-execute from failure". The id of the new run."""
        query = """mutation($p: ReexecutionParams!) { launchRunReexecution(reexecutionParams: $p) {
            __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
        parameters = {"parentRunId": run, "strategy": "FROM_FAILURE"}
        return str(self.query(query, p=parameters)["launchRunReexecution"]["run"]["runId"])

    def reload(self) -> None:
        """Press "Reload definitions"."""
        query = """mutation($n: String!) { reloadRepositoryLocation(repositoryLocationName: $n) {
            ... on WorkspaceLocationEntry { loadStatus locationOrLoadError { __typename } } } }"""
        entry = self.query(query, n=LOCATION)["reloadRepositoryLocation"]
        assert entry["locationOrLoadError"]["__typename"] == "RepositoryLocation", entry

    def descriptions(self) -> dict[str, str]:
        """Every asset with its description."""
        nodes = self.query("{ assetNodes { assetKey { path } description } }")["assetNodes"]
        return {node["assetKey"]["path"][0]: node["description"] or "" for node in nodes}

    def stale(self) -> set[str]:
        """Assets and shards that the UI calls stale."""
        nodes = self.query("{ assetNodes { assetKey { path } isPartitioned staleStatus } }")["assetNodes"]
        names = {node["assetKey"]["path"][0] for node in nodes if node["staleStatus"] == "STALE"}
        query = """query($k: [AssetKeyInput!]) { assetNodes(assetKeys: $k) {
            assetKey { path } partitionKeys staleStatusByPartition } }"""
        partitioned = [{"path": node["assetKey"]["path"]} for node in nodes if node["isPartitioned"]]
        for node in self.query(query, k=partitioned)["assetNodes"]:
            states = zip(node["partitionKeys"], node["staleStatusByPartition"], strict=True)
            names |= {f"{node['assetKey']['path'][0]}@{shard}" for shard, state in states if state == "STALE"}
        return names

    def gate(self, name: str, shard: str | None = None) -> str:
        """FAILED if one of the asset's last check results has failed; else the status of the one that its gate ran."""
        states = self.checks(name, shard)
        return "FAILED" if "FAILED" in states.values() else states.get(GATE_RAN, "none")

    def checks(self, name: str, shard: str | None = None) -> dict[str, str]:
        """Status of the last result of each of the asset's checks: SUCCEEDED, FAILED, ..."""
        query = """query($k: [AssetKeyInput!]) { assetNodes(assetKeys: $k) {
            assetChecksOrError { ... on AssetChecks { checks { name } } } } }"""
        [node] = self.query(query, k=[{"path": [name]}])["assetNodes"]
        names = [check["name"] for check in node["assetChecksOrError"]["checks"]]
        last = "assetCheckExecutions(assetKey: $k, limit: 1, partition: $s, checkName:"
        fields = " ".join(f'{check}: {last} "{check}") {{ status }}' for check in names)
        query = f"query($k: AssetKeyInput!, $s: String) {{ {fields} }}"
        results = self.query(query, k={"path": [name]}, s=shard or "")
        return {check: str(executions[0]["status"]) for check, executions in results.items() if executions}

    def runs(self, job: str) -> list[dict[str, str]]:
        """The id and the tags of each of the job's runs."""
        query = "query($f: RunsFilter!) { runsOrError(filter: $f) { ... on Runs { results { runId tags { key value } } } } }"
        runs = self.query(query, f={"pipelineName": job})["runsOrError"]["results"]
        return [{"id": run["runId"], **{tag["key"]: tag["value"] for tag in run["tags"]}} for run in runs]

    def materialized(self, name: str) -> list[dict[str, Any]]:
        """Metadata of the asset's materializations, newest first."""
        return self._metadata(name, "assetMaterializations")

    def observed(self, name: str) -> list[dict[str, Any]]:
        """Metadata of the asset's observations, newest first."""
        return self._metadata(name, "assetObservations")

    def _metadata(self, name: str, events: str) -> list[dict[str, Any]]:
        query = f"""query($k: AssetKeyInput!) {{ assetNodeOrError(assetKey: $k) {{ ... on AssetNode {{
            {events}(limit: 9) {{ metadataEntries {{ label
                ... on FloatMetadataEntry {{ floatValue }} ... on IntMetadataEntry {{ intValue }}
                ... on TextMetadataEntry {{ text }} ... on MarkdownMetadataEntry {{ mdStr }}
                ... on JsonMetadataEntry {{ jsonString }} }} }} }} }} }}"""
        nodes = self.query(query, k={"path": [name]})["assetNodeOrError"][events]
        return [
            {entry.pop("label"): next(iter(entry.values()), None) for entry in node["metadataEntries"]}
            for node in nodes
        ]

    def steps(self, **runs: Any) -> list[tuple[float, float]]:
        """Start and end of each step `shards` of the runs that a filter names, in seconds."""
        query = """query($f: RunsFilter!) { runsOrError(filter: $f) { ... on Runs { results {
            stepStats { stepKey startTime endTime } } } } }"""
        results = self.query(query, f=runs)["runsOrError"]["results"]
        return [(s["startTime"], s["endTime"]) for run in results for s in run["stepStats"] if s["stepKey"] == "shards"]

    def cancel(self, run: str) -> None:
        """Press "Terminate"."""
        query = """mutation($r: String!) { terminateRun(runId: $r) {
            __typename ... on TerminateRunFailure { message } } }"""
        assert self.query(query, r=run)["terminateRun"]["__typename"] == "TerminateRunSuccess"

    def run_status(self, run: str) -> str:
        """QUEUED, STARTED, CANCELING, CANCELED, ..."""
        query = "query($r: ID!) { runOrError(runId: $r) { ... on Run { status } } }"
        return str(self.query(query, r=run)["runOrError"]["status"])

    def messages(self, run: str) -> str:
        """The run's event log."""
        query = """query($r: ID!) { logsForRun(runId: $r, limit: 1000) {
            ... on EventConnection { events {
                ... on MessageEvent { message } ... on ErrorEvent { error { message } } } } } }"""
        events = self.query(query, r=run)["logsForRun"]["events"]
        return "\n".join(
            f"{event.get('message', '')} {(event.get('error') or {}).get('message', '')}" for event in events
        )

    def data_versions(self) -> dict[str, list[str]]:
        """The last data version of every asset, or of each of its shards."""
        query = """{ assetNodes { assetKey { path } assetMaterializations(limit: 200) {
            partition tags { key value } } } }"""
        versions: dict[str, dict[str | None, str]] = {}
        for node in self.query(query)["assetNodes"]:
            latest = versions.setdefault(node["assetKey"]["path"][0], {})
            for event in node["assetMaterializations"]:
                tags = {tag["key"]: tag["value"] for tag in event["tags"]}
                latest.setdefault(event["partition"], tags.get("dagster/data_version", ""))
        return {name: list(latest.values()) for name, latest in versions.items()}


@contextmanager
def serving(project: Project) -> Iterator[Server]:
    """`dg dev` with our dagster.yaml and shorter intervals, until the end of the block."""
    home = project.root / ".dagster"
    home.mkdir(exist_ok=True)  # it exists where a server ran before
    settings = (REPOSITORY / ".dagster" / "dagster.yaml").read_text(encoding="utf-8")
    (home / "dagster.yaml").write_text(settings.replace(COORDINATOR, COORDINATOR + AT_ONCE), encoding="utf-8")
    port = free_port()
    environment = {
        **project.environment(),
        "DAGSTER_HOME": str(home),
        "PYTHONPATH": str(REPOSITORY),
        SENSOR_SECONDS: "5",
    }
    workspace = project.root / "workspace.yaml"
    workspace.write_text(WORKSPACE, encoding="utf-8")
    command = ("dg", "dev", "-w", str(workspace), "-h", "127.0.0.1", "-p", str(port))
    with (project.root / "dev.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=project.root, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            server = Server(project, f"http://127.0.0.1:{port}/graphql")
            wait_for(lambda: process.poll() is None and is_up(server))
            yield server
        finally:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(120)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def is_up(server: Server) -> bool:
    """Whether the web server is up."""
    try:
        return bool(server.query("{ version }"))
    except (urllib.error.URLError, ConnectionError):
        return False


def wait_for(poll: Callable[[], T], seconds: float = TIMEOUT) -> T:
    """Call `poll` every second until its result is true. The result."""
    end = time.monotonic() + seconds
    while not (result := poll()):
        assert time.monotonic() < end, "the result is not true in time"
        time.sleep(1)
    return result

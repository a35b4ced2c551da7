"""`dagster dev` on a project, spoken to as its web page speaks to it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.orchestration.project import REPOSITORY, Project

PATIENCE = 400.0

T = TypeVar("T")


@dataclass(frozen=True)
class Server:
    """A running `dagster dev` and its project."""

    project: Project
    url: str

    def ask(self, query: str, **variables: Any) -> Any:
        """Send one GraphQL query."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self.url, body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = json.loads(answer.read())
        assert "errors" not in found, found
        return found["data"]

    def materialize_all(self, *names: str) -> str:
        """What the button does where some assets are partitioned: a backfill over all of them; its id."""
        parameters = {"assetSelection": [{"path": [name]} for name in names], "allPartitions": True}
        query = """mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) {
            __typename ... on LaunchBackfillSuccess { backfillId } } }"""
        return str(self.ask(query, p=parameters)["launchPartitionBackfill"]["backfillId"])

    def backfill_status(self, backfill: str) -> str:
        """REQUESTED while it runs."""
        query = """query($b: String!) { partitionBackfillOrError(backfillId: $b) {
            ... on PartitionBackfill { status } } }"""
        return str(self.ask(query, b=backfill)["partitionBackfillOrError"]["status"])

    def materialize(self, name: str) -> str:
        """Launch one run of one asset; its id."""
        selector = {
            "repositoryName": "__repository__",
            "repositoryLocationName": "orchestration.definitions",
            "jobName": "__ASSET_JOB",
            "assetSelection": [{"path": [name]}],
        }
        query = """mutation($p: ExecutionParams!) { launchRun(executionParams: $p) {
            __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
        return str(self.ask(query, p={"selector": selector, "runConfigData": {}})["launchRun"]["run"]["runId"])

    def cancel(self, run: str) -> None:
        """Press "Terminate"."""
        query = """mutation($r: String!) { terminateRun(runId: $r) {
            __typename ... on TerminateRunFailure { message } } }"""
        assert self.ask(query, r=run)["terminateRun"]["__typename"] == "TerminateRunSuccess"

    def run_status(self, run: str) -> str:
        """QUEUED, STARTED, CANCELING, CANCELED, ..."""
        query = "query($r: ID!) { runOrError(runId: $r) { ... on Run { status } } }"
        return str(self.ask(query, r=run)["runOrError"]["status"])

    def messages(self, run: str) -> str:
        """The run's event log."""
        query = """query($r: ID!) { logsForRun(runId: $r, limit: 1000) {
            ... on EventConnection { events { ... on MessageEvent { message } } } } }"""
        events = self.ask(query, r=run)["logsForRun"]["events"]
        return "\n".join(event.get("message", "") for event in events)

    def data_versions(self) -> dict[str, list[str]]:
        """The last data version of every asset; several where there are shards."""
        query = """{ assetNodes { assetKey { path } assetMaterializations(limit: 20) {
            partition tags { key value } } } }"""
        found: dict[str, dict[str | None, str]] = {}
        for node in self.ask(query)["assetNodes"]:
            latest = found.setdefault(node["assetKey"]["path"][0], {})
            for event in node["assetMaterializations"]:
                tags = {tag["key"]: tag["value"] for tag in event["tags"]}
                latest.setdefault(event["partition"], tags.get("dagster/data_version", ""))
        return {name: list(latest.values()) for name, latest in found.items()}


@contextmanager
def serving(project: Project) -> Iterator[Server]:
    """`dagster dev` with our dagster.yaml, until the end of the block."""
    home = project.root / ".dagster"
    home.mkdir()
    shutil.copy(REPOSITORY / ".dagster" / "dagster.yaml", home)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**project.environment(), "DAGSTER_HOME": str(home), "PYTHONPATH": str(REPOSITORY)}
    command = ("dagster", "dev", "-m", "orchestration.definitions", "-h", "127.0.0.1", "-p", str(port))
    with (project.root / "dev.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=project.root, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            server = Server(project, f"http://127.0.0.1:{port}/graphql")
            waited(lambda: process.poll() is None and answers(server))
            yield server
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(120)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()


def answers(server: Server) -> bool:
    """Whether the web server is up."""
    try:
        return bool(server.ask("{ version }"))
    except (urllib.error.URLError, ConnectionError):
        return False


def waited(look: Callable[[], T], seconds: float = PATIENCE) -> T:
    """Look again and again until there is something to see."""
    end = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(1)
    return seen

"""A Kubernetes API for Indexed Jobs on this machine, which runs the commands of pods as processes.

No control plane can be installed from the registries that CI has. This server takes what the schemas of Kubernetes
take, and does what the Job controller documents: one pod per index, retries per index, disrupted pods
that do not count, conditions, foreground deletion, SIGTERM and a grace period. It mounts no volumes and pulls no images.
"""

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate

VERSION = "1.34"
INDEX = "batch.kubernetes.io/job-completion-index"
NAME = "batch.kubernetes.io/job-name"
BROKEN_IMAGE = "broken"
"""An image that cannot be pulled."""


@dataclass
class Pod:
    """One attempt at an index."""

    name: str
    index: int
    spec: dict[str, Any]
    log: Path
    created: str
    process: "subprocess.Popen[bytes] | None" = None
    disrupted: bool = False

    def start(self) -> None:
        """Run the command of its only container."""
        [container] = self.spec["containers"]
        if container["image"] != BROKEN_IMAGE:
            variables = {each["name"]: each["value"] for each in container["env"]}
            with self.log.open("wb") as log:
                self.process = subprocess.Popen(
                    container["command"],
                    cwd=container["workingDir"],
                    env={**os.environ, **variables, "JOB_COMPLETION_INDEX": str(self.index)},
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

    def end(self) -> None:
        """As the kubelet ends it: SIGTERM, and after the grace period SIGKILL."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(self.spec["terminationGracePeriodSeconds"])
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    @property
    def code(self) -> int | None:
        """The exit code, as a shell has it."""
        code = self.process.poll() if self.process else None
        return 128 - code if code and code < 0 else code

    def json(self) -> dict[str, Any]:
        """What the API answers."""
        phase = "Pending" if not self.process else {None: "Running", 0: "Succeeded"}.get(self.code, "Failed")
        state: dict[str, Any] = {"running": {}}
        if not self.process:
            state = {"waiting": {"reason": "ImagePullBackOff"}}
        elif self.code is not None:
            state = {"terminated": {"exitCode": self.code, "reason": "Error" if self.code else "Completed"}}
        conditions = [{"type": "DisruptionTarget", "status": "True"}] if self.disrupted else []
        status = {"name": "rectok", "image": "", "imageID": "", "ready": False, "restartCount": 0, "state": state}
        metadata = {"name": self.name, "annotations": {INDEX: str(self.index)}, "creationTimestamp": self.created}
        return {
            "metadata": metadata,
            "status": {"phase": phase, "conditions": conditions, "containerStatuses": [status]},
        }


@dataclass
class Job:
    """A Job, and what its controller knows."""

    body: dict[str, Any]
    pods: list[Pod] = field(default_factory=list)
    deleted: bool = False

    def step(self, folder: Path) -> None:
        """Start and judge pods, as the controller does."""
        if self.deleted:
            return
        spec = self.body["spec"]
        ended = self.completed | self.failed
        for index in sorted(set(range(spec["completions"])) - ended):
            mine = [pod for pod in self.pods if pod.index == index]
            if not mine or mine[-1].code is not None:
                name = f"{self.body['metadata']['name']}-{index}-{len(mine)}"
                created = f"2026-01-01T00:00:{len(mine):02}Z"
                pod = Pod(name, index, spec["template"]["spec"], folder / f"{name}.log", created)
                self.pods.append(pod)
                pod.start()

    @property
    def completed(self) -> set[int]:
        """Indexes of which a pod succeeded."""
        return {pod.index for pod in self.pods if pod.code == 0}

    @property
    def failed(self) -> set[int]:
        """Indexes whose pods failed once more than the limit; its policy ignores disrupted ones."""
        [rule] = self.body["spec"]["podFailurePolicy"]["rules"]
        assert rule["action"] == "Ignore" and rule["onPodConditions"][0]["type"] == "DisruptionTarget"
        failures = [pod.index for pod in self.pods if pod.code and not pod.disrupted]
        return {index for index in failures if failures.count(index) > self.body["spec"]["backoffLimitPerIndex"]}

    def json(self) -> dict[str, Any]:
        """What the API answers."""
        conditions = []
        if len(self.completed | self.failed) == self.body["spec"]["completions"]:
            conditions = [{"type": "Failed" if self.failed else "Complete", "status": "True"}]
        status = {"conditions": conditions, "completedIndexes": ranges(self.completed)}
        return {**self.body, "status": status}


class Cluster:
    """Jobs by name, and the resources and verbs that were `used`.

    No call is answered well while it is `down`, and each is refused with what is `forbidden`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.jobs = folder, dict[str, Job]()
        self.down = self.closed = False
        self.forbidden = ""
        self.used: set[tuple[str, str]] = set()
        self.lock = threading.RLock()

    def work(self) -> None:
        """The controller."""
        while not self.closed:
            with self.lock:
                for name, job in list(self.jobs.items()):
                    job.step(self.folder)
                    if job.deleted and all(pod.code is not None or not pod.process for pod in job.pods):
                        del self.jobs[name]
            time.sleep(0.02)

    def evict(self, index: int) -> None:
        """Preempt the running pods of an index, but not those that meanwhile take their places."""
        for job in self.jobs.values():
            for pod in list(job.pods):
                if pod.index == index and pod.code is None:
                    pod.disrupted = True
                    pod.end()

    def delete(self, name: str) -> None:
        """In the foreground: the Job goes after its pods."""
        with self.lock:
            job = self.jobs[name]
            job.deleted = True
            for pod in job.pods:
                threading.Thread(target=pod.end).start()

    def empty(self) -> None:
        """Delete all jobs, and wait until they are gone."""
        for name in list(self.jobs):
            self.delete(name)
        while self.jobs:
            time.sleep(0.01)


def ranges(numbers: set[int]) -> str:
    """A text such as `0,2-4`."""
    text = ""
    for number in sorted(numbers):
        if number - 1 in numbers:
            text = re.sub(r"(-\d+)?$", f"-{number}", text)
        else:
            text += f",{number}"
    return text.lstrip(",")


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A running cluster, and its kubeconfig in `folder`, which is to be named by KUBECONFIG."""
    made = Cluster(folder)

    class Handler(BaseHTTPRequestHandler):
        def answer(self, status: int, body: Any) -> None:
            data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def refuse(self, status: int, message: str) -> None:
            self.answer(status, {"kind": "Status", "status": "Failure", "message": message, "code": status})

        def do_POST(self) -> None:
            made.used.add(("jobs", "create"))
            job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if made.forbidden:
                return self.refuse(403, made.forbidden)
            try:
                kubernetes_validate.validate(job, VERSION, strict=True)
            except kubernetes_validate.ValidationError as error:
                return self.refuse(422, f"Job is invalid: {error.message}")
            with made.lock:
                made.jobs[job["metadata"]["name"]] = Job(job)
            return self.answer(201, job)

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query, parts = parse_qs(url.query), url.path.split("/")
            if made.down or made.forbidden:
                return self.refuse(403 if made.forbidden else 503, made.forbidden or "the server is shutting down")
            with made.lock:
                if "jobs" in parts:
                    made.used.add(("jobs", "get"))
                    job = made.jobs.get(parts[-1])
                    return self.answer(200, job.json()) if job else self.refuse(404, f'jobs "{parts[-1]}" not found')
                if parts[-1] == "log":
                    made.used.add(("pods/log", "get"))
                    [pod] = [pod for job in made.jobs.values() for pod in job.pods if pod.name == parts[-2]]
                    if not pod.process:
                        return self.refuse(400, "container rectok is waiting to start: image can't be pulled")
                    lines = pod.log.read_text().splitlines(keepends=True)
                    return self.answer(200, "".join(lines[-int(query["tailLines"][0]) :]))
                made.used.add(("pods", "list"))
                name = query["labelSelector"][0].removeprefix(f"{NAME}=")
                pods = made.jobs[name].pods if name in made.jobs else []
                return self.answer(200, {"items": [pod.json() for pod in pods]})

        def do_DELETE(self) -> None:
            made.used.add(("jobs", "delete"))
            if made.forbidden:
                return self.refuse(403, made.forbidden)
            name = urlsplit(self.path).path.split("/")[-1]
            with made.lock:
                if name not in made.jobs:
                    return self.refuse(404, f'jobs "{name}" not found')
                made.delete(name)
            return self.answer(200, {"kind": "Status", "status": "Success"})

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threads = [threading.Thread(target=target) for target in (lambda: server.serve_forever(0.05), made.work)]
        for thread in threads:
            thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        (folder / "kubeconfig").write_text(json.dumps(kubeconfig(address)))
        try:
            yield made
        finally:
            made.empty()
            made.closed = True
            server.shutdown()
            for thread in threads:
                thread.join()


def kubeconfig(address: str) -> dict[str, Any]:
    """For a cluster without a login."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": address}}],
        "users": [{"name": "test", "user": {}}],
    }
